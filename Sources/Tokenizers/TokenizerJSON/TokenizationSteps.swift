/// The steps between a text and the words that byte-pair merging works on, and back.
struct TokenizationSteps: Sendable, Equatable {
    var normalization: [NormalizationStep] = []
    var preTokenization: [PreTokenizationStep] = []
    /// Words are bytes, written in `ByteAlphabet`.
    var isByteLevel = true
    var decoding = TokenDecoding(isByteLevel: true)

    func normalize(_ text: [UInt8]) -> [UInt8] { normalization.reduce(text) { $1.apply($0) } }

    /// How many times longer a text can become; more than this, and a short text fills memory.
    static let largestGrowth = 1024
    static let mostSteps = 64

    /// The steps that a class of transformers builds itself, whatever `tokenizer.json` says; nil: those of the file.
    /// - Parameters:
    ///   - addPrefixSpace: `add_prefix_space`; nil: what the class does.
    ///   - isLegacy: `legacy`, for Llama: every stretch of text between added tokens gets a space before it, not the first alone.
    static func of(_ recipe: TokenizerRecipe, addPrefixSpace: Bool?, isLegacy: Bool?) -> Self? {
        let prefix: [PreTokenizationStep] = addPrefixSpace == true ? [.prefixSpace] : []
        switch recipe {
        case .asWritten: return nil
        case .gpt2: return Self(preTokenization: prefix + [.split(.gpt2)])
        case .gptNeoX: return Self(normalization: [.nfc], preTokenization: prefix + [.split(.gpt2)])
        case .qwen2: return Self(normalization: [.nfc], preTokenization: [.split(.cl100k(digits: 1))] + prefix)
        case .llama:
            let hasPrefix = addPrefixSpace != false
            let scheme: PreTokenizationStep.Prepending = !hasPrefix ? .never : isLegacy == true ? .always : .first
            return Self(
                preTokenization: [.metaspace(scheme, splits: false)], isByteLevel: false,
                decoding: TokenDecoding(
                    hasByteFallback: true, replacesSpaceSymbol: true, strippedSpaces: hasPrefix ? 1 : 0))
        }
    }
}
