import Checkpoints
import Crypto
import FileFormats
import MoEModel
import Tokenizers
import Traces

/// A corpus as token ids of one model, checked and cut to a length: what traces, experiments and measurements run over.
public struct TokenizedCorpus: Sendable {
    public let corpus: Corpus
    /// Tokens of each document, cut to the limit.
    public let tokens: [[Int32]]
    /// Whether each document was cut.
    public let truncated: [Bool]

    /// Tokenizes and checks every document, so that a run that cannot end does not start.
    ///
    /// - Parameters:
    ///   - tokenizer: may be nil where every document gives its tokens.
    ///   - maximumTokens: documents are cut to this many, BOS included; nil: to the model's context.
    /// - Throws: `CorpusError` for tokens the model does not have, text without a tokenizer, and documents without a token.
    public init(
        _ corpus: Corpus, tokenizer: (any Tokenizer)?, config: ModelConfig, maximumTokens: Int? = nil
    ) throws(CorpusError) {
        let limit = min(maximumTokens ?? .max, config.contextLength)
        var tokens: [[Int32]] = []
        var truncated: [Bool] = []
        for document in corpus.documents {
            let ids = try Self.tokens(of: document, tokenizer: tokenizer, config: config, source: corpus.source)
            // The same array where nothing is cut: it is not copied.
            tokens.append(ids.count > limit ? Array(ids.prefix(limit)) : ids)
            truncated.append(ids.count > limit)
        }
        self.corpus = corpus
        self.tokens = tokens
        self.truncated = truncated
    }

    /// A document's tokens, at least one.
    static func tokens(
        of document: Corpus.Document, tokenizer: (any Tokenizer)?, config: ModelConfig, source: String
    ) throws(CorpusError) -> [Int32] {
        let ids = try all(document, tokenizer: tokenizer, config: config, source: source)
        guard !ids.isEmpty else {
            throw CorpusError(file: source, field: "text", reason: "document \"\(document.id)\" has no token")
        }
        return ids
    }

    private static func all(
        _ document: Corpus.Document, tokenizer: (any Tokenizer)?, config: ModelConfig, source: String
    ) throws(CorpusError) -> [Int32] {
        switch document.content {
        case .text(let text):
            guard let tokenizer else {
                throw CorpusError(
                    file: source, field: "text",
                    reason: "document \"\(document.id)\" is text, and the model has no tokenizer; give \"tokens\"")
            }
            return tokenizer.tokens(of: text)
        case .read(let tokens, _, _): return tokens
        case .tokens(let tokens):
            for token in tokens where token < 0 || Int(token) >= config.vocabularySize {
                throw CorpusError(
                    file: source, field: "tokens",
                    reason: "document \"\(document.id)\": token \(token) is not in the model's vocabulary, "
                        + "0 to \(config.vocabularySize - 1)")
            }
            return tokens
        }
    }

    public var totalTokens: Int { tokens.reduce(0) { $0 + $1.count } }

    /// The documents of one wave as a batch; the engine knows each by its number in the corpus.
    public func batch(_ wave: Range<Int>) -> TokenBatch {
        TokenBatch(
            wave.map { tokens[$0] }, groups: wave.map { corpus.documents[$0].group }, firstDocument: wave.lowerBound)
    }

    /// Consecutive documents that run together: as many as have at most `waveTokens` tokens, and at least one.
    /// - Parameter first: the document that the first wave begins with.
    public func waves(of waveTokens: Int, from first: Int = 0) -> [Range<Int>] {
        Waves.pack(tokens[first...].map(\.count), waveTokens).map { $0.lowerBound + first..<$0.upperBound + first }
    }
}
