/// Where words and white space end in a text, by the Unicode classes `\w` and `\s`.
enum WordEdges {
    /// Whether a word character stands right before or after the range.
    static func touches(_ range: Range<Int>, in bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        let before = scalar(before: range.lowerBound, in: bytes)
        let after = scalar(after: range.upperBound, in: bytes)
        return before.map { isWord($0.scalar) } ?? false || after.map { isWord($0.scalar) } ?? false
    }

    /// The start of the white space that ends at `end`.
    static func spaces(before end: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Int {
        var start = end
        while let (scalar, width) = scalar(before: start, in: bytes), scalar.properties.isWhitespace { start -= width }
        return start
    }

    /// The end of the white space that starts at `start`.
    static func spaces(after start: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Int {
        var end = start
        while let (scalar, width) = scalar(after: end, in: bytes), scalar.properties.isWhitespace { end += width }
        return end
    }

    /// Alphabetic characters, marks, decimal digits, connectors such as the underscore, joiners (UTS 18).
    private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.properties.isAlphabetic || scalar.properties.isJoinControl { return true }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
        default: return false
        }
    }

    private static func scalar(
        after position: Int, in bytes: UnsafeBufferPointer<UInt8>
    ) -> (scalar: Unicode.Scalar, width: Int)? {
        guard position < bytes.count, let base = bytes.baseAddress,
            let width = lengthOfCharacter(base + position, bytes.count - position)
        else { return nil }
        return decode(bytes[position..<position + width]).map { ($0, width) }
    }

    private static func scalar(
        before position: Int, in bytes: UnsafeBufferPointer<UInt8>
    ) -> (scalar: Unicode.Scalar, width: Int)? {
        var start = position - 1
        while start > 0, position - start < 4, bytes[start] & 0xC0 == 0x80 { start -= 1 }
        guard start >= 0, let found = scalar(after: start, in: bytes), start + found.width == position else {
            return nil
        }
        return found
    }

    private static func decode(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Unicode.Scalar? {
        String(decoding: bytes, as: UTF8.self).unicodeScalars.first
    }
}
