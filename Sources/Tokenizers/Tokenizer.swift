/// Turns text into token ids and back.
///
/// Text never becomes a control token, whatever it spells: control ids are only reached through `bos`, `eos` and the
/// ids a caller passes itself.
public protocol Tokenizer: Sendable {
    /// What the vocabulary is: "sentencepiece-bpe", "byte-level-bpe", …
    var kind: String { get }
    /// SHA-256 (hex) of the file the vocabulary came from.
    var sha256: String { get }
    var vocabularySize: Int { get }
    var bos: Int32? { get }
    var eos: Int32? { get }

    /// Token ids of a text given as bytes (normally UTF-8; other bytes are encoded as the reference does), without BOS or EOS.
    func encode(bytes: some Collection<UInt8>) -> [Int32]
    /// Bytes of a token sequence; decoding what `encode` gave returns the text as the reference library does.
    func decodeBytes(_ ids: some Collection<Int32>) -> [UInt8]
    /// The token as one would print it (SentencePiece's U+2581 kept, byte tokens as `<0x0A>`), or nil for an id out of range.
    func piece(_ id: Int32) -> String?
    /// The id of a piece, if the vocabulary has it.
    func id(ofPiece piece: String) -> Int32?
}

extension Tokenizer {
    public func encode(_ text: String) -> [Int32] { encode(bytes: Array(text.utf8)) }
    public func decode(_ ids: some Collection<Int32>) -> String { String(decoding: decodeBytes(ids), as: UTF8.self) }
}
