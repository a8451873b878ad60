/// Length in bytes of the well-formed UTF-8 character at the start of `bytes` (RFC 3629: no overlong forms, no
/// surrogates, up to U+10FFFF), or nil.
@inline(__always)
func lengthOfCharacter(_ bytes: UnsafePointer<UInt8>, _ available: Int) -> Int? {
    let first = bytes[0]
    if first < 0x80 { return 1 }
    func isTrail(_ index: Int) -> Bool { bytes[index] & 0xC0 == 0x80 }
    if first & 0xE0 == 0xC0 {
        return available >= 2 && isTrail(1) && first >= 0xC2 ? 2 : nil
    }
    if first & 0xF0 == 0xE0 {
        guard available >= 3, isTrail(1), isTrail(2) else { return nil }
        let code = UInt32(first & 0x0F) << 12 | UInt32(bytes[1] & 0x3F) << 6 | UInt32(bytes[2] & 0x3F)
        return code >= 0x800 && !(0xD800..<0xE000).contains(code) ? 3 : nil
    }
    if first & 0xF8 == 0xF0 {
        guard available >= 4, isTrail(1), isTrail(2), isTrail(3) else { return nil }
        let high = UInt32(first & 0x07) << 18 | UInt32(bytes[1] & 0x3F) << 12
        let code = high | UInt32(bytes[2] & 0x3F) << 6 | UInt32(bytes[3] & 0x3F)
        return (0x10000...0x10FFFF).contains(code) ? 4 : nil
    }
    return nil
}

/// A run of byte tokens as the `tokenizers` library reads it: all of it, or U+FFFD for each byte.
func joined(_ bytes: [UInt8]) -> [UInt8] {
    String(validating: bytes, as: UTF8.self) == nil ? bytes.flatMap { _ in replacementCharacter } : bytes
}

/// U+FFFD, which stands for a byte that is no UTF-8.
let replacementCharacter: [UInt8] = [0xEF, 0xBF, 0xBD]
/// U+2581, which stands for a space in SentencePiece's pieces.
let spaceSymbol: [UInt8] = [0xE2, 0x96, 0x81]
