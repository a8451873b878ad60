/// The channels that an answer in OpenAI's Harmony format is written in: `<|channel|>analysis<|message|>…<|end|>`, then
/// `<|start|>assistant<|channel|>final<|message|>…`. What a user asked for stands in the last one, "final".
public struct AnswerChannels: Sendable {
    /// What a token is.
    public enum Part: Equatable, Sendable {
        /// Text of the channel that is open, or of none.
        case text
        /// Part of a header, which is not shown.
        case header
        /// The token that ends a header: text of this channel comes next.
        case opens(String)
    }

    private let start: Int32?
    private let channel: Int32
    private let message: Int32
    private let tokenizer: any Tokenizer
    private var isHeader = false
    private var name: [Int32] = []
    /// The channel that is open; nil before the first.
    public private(set) var current: String?

    /// nil for a tokenizer without such marks.
    public init?(_ tokenizer: any Tokenizer) {
        let marks = tokenizer.controlTokens
        func id(_ piece: String) -> Int32? { marks.first { $0.piece == piece }?.id }
        guard let channel = id("<|channel|>"), let message = id("<|message|>") else { return nil }
        self.channel = channel
        self.message = message
        start = id("<|start|>")
        self.tokenizer = tokenizer
    }

    /// Whether what is written now belongs to the answer proper.
    public var isFinal: Bool { !isHeader && (current == nil || current == "final") }

    /// Reads a token of the answer.
    public mutating func feed(_ token: Int32) -> Part {
        switch token {
        case start, channel:
            isHeader = true
            name = []
            return .header
        case message:
            let text = String(decoding: tokenizer.decodeBytes(name), as: UTF8.self)
            // "commentary to=functions.x <|constrain|>json": the first word is the channel.
            let channel = text.split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
            isHeader = false
            current = channel
            return .opens(channel)
        default:
            guard isHeader else { return .text }
            name.append(token)
            return .header
        }
    }
}
