/// Why bytes are no GGUF header.
public struct GGUFSyntaxError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The bytes end before the header does.
    public var isTruncated: Bool
    /// What was being read: "metadata llama.block_count", "tensor 12".
    public var subject: String
    public var problem: String
    public var description: String { "\(subject): \(problem)" }
}

/// Everything before the data of a GGUF file, versions 2 and 3, little-endian.
///
/// Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md. Counts and lengths are checked against the bytes there
/// are before anything is allocated.
public struct GGUFHeader: Sendable {
    public struct TensorEntry: Sendable, Equatable {
        public let name: String
        /// Outermost dimension first (the file has it the other way round).
        public let shape: [Int]
        /// GGML's number of the element type.
        public let type: UInt32
        /// From the start of the data.
        public let offset: Int
    }

    public let version: UInt32
    /// Keys in the order of the file.
    public let keys: [String]
    public let metadata: [String: GGUFValue]
    public let tensors: [TensorEntry]
    /// What offsets are multiples of.
    public let alignment: Int
    /// Where the data start, in bytes from the start of the file.
    public let dataStart: Int

    public init(_ bytes: UnsafeRawBufferPointer) throws(GGUFSyntaxError) {
        var cursor = GGUFCursor(bytes: bytes)
        cursor.subject = "magic"
        guard bytes.count >= 4, bytes[0..<4].elementsEqual("GGUF".utf8) else {
            throw cursor.error("the file does not start with \"GGUF\"")
        }
        cursor.position = 4
        cursor.subject = "version"
        version = try cursor.integer()
        guard version == 2 || version == 3 else {
            throw cursor.error(
                version.byteSwapped <= 3 ? "big-endian files are not read" : "expected 2 or 3, found \(version)")
        }
        cursor.subject = "tensor count"
        // The shortest tensor entry has 8 + 4 + 4 + 8 bytes, the shortest metadata entry 8 + 4 + 1.
        let tensorCount = try cursor.count(elementBytes: 24)
        cursor.subject = "metadata count"
        let metadataCount = try cursor.count(elementBytes: 13)

        var keys: [String] = []
        var metadata: [String: GGUFValue] = [:]
        for index in 0..<metadataCount {
            cursor.subject = "metadata \(index)"
            let key = try cursor.name()
            cursor.subject = "metadata \(key)"
            let type: UInt32 = try cursor.integer()
            guard metadata.updateValue(try cursor.value(type: type), forKey: key) == nil else {
                throw cursor.error("the key appears twice")
            }
            keys.append(key)
        }
        self.keys = keys
        self.metadata = metadata

        cursor.subject = "metadata general.alignment"
        if let value = metadata["general.alignment"] {
            guard let given = value.int, given > 0, given <= 1 << 20, given & (given - 1) == 0 else {
                throw cursor.error("expected a power of two up to 2²⁰, found \(value.kindDescription)")
            }
            alignment = given
        } else {
            alignment = 32
        }

        var tensors: [TensorEntry] = []
        var names: Set<String> = []
        tensors.reserveCapacity(tensorCount)
        for index in 0..<tensorCount {
            cursor.subject = "tensor \(index)"
            let entry = try cursor.tensorEntry()
            cursor.subject = "tensor \(entry.name)"
            guard names.insert(entry.name).inserted else { throw cursor.error("the name appears twice") }
            guard entry.offset % alignment == 0 else {
                throw cursor.error("offset \(entry.offset) is no multiple of the alignment \(alignment)")
            }
            tensors.append(entry)
        }
        self.tensors = tensors
        dataStart = (cursor.position + alignment - 1) / alignment * alignment
    }
}

/// Reads little-endian values one after the other, never beyond the end.
private struct GGUFCursor {
    let bytes: UnsafeRawBufferPointer
    var position = 0
    var subject = ""

    var remaining: Int { bytes.count - position }

    func error(_ problem: String) -> GGUFSyntaxError {
        GGUFSyntaxError(isTruncated: false, subject: subject, problem: problem)
    }

    func truncated(_ needed: UInt64) -> GGUFSyntaxError {
        GGUFSyntaxError(
            isTruncated: true, subject: subject,
            problem: "the file ends: \(needed) bytes expected at byte \(position), \(remaining) found")
    }

