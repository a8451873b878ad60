/// The printable characters that byte-level vocabularies write bytes with (GPT-2's table): printable Latin-1 stands for
/// itself, the other 68 bytes for U+0100 and on.
public enum ByteAlphabet {
    /// The character of each byte.
    static let scalars: [Unicode.Scalar] = {
        var next: UInt32 = 256
        return (0..<256).map { byte in
            switch byte {
            case 33...126, 161...172, 174...255: return Unicode.Scalar(UInt8(byte))
            default:
                defer { next += 1 }
                return Unicode.Scalar(next) ?? "?"
            }
        }
    }()

    private static let bytes: [UInt8?] = {
        var table = [UInt8?](repeating: nil, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { table[Int(scalar.value)] = UInt8(byte) }
        return table
    }()

    /// The byte a character stands for.
    static func byte(of scalar: Unicode.Scalar) -> UInt8? {
        scalar.value < 0x144 ? bytes[Int(scalar.value)] : nil
    }

    /// The bytes a piece stands for, or nil where it has a character of no byte (a special token).
    public static func decode(_ piece: String) -> [UInt8]? {
        var result: [UInt8] = []
        for scalar in piece.unicodeScalars {
            guard let byte = byte(of: scalar) else { return nil }
            result.append(byte)
        }
        return result
    }

    /// The piece that writes these bytes, as UTF-8.
    public static func encode(_ text: some Sequence<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        for byte in text { result.append(contentsOf: UTF8.encode(scalars[Int(byte)]) ?? replacement) }
        return result
    }

    private static let replacement = Unicode.UTF8.encodedReplacementCharacter
}
