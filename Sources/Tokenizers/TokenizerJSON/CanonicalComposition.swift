import FileFormats
import Foundation

/// Unicode normalization form C.
///
/// Foundation on Linux composes characters beyond U+FFFF as if only their low 16 bits counted (a tag letter followed by
/// an accent becomes an accented Latin letter), so runs that start with one are composed here.
enum CanonicalComposition {
    static func compose(_ text: [UInt8]) -> [UInt8] {
        // ASCII is its own normal form; four-byte sequences are the characters beyond U+FFFF.
        if text.allSatisfy({ $0 < 0x80 }) { return text }
        let string = withMarksInOrder(String(decoding: text, as: UTF8.self))
        if text.allSatisfy({ $0 < 0xF0 }) { return composeBasic(string) }
        var result: [UInt8] = []
        var run = String.UnicodeScalarView()
        var isHigh = false
        func flush() {
            let piece = String(run)
            result +=
                isHigh
                ? composeHigh(piece.decomposedStringWithCanonicalMapping)
                : composeBasic(piece)
            run = String.UnicodeScalarView()
        }
        for scalar in string.unicodeScalars {
            // A mark stays with what it stands on.
            if scalar.properties.canonicalCombiningClass == .notReordered, (scalar.value > 0xFFFF) != isHigh {
                flush()
                isHigh.toggle()
            }
            run.append(scalar)
        }
        flush()
        return result
    }

    /// The same text for every normal form, with very long runs of combining marks in their canonical order. Foundation puts them in
    /// order, too, but in time that grows with the square of their number.
    private static func withMarksInOrder(_ text: String) -> String {
        guard !StreamSafety.isSafe(text) else { return text }
        var result = String.UnicodeScalarView()
        var marks: [(rank: UInt8, scalar: Unicode.Scalar)] = []
        func flush() {
            let sorted = marks.enumerated().sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }
            result.append(contentsOf: sorted.lazy.map(\.element.scalar))
            marks = []
        }
        for scalar in text.unicodeScalars {
            let rank = scalar.properties.canonicalCombiningClass.rawValue
            if rank == 0 {
                flush()
                result.append(scalar)
            } else {
                marks.append((rank, scalar))
            }
        }
        flush()
        return String(result)
    }

    /// Decomposed first, because Foundation overlooks a Hangul syllable followed by a final consonant.
    private static func composeBasic(_ text: String) -> [UInt8] {
        Array(text.decomposedStringWithCanonicalMapping.precomposedStringWithCanonicalMapping.utf8)
    }

    /// Composes a decomposed run of characters beyond U+FFFF and marks: only neighbours ever combine here.
    private static func composeHigh(_ text: String) -> [UInt8] {
        var composed: [UInt32] = []
        for scalar in text.unicodeScalars {
            if let last = composed.last, let both = pairs[UInt64(last) << 32 | UInt64(scalar.value)] {
                composed[composed.count - 1] = both
            } else {
                composed.append(scalar.value)
            }
        }
        var result = String.UnicodeScalarView()
        result.append(contentsOf: composed.compactMap(Unicode.Scalar.init))
        return Array(String(result).utf8)
    }

    /// Primary composites beyond U+FFFF: Kaithi, Chakma, Grantha, Tirhuta, Siddham (UnicodeData.txt, as of
    /// Unicode 12: what the `tokenizers` library composes).
    private static let pairs: [UInt64: UInt32] = {
        let list: [(UInt64, UInt64, UInt32)] = [
            (0x11099, 0x110BA, 0x1109A), (0x1109B, 0x110BA, 0x1109C), (0x110A5, 0x110BA, 0x110AB),
            (0x11131, 0x11127, 0x1112E), (0x11132, 0x11127, 0x1112F), (0x11347, 0x1133E, 0x1134B),
            (0x11347, 0x11357, 0x1134C), (0x114B9, 0x114BA, 0x114BB), (0x114B9, 0x114B0, 0x114BC),
            (0x114B9, 0x114BD, 0x114BE), (0x115B8, 0x115AF, 0x115BA), (0x115B9, 0x115AF, 0x115BB),
        ]
        return Dictionary(uniqueKeysWithValues: list.map { ($0.0 << 32 | $0.1, $0.2) })
    }()
}
