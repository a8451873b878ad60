import FileFormats

/// Turns text into token ids and back.
///
/// Text never becomes a control token, whatever it spells: control ids are only reached through `prefix`, `suffix` and the
/// ids a caller passes itself.
public protocol Tokenizer: Sendable {
    /// How the vocabulary writes its pieces.
    var kind: TokenizerKind { get }
    /// SHA-256 (hex) of the file the vocabulary came from.
    var sha256: String { get }
    var vocabularySize: Int { get }
    /// What the tokenizer does beside its vocabulary.
    var frame: TokenizerFrame { get }

    /// Token ids of a text given as bytes (normally UTF-8; other bytes are encoded as the reference does), and nothing around them.
    func encode(bytes: some Collection<UInt8>) -> [Int32]
    /// Token ids of what a chat template wrote: control tokens spelled out in it become control tokens.
    /// - Parameter mark: bytes that are taken out of the text between control tokens (see `GuardedText`).
    func encode(markup text: String, without mark: [UInt8]) -> [Int32]
    /// What spells a control token in `encode(markup:without:)`.
    var controlTokens: [(piece: String, id: Int32)] { get }
    /// Whether byte tokens in a row are decoded as one: U+FFFD each, unless all of them together are whole characters.
    var joinsByteTokens: Bool { get }
    /// Bytes of a token sequence; decoding what `encode` gave returns the text as the reference library does. Ids without a
    /// piece are skipped.
    func decodeBytes(_ ids: some Collection<Int32>) -> [UInt8]
    /// The token as the vocabulary writes it ("▁Der", "<0x0A>", "Ġder"), or nil for an id out of range. `text(_:)` is for readers.
    func piece(_ id: Int32) -> String?
    /// The id of a piece, if the vocabulary has it.
    func id(ofPiece piece: String) -> Int32?
}

extension Tokenizer {
    public var joinsByteTokens: Bool { false }
    public var bos: Int32? { frame.bos }
    public var eos: Int32? { frame.eos }
    public func encode(_ text: String) -> [Int32] { encode(bytes: Array(text.utf8)) }
    /// A whole text as the model reads it: with the ids that the tokenizer puts around every text.
    public func tokens(of text: String) -> [Int32] { frame.prefix + encode(text) + frame.suffix }
    public func encode(markup text: String) -> [Int32] { encode(markup: text, without: []) }
    /// The token as a person reads it in a list: "␣Der", "⏎"; `⟨#12⟩` for an id out of range.
    public func text(_ id: Int32) -> String {
        piece(id).map { TokenText.alone(piece: $0, kind: kind) } ?? TokenText(pieces: [], kind: kind).alone(id)
    }
    public func decode(_ ids: some Collection<Int32>) -> String { String(decoding: decodeBytes(ids), as: UTF8.self) }
}

/// What is around a vocabulary: ids before and after every text, tokens that have a name, and what is worth saying.
public struct TokenizerFrame: Sendable, Equatable {
    public var bos: Int32?
    public var eos: Int32?
    /// Ids put before (after) every text; BOS alone, EOS alone, or nothing, in nearly all tokenizers.
    public var prefix: [Int32] = []
    public var suffix: [Int32] = []
    /// Tokens by the names that chat templates know them under: "bos_token", "pad_token", …
    public var named: [Named] = []
    /// Whether ends of a text are known by what they spell, as in llama.cpp.
    public var endsByName = false
    /// Ids that end a text, whatever else the files say; nil: what they say counts.
    public var ends: Set<Int32>?
    /// What the files say and is not done, or is not said and was assumed: one sentence each.
    public var notices: [String] = []

    public struct Named: Sendable, Equatable, Encodable {
        public var name: String
        public var piece: String
    }

    public init() {}
}

/// The text without every occurrence of the mark.
func removing(_ mark: [UInt8], from text: [UInt8]) -> [UInt8] {
    guard !mark.isEmpty else { return text }
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var place = 0
    while place < text.count {
        if text[place] == mark[0], text[place...].starts(with: mark) {
            place += mark.count
        } else {
            result.append(text[place])
            place += 1
        }
    }
    return result
}
