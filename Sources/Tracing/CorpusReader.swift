import Checkpoints
import Crypto
import Tokenizers

/// Reads documents one after the other and keeps their tokens, not their texts: for a corpus that comes as a stream.
///
/// What `finish` gives makes the same trace as all documents at once, byte for byte. Tokens (4 bytes each) of every document are
/// held, because the manifest names the hash of all of them before the first wave runs.
public struct CorpusReader {
    private let tokenizer: (any Tokenizer)?
    private let config: ModelConfig
    /// Tokens that are kept of a document.
    private let limit: Int
    /// What errors call the corpus.
    private let source: String
    private var documents: [Corpus.Document] = []
    private var hash = SHA256()

    /// - Parameters:
    ///   - tokenizer: may be nil where every document gives its tokens.
    ///   - maximumTokens: what documents will be cut to; nil: to the model's context.
    ///   - source: what errors call the corpus.
    public init(
        tokenizer: (any Tokenizer)?, config: ModelConfig, maximumTokens: Int? = nil, source: String = Corpus.inMemory
    ) {
        self.source = source
        self.tokenizer = tokenizer
        self.config = config
        // One more than is kept at the end, so that it is known which documents are cut.
        let most = min(maximumTokens ?? .max, config.contextLength)
        limit = most == .max ? most : most + 1
    }

    public var count: Int { documents.count }

    /// - Throws: `CorpusError` for tokens the model does not have, text without a tokenizer, and documents without a token.
    public mutating func append(_ document: Corpus.Document) throws(CorpusError) {
        let kept = try tokenized(document)
        document.hash(into: &hash)
        documents.append(kept)
    }

    /// The document with its first tokens in place of its text. Throws as `append` does.
    public func tokenized(_ document: Corpus.Document) throws(CorpusError) -> Corpus.Document {
        let tokens = try TokenizedCorpus.tokens(of: document, tokenizer: tokenizer, config: config, source: source)
        var kept = document
        kept.content = .read(
            tokens: Array(tokens.prefix(limit)), sha256: document.contentSHA256, isText: document.content.isText)
        return kept
    }

    public func finish() -> Corpus {
        Corpus(source: Corpus.inMemory, sha256: hash.finalize().hex, documents: documents)
    }
}

extension Corpus {
    /// The `source` of documents that a program gives.
    public static let inMemory = "python"
}

extension Corpus.Document {
    /// SHA-256 (hex) of the text in UTF-8, or of the token ids as little-endian Int32.
    var contentSHA256: String {
        switch content {
        case .text(let text): SHA256.hash(data: Array(text.utf8)).hex
        case .tokens(let tokens):
            SHA256.hash(data: tokens.flatMap { withUnsafeBytes(of: $0.littleEndian, Array.init) }).hex
        case .read(_, let sha256, _): sha256
        }
    }

    /// Adds the document to the hash of a corpus that was given in memory.
    func hash(into hash: inout SHA256) {
        func add(_ text: String) { hash.update(data: Array(text.utf8)) }
        for part in [id, group, parallelID ?? ""] { add(part) }
        // Nothing where there is no cluster, so that a trace begun without clusters can be resumed.
        if let cluster { add("\0cluster\0\(cluster)\0") }
        switch content {
        case .text(let text): add(text)
        case .tokens(let tokens): add(tokens.map { "\($0)" }.joined(separator: ","))
        case .read(_, let sha256, _): add(sha256)
        }
    }
}
