import Tensors

/// Changes made to safetensors, GGUF and protobuf files where their fields are.
struct BinaryMutations {
    var json: JSONMutations

    private var bytes: ByteMutations {
        get { json.bytes }
        set { json.bytes = newValue }
    }

    /// The header as JSON, its length written anew; or the data.
    mutating func changeSafetensors(_ file: inout [UInt8], donor: [UInt8]) {
        let length = Self.integer(file, at: 0, size: 8)
        guard file.count >= 8, length > 0, length <= file.count - 8 else { return bytes.change(&file, donor: donor) }
        let (start, end) = (8, 8 + length)
        switch bytes.below(8) {
        case 0: bytes.setInteger(&file, at: 0, size: 8)
        case 1: bytes.change(&file, donor: donor)
        case 2, 3,
            4 where end < file.count:
            bytes.change(&file, in: end..<file.count, donor: donor)
        default:
            var header = Array(file[start..<end])
            json.change(&header, donor: Array(donor.dropFirst(8).prefix(2000)))
            file.replaceSubrange(start..<end, with: header)
            if !bytes.chance(10) { bytes.setInteger(&file, at: 0, size: 8, to: Int64(header.count)) }
        }
    }

    /// A count, a length, a type, a size or an offset; or any byte of the header; or of the data.
    mutating func changeGGUF(_ file: inout [UInt8], donor: [UInt8]) {
        let fields = Self.ggufFields(file)
        switch bytes.below(8) {
        case 0: bytes.change(&file, donor: donor)
        case 1, 2: bytes.change(&file, in: 0..<min(file.count, (fields.last?.offset ?? 0) + 64), donor: donor)
        default:
            guard !fields.isEmpty else { return bytes.change(&file, donor: donor) }
            let field = bytes.pick(fields)
            if bytes.chance(3) {
                let value = Self.integer(file, at: field.offset, size: field.size)
                bytes.setInteger(
                    &file, at: field.offset, size: field.size,
                    to: Int64(truncatingIfNeeded: value &+ bytes.below(9) &- 4)
                )
            } else {
                bytes.setInteger(&file, at: field.offset, size: field.size)
            }
        }
    }

    /// Whole fields, and numbers inside them.
    mutating func changeProtobuf(_ file: inout [UInt8], donor: [UInt8]) {
        let fields = Self.protobufFields(file, in: 0..<file.count)
        guard !fields.isEmpty, !bytes.chance(5) else { return bytes.change(&file, donor: donor) }
        let field = bytes.pick(fields)
        switch bytes.below(6) {
        case 0: file.removeSubrange(field)
        case 1:
            let copy = Array(file[field])
            let times = bytes.pick([1, 1, 20])
            file.insert(contentsOf: (0..<times).flatMap { _ in copy }, at: bytes.pick(fields).lowerBound)
        case 2:
            let copy = Array(file[bytes.pick(fields)])
            file.replaceSubrange(field, with: copy)
        case 3: bytes.change(&file, in: field, donor: donor)
        default:
            // The five last bytes but two of a piece are its score.
            let score = field.upperBound - (bytes.chance(2) ? 4 : 6)
            guard score > field.lowerBound else { return }
            let value: Float = bytes.pick([.nan, .infinity, -.infinity, 0, 1e38, -1e38, -3, 7])
            bytes.setInteger(&file, at: score, size: 4, to: Int64(value.bitPattern))
        }
    }

    static func integer(_ file: [UInt8], at offset: Int, size: Int) -> Int {
        guard offset >= 0, size <= file.count - offset else { return 0 }
        return (0..<size).reduce(0) { $0 | Int(truncatingIfNeeded: UInt64(file[offset + $1]) << UInt64(8 * $1)) }
    }

    /// Where a GGUF header has its numbers.
    private static func ggufFields(_ file: [UInt8]) -> [(offset: Int, size: Int)] {
        var fields: [(offset: Int, size: Int)] = []
        var position = 4
        func number(_ size: Int) -> Int {
            guard size <= file.count - position else { return 0 }
            defer { position += size }
            if fields.count < 5000 { fields.append((position, size)) }
            return integer(file, at: position, size: size)
        }
        func string() {
            let length = number(8)
            position = min(file.count, position &+ max(0, min(length, file.count)))
        }
        let sizes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8]
        _ = number(4)
        let (tensors, entries) = (number(8), number(8))
        for _ in 0..<max(0, min(entries, 10_000)) where position < file.count {
            string()
            let type = number(4)
            switch type {
            case 8: string()
            case 9:
                let (element, count) = (number(4), number(8))
                for _ in 0..<max(0, min(count, 100_000)) where position < file.count {
                    if element == 8 { string() } else { _ = number(sizes.indices ~= element ? sizes[element] : 1) }
                }
            default: _ = number(sizes.indices ~= type ? sizes[type] : 1)
            }
        }
        for _ in 0..<max(0, min(tensors, 10_000)) where position < file.count {
            string()
            for _ in 0..<max(0, min(number(4), 4)) { _ = number(8) }
            _ = number(4)
            _ = number(8)
        }
        return fields
    }

    /// Where the fields of a message are, tag included; up to the first that is not understood.
    private static func protobufFields(_ file: [UInt8], in range: Range<Int>) -> [Range<Int>] {
        var fields: [Range<Int>] = []
        var position = range.lowerBound
        func varint() -> Int? {
            var value = 0
            for shift in 0..<9 {
                guard position < range.upperBound else { return nil }
                let byte = file[position]
                position += 1
                value |= Int(byte & 0x7F) << (7 * shift)
                if byte < 0x80 { return value }
            }
            return nil
        }
        while position < range.upperBound {
            let start = position
            guard let tag = varint() else { break }
            switch tag & 7 {
            case 0: guard varint() != nil else { return fields }
            case 1: position += 8
            case 2:
                guard let length = varint(), length <= range.upperBound - position else { return fields }
                position += length
            case 5: position += 4
            default: return fields
            }
            guard position <= range.upperBound else { break }
            fields.append(start..<position)
        }
        return fields
    }
}
