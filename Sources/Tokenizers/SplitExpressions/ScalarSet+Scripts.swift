import Foundation
import Synchronization

extension ScalarSet {
    /// Scripts that have been asked for. Finding one reads all of Unicode, some hundredths of a second.
    private static let known = Mutex<[String: [ClosedRange<UInt32>]]>([:])

    /// The scalars of a script (Unicode Standard Annex 24), as `\p{Han}` names it: as ICU knows them, whose version of Unicode is
    /// that of Foundation.
    /// - Returns: nil for a name that is no script's.
    init?(script name: String) {
        // A name, and nothing that would be another expression.
        guard !name.isEmpty, name.count <= 40, name.utf8.allSatisfy({ isalpha(Int32($0)) != 0 || $0 == 0x5F }) else {
            return nil
        }
        let found = Self.known.withLock { known in
            if let ranges = known[name] { return ranges as [ClosedRange<UInt32>]? }
            let ranges = Self.ranges(ofScript: name)
            known[name] = ranges
            return ranges
        }
        guard let found else { return nil }
        self.init()
        for range in found { insert(range) }
    }

    private static func ranges(ofScript name: String) -> [ClosedRange<UInt32>]? {
        guard let expression = try? NSRegularExpression(pattern: "\\p{Script=\(name)}+") else { return nil }
        var ranges: [ClosedRange<UInt32>] = []
        // A plane at a time, so that places in UTF-16 are numbers of scalars: one unit each in the first plane, which has no
        // scalars from U+D800 to U+DFFF, and two in the others.
        for plane in UInt32(0)...16 {
            var text = String.UnicodeScalarView()
            for code in plane << 16...(plane << 16 | 0xFFFF) {
                if let scalar = Unicode.Scalar(code) { text.append(scalar) }
            }
            func code(_ place: Int) -> UInt32 {
                guard plane == 0 else { return plane << 16 + UInt32(place / 2) }
                return UInt32(place < 0xD800 ? place : place + 0x800)
            }
            let string = String(text)
            for match in expression.matches(in: string, range: NSRange(0..<string.utf16.count)) {
                let (first, last) = (match.range.location, match.range.location + match.range.length - 1)
                if plane == 0, first < 0xD800, last >= 0xD800 {
                    ranges += [code(first)...0xD7FF, 0xE000...code(last)]
                } else {
                    ranges.append(code(first)...code(last))
                }
            }
        }
        return ranges
    }
}
