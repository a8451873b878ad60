import Foundation
import Traces

/// What tokens say, as the page shows them: text where the bytes are text, otherwise the bytes themselves.
struct TokenText: Sendable {
    /// nil: the trace has none, and tokens are shown as their ids.
    let vocabulary: TraceVocabulary?
    private let isByteLevel: Bool

    /// Pieces longer than this are cut: a page can't be held up by one token.
    static let longest = 64

    /// - Parameter tokenizer: what the manifest says of it; byte-level vocabularies write bytes in GPT-2's stand-ins.
    init(vocabulary: TraceVocabulary?, tokenizer: TraceManifest.Tokenizer) {
        self.vocabulary = vocabulary
        isByteLevel = tokenizer.kind.hasPrefix("byte-level")
    }

    var isReadable: Bool { vocabulary != nil }

    func display(_ token: Int32) -> String {
        guard let bytes = bytes(of: token) else { return "⟨\(token)⟩" }
        if let text = String(validating: bytes, as: UTF8.self) {
            let scalars = text.unicodeScalars
            return scalars.count > Self.longest
                ? String(String.UnicodeScalarView(scalars.prefix(Self.longest))) + "…" : text
        }
        return bytes.prefix(8).map { "⟨" + String($0, radix: 16, uppercase: true) + "⟩" }.joined()
    }

    /// The bytes that a token stands for in the middle of a text; nil for an id without a piece.
    private func bytes(of token: Int32) -> [UInt8]? {
        guard let pieces = vocabulary?.pieces, pieces.indices.contains(Int(token)), let piece = pieces[Int(token)]
        else {
            return nil
        }
        if isByteLevel { return Self.byteLevelBytes(piece) }
        if piece.utf8.count == 6, piece.hasPrefix("<0x"), piece.hasSuffix(">"),
            let byte = UInt8(piece.dropFirst(3).dropLast(), radix: 16)
        {
            return [byte]
        }
        return Array(piece.replacing("\u{2581}", with: " ").utf8)
    }

    /// GPT-2's printable stand-ins for bytes, undone; the piece itself where it holds anything else (a special token).
    private static func byteLevelBytes(_ piece: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for scalar in piece.unicodeScalars {
            guard let byte = byteOfScalar[scalar.value] else { return Array(piece.utf8) }
            bytes.append(byte)
        }
        return bytes
    }

    private static let byteOfScalar: [UInt32: UInt8] = {
        var table: [UInt32: UInt8] = [:]
        var next: UInt32 = 256
        for byte in UInt8.min...UInt8.max {
            switch byte {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: table[UInt32(byte)] = byte
            default:
                table[next] = byte
                next += 1
            }
        }
        return table
    }()

    /// "rtl" where the first letter that has a direction is Hebrew, Arabic or a relative, otherwise "ltr".
    static func direction(_ texts: some Sequence<String>) -> String {
        for text in texts {
            for scalar in text.unicodeScalars where scalar.properties.isAlphabetic {
                switch scalar.value {
                case 0x0590...0x08FF, 0xFB1D...0xFDFF, 0xFE70...0xFEFF, 0x10800...0x10FFF, 0x1E800...0x1EFFF:
                    return "rtl"
                default: return "ltr"
                }
            }
        }
        return "ltr"
    }
}
