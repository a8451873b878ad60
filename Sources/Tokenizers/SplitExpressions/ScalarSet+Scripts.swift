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
        // A plane at a time; surrogates are no scalars.
        for plane in UInt32(0)...16 {
            var text = String.UnicodeScalarView()
            for code in plane << 16...(plane << 16 | 0xFFFF) {
                if let scalar = Unicode.Scalar(code) { text.append(scalar) }
            }
            let string = String(text)
            for match in expression.matches(in: string, range: NSRange(string.startIndex..., in: string)) {
                guard let part = Range(match.range, in: string) else { continue }
                let scalars = string.unicodeScalars[part]
                guard let first = scalars.first?.value, let last = scalars.last?.value else { continue }
                // What is written without a gap may have one: between U+D7FF and U+E000.
                ranges.append(first...last)
            }
        }
        return ranges
    }
}
