import Foundation
import Tensors

extension SafetensorsFile {
    /// A tensor about to be written: its bytes are asked for when its turn comes, in as many pieces as it likes, so
    /// that a file larger than memory can be written.
    public struct Entry {
        /// Takes the next bytes of the tensor's row-major, little-endian data.
        public typealias Sink = (UnsafeRawBufferPointer) throws(FileError) -> Void

        public let name: String
        public let dtype: DType
        public let shape: [Int]
        let produce: (Sink) throws(FileError) -> Void

        /// - Parameter produce: calls its argument until all bytes of the tensor are given.
        public init(
            name: String, dtype: DType, shape: [Int],
            produce: @escaping (Sink) throws(FileError) -> Void
        ) {
            self.name = name
            self.dtype = dtype
            self.shape = shape
            self.produce = produce
        }

        /// A tensor as it is, under its own or another name.
        public init(_ tensor: Tensor, name: String? = nil) {
            self.init(name: name ?? tensor.name, dtype: tensor.dtype, shape: tensor.shape) {
                sink throws(FileError) in try sink(tensor.bytes)
            }
        }

        /// The elements of an array, whose memory layout must be that of `dtype`: `Float` for F32, `UInt16` for F16 bits.
        public init<Element: BitwiseCopyable>(name: String, dtype: DType, shape: [Int], values: [Element]) {
            precondition(
                MemoryLayout<Element>.size == dtype.blockBytes && values.count == shape.reduce(1, *),
                "\(name): \(values.count) elements do not fill \(dtype.rawValue) \(shape)")
            self.init(name: name, dtype: dtype, shape: shape) { sink throws(FileError) in
                let result = values.withUnsafeBytes { bytes in
                    Result { () throws(FileError) -> Void in try sink(bytes) }
                }
                try result.get()
            }
        }
    }

    /// What was written.
    public struct Written: Sendable, Equatable {
        public let byteCount: Int
        /// Hex, of the whole file.
        public let sha256: String
    }

    /// Writes a safetensors file, streaming: to a temporary name beside `url`, flushed, renamed.
    ///
    /// Data are laid out by falling element size (then in the given order), so that every tensor is aligned.
    /// - Throws: `unwritable` for what the operating system refuses; `mismatch` for a tensor whose bytes are not as many
    ///   as its shape says, or that safetensors cannot hold. Nothing is left under `url` then.
    @discardableResult
    public static func write(
        _ entries: [Entry], metadata: [String: String] = [:], to url: URL
    ) throws(FileError) -> Written {
        try write(entries, metadata: metadata, to: url, in: .anywhere)
    }

    @discardableResult
    package static func write(
        _ entries: [Entry], metadata: [String: String] = [:], to url: URL, in place: AtomicFileWriter.Place
    ) throws(FileError) -> Written {
        let ordered = entries.enumerated().sorted {
            ($1.element.dtype.blockBytes, $0.offset) < ($0.element.dtype.blockBytes, $1.offset)
        }.map(\.element)
        var sizes: [Int] = []
        for entry in ordered {
            guard entry.dtype.blockElements == 1, let size = entry.dtype.byteCount(elements: entry.shape.reduce(1, *))
            else {
                throw FileError(
                    .mismatch, file: url.path, field: "tensor \(entry.name)",
                    expected: "an element type that safetensors knows", found: entry.dtype.rawValue)
            }
            sizes.append(size)
        }
        guard Set(entries.map(\.name)).count == entries.count else {
            throw FileError(.mismatch, file: url.path, problem: "two tensors have one name")
        }

        var writer = try AtomicFileWriter(url, in: place)
        let header = header(ordered, sizes: sizes, metadata: metadata)
        let result = header.withUnsafeBytes { bytes in
            Result { () throws(FileError) -> Void in try writer.write(bytes) }
        }
        try result.get()
        for (entry, size) in zip(ordered, sizes) {
            let before = writer.byteCount
            try entry.produce { bytes throws(FileError) in try writer.write(bytes) }
            guard writer.byteCount - before == size else {
                throw FileError(
                    .mismatch, file: url.path, field: "tensor \(entry.name)", expected: "\(size) bytes",
                    found: "\(writer.byteCount - before)")
            }
        }
        let byteCount = writer.byteCount
        return Written(byteCount: byteCount, sha256: try writer.finish())
    }

    /// Length and JSON, padded with spaces so that the data start at a multiple of 8.
    private static func header(_ entries: [Entry], sizes: [Int], metadata: [String: String]) -> [UInt8] {
        var members: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }.map { "\(JSON.quoted($0.key)):\(JSON.quoted($0.value))" }
            members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
        }
        var begin = 0
        for (entry, size) in zip(entries, sizes) {
            let shape = entry.shape.map(String.init).joined(separator: ",")
            members.append(
                "\(JSON.quoted(entry.name)):{\"dtype\":\"\(entry.dtype.rawValue)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(begin),\(begin + size)]}")
            begin += size
        }
        var text = Array("{\(members.joined(separator: ","))}".utf8)
        while text.count % 8 != 0 { text.append(UInt8(ascii: " ")) }
        return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) } + text
    }
}
