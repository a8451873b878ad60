import Crypto
import Foundation

/// The generator that the fixtures' Python scripts have too (prng.di.unimi.it/splitmix64.c).
struct SplitMix64 {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// Random strings of every script and of what makes tokenizers stumble; the same in `make.py`.
enum RandomText {
    static let ranges: [(UInt32, UInt32)] = [
        (0x20, 0x7E), (0x61, 0x7A), (0x20, 0x20), (0x00, 0x1F), (0xA0, 0x17F), (0x300, 0x36F), (0x391, 0x3C9),
        (0x410, 0x44F), (0x5D0, 0x5EA), (0x627, 0x64A), (0x905, 0x939), (0x1100, 0x1112), (0x2000, 0x200F),
        (0x2581, 0x2581), (0x3000, 0x30FF), (0x4E00, 0x4EFF), (0xAC00, 0xAC7F), (0xFE00, 0xFE0F), (0xFF01, 0xFF5E),
        (0xFFFD, 0xFFFD), (0x1F1E6, 0x1F1FF), (0x1F600, 0x1F64F), (0x20000, 0x200FF), (0xE0061, 0xE007A),
    ]

    static func next(_ generator: inout SplitMix64) -> String {
        var text = String.UnicodeScalarView()
        var which = generator.below(ranges.count)
        for _ in 0..<generator.below(40) {
            if generator.below(3) == 0 { which = generator.below(ranges.count) }
            let (first, last) = ranges[which]
            let code = first + UInt32(generator.below(Int(last - first) + 1))
            if let scalar = Unicode.Scalar(code) { text.append(scalar) }
        }
        return String(text)
    }
}

/// SHA-256 (hex) of ids as 32-bit little-endian numbers.
func digest(_ ids: [Int32]) -> String {
    hex(SHA256.hash(data: ids.withUnsafeBytes { Data($0) }))
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

func unhex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue).map(UInt8.init)
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}
