import Foundation
import FileFormats
import Tensors

/// One GGUF file, memory-mapped and checked: metadata, and tensors that keep the mapping alive.
public struct GGUFFile: Sendable {
    public let url: URL
    public let header: GGUFHeader
    /// In the order of their data.
    public let tensors: [Tensor]

    public var metadata: [String: GGUFValue] { header.metadata }

    /// Sizes, offsets, alignment, overlaps and the end of the file are checked for every tensor.
    /// - Throws: `missing`, `unreadable`, `truncated`, `malformed`, or `unsupported` for a type this program does not know.
    public init(_ url: URL) throws(FileError) {
        let map = try MappedFile(url)
        let path = url.path
        let header: GGUFHeader
        do throws(GGUFSyntaxError) { header = try GGUFHeader(map.bytes) } catch {
            throw FileError(
                error.isTruncated ? .truncated : .malformed, file: path, field: error.subject,
                problem: error.problem, hint: error.isTruncated ? "the file is incomplete: download it again" : nil)
        }
        var tensors: [Tensor] = []
        tensors.reserveCapacity(header.tensors.count)
        var end = 0
        var previous = ""
        for entry in header.tensors.sorted(by: { $0.offset < $1.offset }) {
            let (dtype, byteCount) = try Self.layout(entry, path: path)
            if byteCount > 0 {
                guard entry.offset >= end else {
                    throw FileError(
                        .malformed, file: path, field: "tensor \(entry.name)", problem: "overlaps \(previous)",
                        expected: "an offset from \(end)", found: "\(entry.offset)")
                }
                let (stop, overflow) = entry.offset.addingReportingOverflow(byteCount)
                guard !overflow, stop <= map.bytes.count - header.dataStart else {
                    throw FileError(
                        .truncated, file: path, field: "tensor \(entry.name)",
                        expected: "\(byteCount) bytes of data at offset \(entry.offset)",
                        found: "\(max(0, map.bytes.count - header.dataStart)) bytes of data",
                        hint: "the file is incomplete: download it again")
                }
                end = stop
                previous = entry.name
            }
            let start = header.dataStart + entry.offset
            let data =
                byteCount == 0
                ? UnsafeRawBufferPointer(start: nil, count: 0)
                : UnsafeRawBufferPointer(rebasing: map.bytes[start..<start + byteCount])
            tensors.append(Tensor(name: entry.name, dtype: dtype, shape: entry.shape, bytes: data, owner: map))
        }
        self.url = url
        self.header = header
        self.tensors = tensors
    }

    private static func layout(
        _ entry: GGUFHeader.TensorEntry, path: String
    ) throws(FileError) -> (DType, byteCount: Int) {
        guard let dtype = DType(ggufType: entry.type) else {
            throw FileError(
                .unsupported, file: path, field: "tensor \(entry.name)",
                expected: DType.allCases.filter(\.isWeight).map(\.rawValue).joined(separator: ", "),
                found: DType.ggufTypeName(entry.type))
        }
        let rows = entry.shape.dropLast().reduce(1, *)
        guard let rowBytes = dtype.byteCount(elements: entry.shape.last ?? 1) else {
            throw FileError(
                .malformed, file: path, field: "tensor \(entry.name)",
                expected: "rows of a multiple of \(dtype.blockElements) elements for \(dtype.rawValue)",
                found: "\(entry.shape)")
        }
        let (byteCount, overflow) = rows.multipliedReportingOverflow(by: rowBytes)
        guard !overflow else {
            throw FileError(.malformed, file: path, field: "tensor \(entry.name)", found: "\(entry.shape)")
        }
        return (dtype, byteCount)
    }
}
