import Checkpoints
import Foundation
import FileFormats
import Tensors

/// How much each input column of a model's matrices matters: the mean square of what was multiplied with it while the model
/// read a text. A quantizer that weighs errors by it keeps what the model computes, not the weights as such.
///
/// Read and written as llama.cpp's importance matrix (a GGUF file of type "imatrix"): for each tensor `NAME.in_sum2`,
/// F32 [experts, columns], sums of squares, and `NAME.counts`, F32 [experts, 1], rows summed.
public struct ImportanceMatrix: Sendable, Equatable {
    public struct Entry: Sendable, Equatable {
        /// [experts, columns]; one "expert" where the tensor is a single matrix.
        public var sums: [Float]
        /// [experts]
        public var counts: [Float]

        public init(sums: [Float], counts: [Float]) {
            self.sums = sums
            self.counts = counts
        }
    }

    /// By the tensor's name in a GGUF file.
    public var entries: [String: Entry]
    /// Names of the texts.
    public var datasets: [String]
    /// Pieces of text read, and tokens of each at most.
    public var chunkCount: Int
    public var chunkSize: Int

    public init(entries: [String: Entry], datasets: [String], chunkCount: Int, chunkSize: Int) {
        self.entries = entries
        self.datasets = datasets
        self.chunkCount = chunkCount
        self.chunkSize = chunkSize
    }

    /// Reads a file written by `write`, or by llama.cpp's `llama-imatrix`.
    /// - Throws: `malformed` naming the tensor, and whatever opening a GGUF file finds.
    public init(_ url: URL) throws(FileError) {
        let file = try GGUFFile(url)
        guard file.metadata["general.type"]?.string == "imatrix" else {
            throw FileError(
                .unsupported, file: url.path, field: "metadata general.type", expected: "\"imatrix\"",
                found: file.metadata["general.type"]?.kindDescription ?? "nothing",
                hint: "`moescope importance` writes such a file")
        }
        let tensors = Dictionary(file.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        entries = [:]
        for (name, sums) in tensors where name.hasSuffix(".in_sum2") {
            let base = String(name.dropLast(".in_sum2".count))
            guard let counts = tensors[base + ".counts"], sums.dtype == .f32, counts.dtype == .f32, counts.count > 0,
                sums.count % counts.count == 0
            else {
                throw FileError(
                    .malformed, file: url.path, field: "tensor \(name)", problem: "has no counts that fit it")
            }
            let entry = Entry(
                sums: Array(sums.bytes.bindMemory(to: Float.self)),
                counts: Array(counts.bytes.bindMemory(to: Float.self)))
            guard (entry.sums + entry.counts).allSatisfy({ $0.isFinite && $0 >= 0 }) else {
                throw FileError(
                    .malformed, file: url.path, field: "tensor \(name)", problem: "holds what is no mean square")
            }
            entries[base] = entry
        }
        datasets = file.metadata["imatrix.datasets"]?.strings?.map { String(decoding: $0, as: UTF8.self) } ?? []
        chunkCount = file.metadata["imatrix.chunk_count"]?.int ?? 0
        chunkSize = file.metadata["imatrix.chunk_size"]?.int ?? 0
    }

    /// Writes the file: to a temporary name, flushed, renamed.
    public func write(to url: URL) throws(FileError) {
        var tensors: [(header: GGUFHeader.NewTensor, values: [Float])] = []
        for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
            func add(_ suffix: String, _ values: [Float]) {
                let shape = [entry.counts.count, values.count / entry.counts.count]
                tensors.append(
                    (.init(name: name + suffix, shape: shape, type: 0, byteCount: 4 * values.count), values))
            }
            add(".in_sum2", entry.sums)
            add(".counts", entry.counts)
        }
        let metadata: [(key: String, value: GGUFValue)] = [
            ("general.type", .string(Array("imatrix".utf8))),
            ("imatrix.datasets", .strings(datasets.map { Array($0.utf8) })),
            ("imatrix.chunk_count", .unsigned(UInt64(chunkCount))),
            ("imatrix.chunk_size", .unsigned(UInt64(chunkSize))),
        ]
        var writer = try AtomicFileWriter(url)
        try writer.write(GGUFHeader.encoded(metadata: metadata, tensors: tensors.map(\.header)))
        for (header, values) in tensors {
            try writer.write(values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) })
            let padding = GGUFHeader.padded(header.byteCount) - header.byteCount
            try writer.write([UInt8](repeating: 0, count: padding))
        }
        _ = try writer.finish()
    }

    /// Whether what is said of a tensor has its shape.
    func check(_ tensors: [PlacedTensor]) throws(FileError) {
        for tensor in tensors {
            guard let entry = entries[tensor.name] else { continue }
            let parts = tensor.shape.count == 3 ? tensor.shape[0] : 1
            guard entry.counts.count == parts, entry.sums.count == parts * tensor.columns else {
                throw FileError(
                    .mismatch, file: "importance", field: "tensor \(tensor.name)",
                    expected: "\(parts) × \(tensor.columns) columns",
                    found: "\(entry.counts.count) × \(entry.sums.count / max(1, entry.counts.count))",
                    hint: "it was measured on another model")
            }
        }
    }

    /// Mean squares, [experts, columns], each expert's of mean 1; nil where nothing is known of the tensor. An expert that no
    /// token went to has 1 everywhere.
    func weights(of tensor: PlacedTensor) -> [Float]? {
        guard let entry = entries[tensor.name] else { return nil }
        let columns = tensor.columns
        var result = [Float](repeating: 1, count: entry.sums.count)
        for (expert, count) in entry.counts.enumerated() where count > 0 {
            let range = expert * columns..<(expert + 1) * columns
            let mean = entry.sums[range].reduce(0) { $0 + Double($1) } / Double(columns)
            guard mean > 0 else { continue }
            // A column that was always 0 keeps a little weight, so that no block is without any.
            for column in range { result[column] = Float(max(1e-6, Double(entry.sums[column]) / mean)) }
        }
        return result
    }
}
