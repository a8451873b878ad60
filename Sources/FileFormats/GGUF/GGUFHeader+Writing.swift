extension GGUFHeader {
    /// A tensor about to be written.
    public struct NewTensor: Sendable {
        public let name: String
        /// Outermost dimension first.
        public let shape: [Int]
        public let type: UInt32
        public let byteCount: Int

        public init(name: String, shape: [Int], type: UInt32, byteCount: Int) {
            self.name = name
            self.shape = shape
            self.type = type
            self.byteCount = byteCount
        }
    }

    /// Bytes that tensors are aligned to in what `encoded` writes: GGUF's default, so that no key need say it.
    public static let writtenAlignment = 32

    /// A version 3 header, padded to where the data start; data follow in order, each tensor padded to the alignment.
    ///
    /// Whole numbers become 32-bit where they fit, which is what llama.cpp expects of every key it reads.
    public static func encoded(metadata: [(key: String, value: GGUFValue)], tensors: [NewTensor]) -> [UInt8] {
        var encoder = GGUFEncoder()
        encoder.bytes += Array("GGUF".utf8)
        encoder.add(UInt32(3))
        encoder.add(UInt64(tensors.count))
        encoder.add(UInt64(metadata.count))
        for (key, value) in metadata {
            encoder.add(Array(key.utf8))
            encoder.add(value)
        }
        var offset = 0
        for tensor in tensors {
            encoder.add(Array(tensor.name.utf8))
            encoder.add(UInt32(tensor.shape.count))
            for size in tensor.shape.reversed() { encoder.add(UInt64(size)) }
            encoder.add(tensor.type)
            encoder.add(UInt64(offset))
            offset += padded(tensor.byteCount)
        }
        encoder.bytes += Array(repeating: 0, count: padded(encoder.bytes.count) - encoder.bytes.count)
        return encoder.bytes
    }

    /// `count` rounded up to the alignment.
    public static func padded(_ count: Int) -> Int {
        (count + writtenAlignment - 1) / writtenAlignment * writtenAlignment
    }
}

private struct GGUFEncoder {
    var bytes: [UInt8] = []

    mutating func add(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func add(_ text: [UInt8]) {
        add(UInt64(text.count))
        bytes += text
    }

    /// Type, then value.
    mutating func add(_ value: GGUFValue) {
        switch value {
        case .unsigned(let number):
            if let small = UInt32(exactly: number) {
                add(UInt32(4))
                add(small)
            } else {
                add(UInt32(10))
                add(number)
            }
        case .signed(let number):
            if let small = Int32(exactly: number) {
                add(UInt32(5))
                add(small)
            } else {
                add(UInt32(11))
                add(number)
            }
        case .float(let number):
            add(UInt32(6))
            add(Float(number).bitPattern)
        case .bool(let flag):
            add(UInt32(7))
            add(UInt8(flag ? 1 : 0))
        case .string(let text):
            add(UInt32(8))
            add(text)
        default:
            add(UInt32(9))
            addArray(value)
        }
    }

    /// Element type, count, elements.
    private mutating func addArray(_ value: GGUFValue) {
        switch value {
        case .integers(let numbers):
            let fits = numbers.allSatisfy { Int32(exactly: $0) != nil }
            add(UInt32(fits ? 5 : 11))
            add(UInt64(numbers.count))
            for number in numbers { if fits { add(Int32(truncatingIfNeeded: number)) } else { add(number) } }
        case .floats(let numbers):
            add(UInt32(6))
            add(UInt64(numbers.count))
            for number in numbers { add(number.bitPattern) }
        case .bools(let flags):
            add(UInt32(7))
            add(UInt64(flags.count))
            for flag in flags { add(UInt8(flag ? 1 : 0)) }
        case .strings(let texts):
            add(UInt32(8))
            add(UInt64(texts.count))
            for text in texts { add(text) }
        case .arrays(let values):
            add(UInt32(9))
            add(UInt64(values.count))
            for value in values { addArray(value) }
        case .unsigned, .signed, .float, .bool, .string: break
        }
    }
}
