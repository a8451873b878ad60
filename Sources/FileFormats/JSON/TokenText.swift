/// The one way from a token id to the text that a person reads, for a vocabulary of any kind.
///
/// A token stands for bytes. Those that are UTF-8 are read as text; the others are shown as `⟨E2 80⟩`, in hexadecimal.
/// An id without a piece is shown as `⟨#12⟩`.
public struct TokenText: Sendable {
    /// By token id, as the tokenizer writes them ("▁Der", "<0x0A>", "Ġder"); nil where an id has no piece.
    public let pieces: [String?]
    public let kind: TokenizerKind

    /// Pieces longer than this many Unicode scalars are cut: a page must not be held up by one token.
    public static let longest = 64

    public init(pieces: [String?], kind: TokenizerKind) {
        self.pieces = pieces
        self.kind = kind
    }

    /// The token by itself, in a list or a table. White space is visible: a space is "␣", a line break "⏎", a tab "⇥";
    /// characters that would be invisible, or steer a terminal, are written as their number: `⟨U+200B⟩`.
    public func alone(_ token: some BinaryInteger) -> String {
        guard let bytes = bytes(token) else { return Self.withoutPiece(token) }
        return Self.alone(bytes)
    }

    /// The token inside its text, between its neighbours: spaces and line breaks are themselves.
    public func inText(_ token: some BinaryInteger) -> String {
        guard let bytes = bytes(token) else { return Self.withoutPiece(token) }
        var result = ""
        for part in Self.read(bytes) { result.unicodeScalars.append(contentsOf: part.text.unicodeScalars) }
        return result
    }

    /// The bytes that a token stands for in the middle of a text; nil for an id without a piece.
    public func bytes(_ token: some BinaryInteger) -> [UInt8]? {
        guard let id = Int(exactly: token), pieces.indices.contains(id), let piece = pieces[id] else { return nil }
        return Self.bytes(of: piece, kind: kind)
    }

    /// `alone` for one piece, where there is no list of all of them.
    public static func alone(piece: String, kind: TokenizerKind) -> String { alone(bytes(of: piece, kind: kind)) }

    /// The bytes that a piece stands for in the middle of a text.
    public static func bytes(of piece: String, kind: TokenizerKind) -> [UInt8] {
        if kind.isByteLevel { return ByteAlphabet.decode(piece) ?? Array(piece.utf8) }
        if piece.utf8.count == 6, piece.hasPrefix("<0x"), piece.hasSuffix(">"),
            let byte = UInt8(piece.dropFirst(3).dropLast(), radix: 16)
        {
            return [byte]
        }
        var bytes: [UInt8] = []
        var rest = Array(piece.utf8)[...]
        while let first = rest.first {
            let isSpace = rest.starts(with: spaceSymbol)
            bytes.append(isSpace ? 0x20 : first)
            rest = rest.dropFirst(isSpace ? spaceSymbol.count : 1)
        }
        return bytes
    }

    /// U+2581 in UTF-8.
    private static let spaceSymbol: [UInt8] = [0xE2, 0x96, 0x81]

    private static func withoutPiece(_ token: some BinaryInteger) -> String { "⟨#\(token)⟩" }

    private static func alone(_ bytes: [UInt8]) -> String {
        let parts = read(bytes)
        var result = ""
        for (place, part) in parts.enumerated() {
            switch part {
            // A joiner between two letters is part of the word; at the end of a token it would be invisible.
            case .scalar("\u{200C}"), .scalar("\u{200D}"):
                let isInside = place > 0 && place < parts.count - 1
                result.unicodeScalars.append(contentsOf: (isInside ? part.text : part.visible).unicodeScalars)
            default: result.unicodeScalars.append(contentsOf: part.visible.unicodeScalars)
            }
        }
        return result
    }

    /// What a token's bytes are read as, piece by piece.
    private enum Part {
        case scalar(Unicode.Scalar)
        /// Bytes that are no UTF-8.
        case broken([UInt8])
        /// The token is longer than is shown.
        case cut

        var text: String {
            switch self {
            case .scalar(let scalar): String(scalar)
            case .broken(let bytes):
                "⟨" + bytes.map { TokenText.hexadecimal(UInt32($0), digits: 2) }.joined(separator: " ") + "⟩"
            case .cut: "…"
            }
        }

        var visible: String {
            if case .scalar(let scalar) = self { TokenText.visible(scalar) } else { text }
        }
    }

    private static func visible(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case " ": return "␣"
        case "\n": return "⏎"
        case "\t": return "⇥"
        case "\r": return "␍"
        default: break
        }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .spaceSeparator, .lineSeparator,
            .paragraphSeparator:
            return "⟨U+" + hexadecimal(scalar.value, digits: 4) + "⟩"
        default: return String(scalar)
        }
    }

    private static func read(_ bytes: [UInt8]) -> [Part] {
        var parts: [Part] = []
        var parser = Unicode.UTF8.ForwardParser()
        var rest = bytes.makeIterator()
        var place = 0
        reading: while parts.count < longest {
            switch parser.parseScalar(from: &rest) {
            case .valid(let encoded):
                parts.append(.scalar(Unicode.UTF8.decode(encoded)))
                place += encoded.count
            case .error(let length):
                let wrong = Array(bytes[place..<place + length])
                if case .broken(let before)? = parts.last {
                    parts[parts.count - 1] = .broken(before + wrong)
                } else {
                    parts.append(.broken(wrong))
                }
                place += length
            case .emptyInput: break reading
            }
        }
        return place < bytes.count ? parts + [.cut] : parts
    }

    private static func hexadecimal(_ value: UInt32, digits: Int) -> String {
        let text = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