    mutating func integer<T: FixedWidthInteger & BitwiseCopyable>() throws(GGUFSyntaxError) -> T {
        guard remaining >= MemoryLayout<T>.size else { throw truncated(UInt64(MemoryLayout<T>.size)) }
        defer { position += MemoryLayout<T>.size }
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: T.self))
    }

    /// A number of elements that the bytes left could hold.
    mutating func count(elementBytes: Int) throws(GGUFSyntaxError) -> Int {
        let value: UInt64 = try integer()
        let (needed, overflow) = value.multipliedReportingOverflow(by: UInt64(elementBytes))
        guard !overflow, needed <= UInt64(remaining) else { throw truncated(overflow ? .max : needed) }
        return Int(value)
    }

    mutating func string() throws(GGUFSyntaxError) -> [UInt8] {
        let length = try count(elementBytes: 1)
        defer { position += length }
        return Array(bytes[position..<position + length])
    }

    /// A string that things are looked up by.
    mutating func name() throws(GGUFSyntaxError) -> String {
        String(decoding: try safeString(), as: UTF8.self)
    }

    private mutating func safeString() throws(GGUFSyntaxError) -> [UInt8] {
        let text = try string()
        guard StreamSafety.isSafe(String(decoding: text, as: UTF8.self)) else { throw error(StreamSafety.problem) }
        return text
    }

    mutating func value(type: UInt32, depth: Int = 0) throws(GGUFSyntaxError) -> GGUFValue {
        switch type {
        case 0: return .unsigned(UInt64(try integer() as UInt8))
        case 1: return .signed(Int64(try integer() as Int8))
        case 2: return .unsigned(UInt64(try integer() as UInt16))
        case 3: return .signed(Int64(try integer() as Int16))
        case 4: return .unsigned(UInt64(try integer() as UInt32))
        case 5: return .signed(Int64(try integer() as Int32))
        case 6: return .float(Double(Float(bitPattern: try integer())))
        case 7: return .bool(try truth())
        case 8: return .string(try safeString())
        case 9: return try array(depth: depth)
        case 10: return .unsigned(try integer())
        case 11: return .signed(try integer())
        case 12: return .float(Double(bitPattern: try integer()))
        default: throw error("value type \(type) is unknown")
        }
    }

    private mutating func truth() throws(GGUFSyntaxError) -> Bool {
        let byte: UInt8 = try integer()
        guard byte <= 1 else { throw error("a truth value is \(byte)") }
        return byte == 1
    }

    private mutating func array(depth: Int) throws(GGUFSyntaxError) -> GGUFValue {
        let type: UInt32 = try integer()
        switch type {
        case 0:
            return .integers(
                try elements(bytesEach: 1) { c throws(GGUFSyntaxError) in Int64(try c.integer() as UInt8) })
        case 1:
            return .integers(try elements(bytesEach: 1) { c throws(GGUFSyntaxError) in Int64(try c.integer() as Int8) })
        case 2:
            return .integers(
                try elements(bytesEach: 2) { c throws(GGUFSyntaxError) in Int64(try c.integer() as UInt16) })
        case 3:
            return .integers(
                try elements(bytesEach: 2) { c throws(GGUFSyntaxError) in Int64(try c.integer() as Int16) })
        case 4:
            return .integers(
                try elements(bytesEach: 4) { c throws(GGUFSyntaxError) in Int64(try c.integer() as UInt32) })
        case 5:
            return .integers(
                try elements(bytesEach: 4) { c throws(GGUFSyntaxError) in Int64(try c.integer() as Int32) })
        case 6:
            return .floats(
                try elements(bytesEach: 4) { c throws(GGUFSyntaxError) in Float(bitPattern: try c.integer()) })
        case 7: return .bools(try elements(bytesEach: 1) { c throws(GGUFSyntaxError) in try c.truth() })
        case 8: return .strings(try elements(bytesEach: 8) { c throws(GGUFSyntaxError) in try c.string() })
        case 9:
            guard depth < 8 else { throw error("arrays are nested too deep") }
            return .arrays(
                try elements(bytesEach: 12) { c throws(GGUFSyntaxError) in try c.array(depth: depth + 1) })
        case 10:
            return .integers(
                try elements(bytesEach: 8) { c throws(GGUFSyntaxError) in Int64(bitPattern: try c.integer() as UInt64) }
            )
        case 11: return .integers(try elements(bytesEach: 8) { c throws(GGUFSyntaxError) in try c.integer() })
        case 12:
            return .floats(
                try elements(bytesEach: 8) { c throws(GGUFSyntaxError) in Float(Double(bitPattern: try c.integer())) })
        default: throw error("element type \(type) is unknown")
        }
    }

    private mutating func elements<T>(
        bytesEach: Int, _ read: (inout GGUFCursor) throws(GGUFSyntaxError) -> T
    ) throws(GGUFSyntaxError) -> [T] {
        let count = try count(elementBytes: bytesEach)
        var result: [T] = []
        result.reserveCapacity(count)
        for _ in 0..<count { result.append(try read(&self)) }
        return result
    }

    mutating func tensorEntry() throws(GGUFSyntaxError) -> GGUFHeader.TensorEntry {
        let name = try name()
        subject = "tensor \(name)"
        let dimensionCount: UInt32 = try integer()
        guard dimensionCount <= 4 else { throw error("\(dimensionCount) dimensions; at most 4 are allowed") }
        var shape: [Int] = []
        var product = 1
        for _ in 0..<dimensionCount {
            let size: UInt64 = try integer()
            guard size <= 1 << 48 else { throw error("a dimension of \(size)") }
            // A size of 0 counts as 1: products of some of the others must not overflow either.
            let (next, overflow) = product.multipliedReportingOverflow(by: max(1, Int(size)))
            guard !overflow else { throw error("the product of the dimensions overflows") }
            product = next
            shape.insert(Int(size), at: 0)
        }
        let type: UInt32 = try integer()
        let offset: UInt64 = try integer()
        guard let offset = Int(exactly: offset) else { throw error("offset \(offset) is out of range") }
        return .init(name: name, shape: shape, type: type, offset: offset)
    }
}
