import Tensors

/// Changes made to bytes of any kind.
struct ByteMutations {
    var random: SeededGenerator

    init(seed: UInt64, index: UInt64) { random = SeededGenerator(seed: seed, stream: index) }

    /// Numbers at which programs go wrong.
    static let boundaries: [Int64] = [
        0, 1, -1, 2, 3, 7, 8, 63, 64, 65, 127, 128, 255, 256, 1 << 15, 1 << 16, 1 << 20, 1 << 24, 1 << 31 - 1, 1 << 31,
        1 << 32 - 1, 1 << 32, 1 << 40, 1 << 47, 1 << 48, 1 << 53, 1 << 60, 1 << 61, 1 << 62, .max, .max - 1, .min,
        .min + 1, -2, -8, -(1 << 31), -(1 << 32),
    ]

    mutating func below(_ bound: Int) -> Int { random.below(max(1, bound)) }
    mutating func chance(_ of: Int) -> Bool { below(of) == 0 }
    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
    mutating func boundary() -> Int64 { pick(Self.boundaries) }

    /// A part of the bytes, mostly short.
    private mutating func range(of count: Int) -> Range<Int> {
        let start = below(count)
        let longest = chance(4) ? count - start : min(16, count - start)
        return start..<start + below(longest + 1)
    }

    /// One change anywhere in `place`.
    /// - Parameter donor: another file, of which parts are taken.
    mutating func change(_ bytes: inout [UInt8], in place: Range<Int>? = nil, donor: [UInt8] = []) {
        let place = place ?? 0..<bytes.count
        guard !place.isEmpty else { return bytes.append(UInt8(below(256))) }
        let offset = place.lowerBound + below(place.count)
        switch below(12) {
        case 0, 1: bytes[offset] ^= 1 << UInt8(below(8))
        case 2: bytes[offset] = UInt8(below(256))
        case 3: bytes[offset] = pick([0, 1, 0x7F, 0x80, 0xFF, 0x20, 0x22, 0x2C, 0x5B, 0x5D, 0x7B, 0x7D])
        case 4: setInteger(&bytes, at: offset, size: pick([2, 4, 8]))
        case 5: bytes.removeSubrange(offset...)
        case 6:
            let part = range(of: bytes.count)
            bytes.removeSubrange(part)
        case 7:
            let part = Array(bytes[range(of: bytes.count)])
            for _ in 0..<pick([1, 1, 2, 50]) where bytes.count < 1 << 20 { bytes.insert(contentsOf: part, at: offset) }
        case 8:
            let from = donor.isEmpty ? bytes : donor
            let part = range(of: from.count)
            let end = min(bytes.count, offset + part.count)
            bytes.replaceSubrange(offset..<end, with: from[part])
        case 9:
            let end = min(bytes.count, offset + below(64))
            for i in offset..<end { bytes[i] = 0 }
        case 10: changeDigits(&bytes, near: offset)
        default: setFloat(&bytes, at: offset & ~3)
        }
    }

    mutating func setInteger(_ bytes: inout [UInt8], at offset: Int, size: Int) {
        let value = chance(4) ? Int64(bytes.count) &+ Int64(below(17) - 8) : boundary()
        setInteger(&bytes, at: offset, size: size, to: value)
    }

    func setInteger(_ bytes: inout [UInt8], at offset: Int, size: Int, to value: Int64) {
        for i in 0..<size where offset + i < bytes.count {
            bytes[offset + i] = UInt8(truncatingIfNeeded: value >> Int64(8 * i))
        }
    }

    private mutating func setFloat(_ bytes: inout [UInt8], at offset: Int) {
        let value: Float = pick([
            .nan, .infinity, -.infinity, 0, -0.0, 1e38, -1e38, .leastNonzeroMagnitude, 1, -1, 65504, 1e10,
        ])
        setInteger(&bytes, at: offset, size: 4, to: Int64(value.bitPattern))
    }

    /// Puts another number in the place of the next one that is written in digits.
    private mutating func changeDigits(_ bytes: inout [UInt8], near offset: Int) {
        func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
        guard let start = bytes[offset...].firstIndex(where: isDigit) else { return }
        let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.count
        bytes.replaceSubrange(start..<end, with: number().utf8)
    }

    /// A number as text, some of which no type holds.
    mutating func number() -> String {
        chance(4)
            ? pick([
                "NaN", "Infinity", "-Infinity", "1e999", "-0", "0.5", "1e-320", "18446744073709551615",
                "9223372036854775808", "-9223372036854775809", "1e18", "4.0", "00", "0x10", "1e308", "-1e308",
            ])
            : String(boundary())
    }
}
