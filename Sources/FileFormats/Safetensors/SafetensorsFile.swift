import Foundation
import Tensors

/// A safetensors file, memory-mapped and wholly checked: 8 bytes of header length, a JSON header, the data.
///
/// Format: huggingface.co/docs/safetensors. Nothing is read before it is used; tensors keep the mapping alive.
public struct SafetensorsFile: Sendable {
    public let url: URL
    /// Every tensor, in the order of its data.
    public let tensors: [Tensor]
    /// `__metadata__`; empty where there is none.
    public let metadata: [String: String]
    private let indexOfName: [String: Int]

    /// The tensor of this name.
    public subscript(name: String) -> Tensor? { indexOfName[name].map { tensors[$0] } }

    /// Longest header accepted, as in the reference implementation.
    static let headerLimit = 100_000_000

    /// Opens and checks a file.
    ///
    /// Header length, JSON, dtypes, shape × size against the offsets, gaps, overlaps and the end of the file are all
    /// checked. Tensors whose data are not aligned to their element are copied into aligned memory.
    /// - Throws: `missing`, `unreadable`, `truncated`, `malformed` or (an element type without a `DType`) `unsupported`.
    public init(_ url: URL) throws(FileError) {
        let map = try MappedFile(url)
        let path = url.path
        guard map.bytes.count >= 8 else {
            throw FileError(
                .truncated, file: path, field: "header length", expected: "at least 8 bytes",
                found: "\(map.bytes.count)")
        }
        let announced = UInt64(littleEndian: map.bytes.loadUnaligned(as: UInt64.self))
        guard announced <= Self.headerLimit else {
            throw FileError(
                .malformed, file: path, field: "header length", expected: "at most \(Self.headerLimit)",
                found: "\(announced)", hint: "is this a safetensors file?")
        }
        let dataStart = 8 + Int(announced)
        guard dataStart <= map.bytes.count else {
            throw FileError(
                .truncated, file: path, field: "header", expected: "\(dataStart) bytes",
                found: "\(map.bytes.count)", hint: "download the file again")
        }
        let header: JSONObject
        do throws(JSONSyntaxError) {
            let json = try JSON.parse(UnsafeRawBufferPointer(rebasing: map.bytes[8..<dataStart]))
            guard let object = json.object else {
                throw JSONSyntaxError.notAnObject
            }
            header = object
        } catch {
            throw FileError(.malformed, file: path, field: "header", problem: error.description)
        }

        var entries: [SafetensorsEntry] = []
        var metadata: [String: String] = [:]
        for (name, value) in zip(header.keys, header.values) {
            if name == "__metadata__" {
                metadata = try Self.metadata(value, path: path)
            } else {
                entries.append(try SafetensorsEntry(name: name, json: value, path: path))
            }
        }
        entries.sort { ($0.begin, $0.end) < ($1.begin, $1.end) }
        try Self.checkLayout(entries, dataBytes: map.bytes.count - dataStart, path: path)

        var tensors: [Tensor] = []
        tensors.reserveCapacity(entries.count)
        var indexOfName: [String: Int] = [:]
        for entry in entries {
            let data = UnsafeRawBufferPointer(rebasing: map.bytes[dataStart + entry.begin..<dataStart + entry.end])
            // Swift's strings are equal where their characters are, however they are spelled; whoever looks a tensor up by
            // its name would find either.
            guard indexOfName.updateValue(tensors.count, forKey: entry.name) == nil else {
                throw FileError(
                    .malformed, file: path, field: "tensor \(entry.name)",
                    problem: "another tensor's name has the same characters in another Unicode spelling")
            }
            tensors.append(entry.tensor(data: data, owner: map))
        }
        self.url = url
        self.tensors = tensors
        self.metadata = metadata
        self.indexOfName = indexOfName
    }

    private static func metadata(_ json: JSON, path: String) throws(FileError) -> [String: String] {
        // As the reference reads it: null is no metadata.
        if json.isNull { return [:] }
        guard let object = json.object else {
            throw FileError(
                .malformed, file: path, field: "__metadata__", expected: "an object", found: json.kindDescription)
        }
        var result: [String: String] = [:]
        for (key, value) in zip(object.keys, object.values) {
            guard let text = value.string else {
                throw FileError(
                    .malformed, file: path, field: "__metadata__.\(key)", expected: "a string",
                    found: value.kindDescription)
            }
            result[key] = text
        }
        return result
    }

