import Foundation
import FileFormats
import Tensors

/// The metadata and tensors of a model in one GGUF file, or in the parts it was split into (`-00001-of-00003.gguf`).
struct GGUFWeights {
    let files: [URL]
    let metadata: [String: GGUFValue]
    let tensors: [String: Tensor]
    let shapes: [String: [Int]]

    /// What a file would hold: tensors of these shapes, of which some are at hand.
    init(metadata: [String: GGUFValue], shapes: [String: [Int]], tensors: [String: Tensor]) {
        files = []
        self.metadata = metadata
        self.tensors = tensors
        self.shapes = shapes
    }

    /// - Parameter url: the file, or any part.
    init(_ url: URL) throws(FileError) {
        let named = try GGUFFile(url)
        let count = named.metadata["split.count"]?.int ?? 1
        guard count > 1 else {
            files = [url]
            metadata = named.metadata
            tensors = Dictionary(uniqueKeysWithValues: named.tensors.map { ($0.name, $0) })
            shapes = tensors.mapValues(\.shape)
            return
        }
        var files: [URL] = []
        var tensors: [String: Tensor] = [:]
        var metadata: [String: GGUFValue] = [:]
        for number in 1...max(1, min(count, 99_999)) {
            let part = try Self.part(number, of: count, beside: url)
            let file = try GGUFFile(part)
            guard file.metadata["split.no"]?.int == number - 1, file.metadata["split.count"]?.int == count else {
                throw FileError(
                    .mismatch, file: part.path, field: "metadata split.no",
                    expected: "part \(number - 1) of \(count)",
                    found: file.metadata["split.no"]?.kindDescription ?? "nothing")
            }
            // The first part has the model's metadata.
            if number == 1 { metadata = file.metadata }
            for tensor in file.tensors where tensors.updateValue(tensor, forKey: tensor.name) != nil {
                throw FileError(
                    .malformed, file: part.path, field: "tensor \(tensor.name)", problem: "in two parts")
            }
            files.append(part)
        }
        if let expected = metadata["split.tensors.count"]?.int, expected != tensors.count {
            throw FileError(
                .mismatch, file: url.path, field: "metadata split.tensors.count", expected: "\(expected) tensors",
                found: "\(tensors.count)")
        }
        self.files = files
        self.metadata = metadata
        self.tensors = tensors
        shapes = tensors.mapValues(\.shape)
    }

    private static func part(_ number: Int, of count: Int, beside url: URL) throws(FileError) -> URL {
        func padded(_ value: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
        }
        let name = url.deletingPathExtension().lastPathComponent
        let ending = "-of-\(padded(count))"
        guard name.hasSuffix(ending), name.count > ending.count + 6 else {
            throw FileError(
                .mismatch, file: url.path, problem: "the file is one of \(count) parts",
                expected: "a name that ends in -00001\(ending).gguf", hint: "give the parts their names back")
        }
        let prefix = name.dropLast(ending.count + 6)
        return url.deletingLastPathComponent().appendingPathComponent("\(prefix)-\(padded(number))\(ending).gguf")
    }
}
