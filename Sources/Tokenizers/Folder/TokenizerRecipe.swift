/// Which steps a tokenizer of a Hugging Face folder is made of: those `tokenizer.json` writes down, or those of a class of
/// transformers 5, which takes only vocabulary, merges and post-processor from the file and builds the rest itself.
enum TokenizerRecipe: Sendable, Equatable {
    case asWritten
    case llama
    case gpt2
    case qwen2
    case gptNeoX

    /// The class a name stands for; nil where it is none of those whose steps are known here.
    init?(className: String) {
        switch Self.base(className) {
        case "TokenizersBackend", "PythonBackend", "PreTrainedTokenizer": self = .asWritten
        case "LlamaTokenizer": self = .llama
        case "GPT2Tokenizer": self = .gpt2
        case "Qwen2Tokenizer": self = .qwen2
        case "GPTNeoXTokenizer": self = .gptNeoX
        default: return nil
        }
    }

    /// What `AutoTokenizer` of transformers 5.24 chooses (models/auto/tokenization_auto.py).
    /// - Parameters:
    ///   - modelType: `model_type` of `config.json`; nil: none.
    ///   - className: `tokenizer_class` of `tokenizer_config.json`, else of `config.json`.
    ///   - isByteLevel: whether `tokenizer.json` has a byte-level step.
    /// - Returns: the recipe, and the class that would be another one, where its steps are not known here.
    static func choose(modelType: String?, className: String?, isByteLevel: Bool) -> (recipe: Self, unknown: String?) {
        let registered = modelType.flatMap { Self.registered[$0] }
        guard let className else { return (registered ?? .asWritten, nil) }
        // Llama 3's vocabularies call themselves Llama's, which are not byte-level.
        if base(className) == "LlamaTokenizer", isByteLevel { return (.asWritten, nil) }
        if registered == .asWritten { return (.asWritten, nil) }
        guard let recipe = Self(className: className) else { return (.asWritten, className) }
        return (recipe, nil)
    }

    /// The class of each kind of model.
    private static let registered: [String: Self] = [
        "mixtral": .asWritten, "phimoe": .asWritten, "granitemoe": .asWritten, "granitemoeshared": .asWritten,
        "granitemoehybrid": .asWritten, "flex_olmo": .asWritten, "glm4_moe": .asWritten, "minimax_m2": .asWritten,
        "ernie4_5_moe": .asWritten, "arctic": .asWritten, "jamba": .asWritten,
        "olmoe": .gptNeoX, "qwen2_moe": .qwen2, "qwen3_moe": .qwen2, "qwen3_next": .qwen2, "dbrx": .gpt2,
    ]

    /// "LlamaTokenizerFast" is "LlamaTokenizer".
    private static func base(_ name: String) -> String { name.hasSuffix("Fast") ? String(name.dropLast(4)) : name }

    /// Tokens that the class names where no file does.
    var defaultTokens: [String: String] {
        switch self {
        case .asWritten: [:]
        case .llama: ["unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"]
        case .gpt2:
            ["unk_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"]
        case .qwen2: ["unk_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"]
        case .gptNeoX:
            [
                "unk_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
                "pad_token": "<|padding|>",
            ]
        }
    }
}