    /// The entries, by rising offset, must cover the data without gap or overlap, as the reference demands.
    private static func checkLayout(
        _ entries: [SafetensorsEntry], dataBytes: Int, path: String
    ) throws(FileError) {
        var position = 0
        for entry in entries {
            guard entry.end <= dataBytes else {
                throw FileError(
                    .truncated, file: path, field: "tensor \(entry.name)",
                    expected: "data up to byte \(entry.end)", found: "\(dataBytes) bytes of data",
                    hint: "the file is incomplete: download it again")
            }
            guard entry.begin == position else {
                throw FileError(
                    .malformed, file: path, field: "tensor \(entry.name)",
                    problem: "data_offsets overlap or leave a gap",
                    expected: "a start at byte \(position)", found: "\(entry.begin)")
            }
            position = entry.end
        }
        guard position == dataBytes else {
            throw FileError(
                .malformed, file: path, field: "data", expected: "\(position) bytes", found: "\(dataBytes)",
                hint: "bytes that no tensor owns follow the last one")
        }
    }
}

/// One member of the header, its size checked against its shape.
private struct SafetensorsEntry {
    let name: String
    let dtype: DType
    let shape: [Int]
    /// Bytes from the start of the data.
    let begin: Int
    let end: Int

    init(name: String, json: JSON, path: String) throws(FileError) {
        func bad(_ field: String, expected: String, found: JSON?) -> FileError {
            FileError(
                .malformed, file: path, field: "tensor \(name), field \(field)", expected: expected,
                found: found?.kindDescription ?? "nothing")
        }
        guard let object = json.object else {
            throw FileError(
                .malformed, file: path, field: "tensor \(name)", expected: "an object", found: json.kindDescription)
        }
        guard let typeName = object["dtype"]?.string else {
            throw bad("dtype", expected: "a string", found: object["dtype"])
        }
        guard let dtype = DType(rawValue: typeName), dtype.blockElements == 1 else {
            throw FileError(
                .unsupported, file: path, field: "tensor \(name), field dtype",
                expected: DType.allCases.filter { $0.blockElements == 1 }.map(\.rawValue).joined(separator: ", "),
                found: typeName)
        }
        guard let dimensions = object["shape"]?.array else {
            throw bad("shape", expected: "an array of sizes", found: object["shape"])
        }
        var shape: [Int] = []
        var count = 1
        for dimension in dimensions {
            // The upper limit matters beside a size of 0, where the product says nothing.
            guard let size = dimension.int, 0...1 << 48 ~= size else {
                throw bad("shape", expected: "sizes from 0 to 2⁴⁸", found: dimension)
            }
            // A size of 0 counts as 1: products of some of the others must not overflow either.
            let (product, overflow) = count.multipliedReportingOverflow(by: max(1, size))
            guard !overflow else { throw bad("shape", expected: "a product below 2⁶³", found: dimension) }
            count = product
            shape.append(size)
        }
        if shape.contains(0) { count = 0 }
        guard let offsets = object["data_offsets"]?.array, offsets.count == 2, let begin = offsets[0].int,
            let end = offsets[1].int, 0 <= begin, begin <= end
        else {
            throw bad("data_offsets", expected: "[begin, end] with 0 ≤ begin ≤ end", found: object["data_offsets"])
        }
        guard let byteCount = dtype.byteCount(elements: count), byteCount == end - begin else {
            throw FileError(
                .malformed, file: path, field: "tensor \(name), field data_offsets",
                expected:
                    "\(dtype.byteCount(elements: count).map(String.init) ?? "too many") bytes for \(typeName) \(shape)",
                found: "\(end - begin)")
        }
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.begin = begin
        self.end = end
    }

    func tensor(data: UnsafeRawBufferPointer, owner: MappedFile) -> Tensor {
        if UInt(bitPattern: data.baseAddress) % UInt(dtype.blockBytes) == 0 || data.isEmpty {
            return Tensor(name: name, dtype: dtype, shape: shape, bytes: data, owner: owner)
        }
        let copy = AlignedBuffer(copying: data)
        return Tensor(name: name, dtype: dtype, shape: shape, bytes: UnsafeRawBufferPointer(copy.bytes), owner: copy)
    }
}
