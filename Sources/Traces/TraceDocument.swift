/// One line of `documents.jsonl`.
public struct TraceDocument: Codable, Sendable, Equatable {
    /// From 0, in the order of the corpus; the writer sets it.
    public var index: Int
    public var id: String
    /// The language, for the polyglot corpus.
    public var group: String
    /// The hash of the UTF-8 text, or of the little-endian Int32 ids where the corpus gave tokens.
    public var textSHA256: String
    public var tokens: Int
    /// Whether `--max-tokens` cut it.
    public var truncated: Bool
    /// Number of its shard; the writer sets it.
    public var shard: Int
    /// Its first row in that shard; the writer sets it.
    public var firstRow: Int
    /// The same text in another group has the same value.
    public var parallelID: String?
    /// The source, manual or author: documents with the same value are not independent of each other. nil: the corpus does
    /// not say.
    public var cluster: String?
    /// Rows read as a prompt; those after them the model generated. nil: all were read.
    public var promptTokens: Int?

    public init(
        id: String, group: String, textSHA256: String, tokens: Int, truncated: Bool = false, parallelID: String? = nil,
        cluster: String? = nil, promptTokens: Int? = nil, index: Int = 0, shard: Int = 0, firstRow: Int = 0
    ) {
        self.index = index
        self.id = id
        self.group = group
        self.textSHA256 = textSHA256
        self.tokens = tokens
        self.truncated = truncated
        self.shard = shard
        self.firstRow = firstRow
        self.parallelID = parallelID
        self.cluster = cluster
        self.promptTokens = promptTokens
    }

    /// The document's rows in its shard.
    public var rows: Range<Int> { firstRow..<firstRow + tokens }

    /// The rows that were read, of `rows`.
    public var promptRows: Range<Int> { firstRow..<firstRow + (promptTokens ?? tokens) }
    /// The rows that the model generated, of `rows`.
    public var generatedRows: Range<Int> { promptRows.upperBound..<rows.upperBound }

    enum CodingKeys: String, CodingKey {
        case index, id, group, tokens, truncated, shard, cluster
        case textSHA256 = "text_sha256"
        case firstRow = "first_row"
        case parallelID = "parallel_id"
        case promptTokens = "prompt_tokens"
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(index, forKey: .index)
        try values.encode(id, forKey: .id)
        try values.encode(group, forKey: .group)
        try values.encode(textSHA256, forKey: .textSHA256)
        try values.encode(tokens, forKey: .tokens)
        try values.encode(truncated, forKey: .truncated)
        try values.encode(shard, forKey: .shard)
        try values.encode(firstRow, forKey: .firstRow)
        // null is written, not left out: every line has every key, but for `cluster`, which only corpora that give one have,
        // and `prompt_tokens`, only where tokens were generated.
        try values.encode(parallelID, forKey: .parallelID)
        try values.encodeIfPresent(cluster, forKey: .cluster)
        try values.encodeIfPresent(promptTokens, forKey: .promptTokens)
    }
}
