/// How llama.cpp cuts text into words, by the name a file gives in `tokenizer.ggml.pre` (`llama-vocab.cpp`, `load` of the
/// vocabulary and `llm_tokenizer_bpe`).
struct GGUFPreTokenizer {
    let steps: [PreTokenizationStep]
    /// Whether a word that is a piece is that piece, whatever merging would make of it.
    var ignoresMerges = false
    /// Whether a text begins with BOS where the file does not say.
    var addsBOS = false

    /// nil for a name that is not known here.
    init?(name: String) {
        switch name {
        case "gpt-2", "olmo", "phi-2", "jina-en", "mpt", "jais", "gigachat", "mellum", "exaone4", "trillion":
            steps = [.split(.gpt2)]
        case "qwen2", "deepseek-r1-qwen", "megrez", "hunyuan", "stablelm2", "grok-2", "solar-open":
            steps = [.split(.cl100k(digits: 1))]
        case "qwen35": steps = Self.expressions(Self.qwen35)
        case "llama-bpe", "llama3", "llama-v3", "falcon3", "lfm2", "pixtral":
            steps = [.split(.cl100k(digits: 3))]
            (ignoresMerges, addsBOS) = (true, true)
        case "glm4", "glm5":
            steps = [.split(.cl100k(digits: 3))]
            ignoresMerges = true
        case "chatglm-bpe", "dbrx", "smaug-bpe": steps = [.split(.cl100k(digits: 3))]
        case "gpt-4o":
            steps = [.split(.o200k)]
            // A vocabulary of tiktoken's: every piece is reached by merges as well.
            ignoresMerges = true
        case "minimax-m2", "llama4": steps = [.split(.o200k)]
        case "tekken":
            steps = Self.expressions(Self.tekken)
            (ignoresMerges, addsBOS) = (true, true)
        case "deepseek-llm": steps = Self.expressions(Self.deepSeekLLM)
        case "deepseek-coder": steps = Self.expressions(Self.deepSeekCoder)
        case "deepseek-v3", "hunyuan-dense", "joyai-llm": steps = Self.expressions(Self.deepSeekV3)
        case "afmoe": steps = Self.expressions(Self.afmoe)
        case "bailingmoe", "bailingmoe2", "llada-moe": steps = Self.expressions(Self.bailing)
        case "kimi-k2": steps = Self.expressions(Self.kimi)
        case "seed-coder": steps = Self.expressions(Self.seedCoder)
        case "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone":
            steps = [.digits(individual: true), .split(.gpt2)]
        case "default": steps = [.punctuation, .split(.gpt2), .digits(individual: false), .digitTriples]
        default: return nil
        }
    }

    /// The name whose words are those of these steps; nil: GGUF has none.
    static func name(of steps: TokenizationSteps, ignoresMerges: Bool) -> String? {
        if steps.preTokenization == [.split(.gpt2)], !ignoresMerges {
            return steps.normalization == [.nfc] ? "olmo" : "gpt-2"
        }
        let name = written.first { name in
            guard let known = GGUFPreTokenizer(name: name), known.ignoresMerges == ignoresMerges else { return false }
            return known.steps == steps.preTokenization
        }
        // Digits one by one are what DeepSeek's file asks for, and llama.cpp takes them together; the vocabulary has no piece of several.
        if name == nil, case .digits(individual: true) = steps.preTokenization.last, !ignoresMerges,
            steps.preTokenization.dropLast() == expressions(deepSeekLLM).dropLast()
        {
            return "deepseek-llm"
        }
        return name
    }

    /// Names that are written, one for each way of cutting.
    private static let written = [
        "qwen2", "llama-bpe", "glm4", "dbrx", "gpt-4o", "minimax-m2", "tekken", "refact", "qwen35", "deepseek-llm",
        "deepseek-coder", "deepseek-v3", "afmoe", "bailingmoe", "seed-coder", "kimi-k2",
    ]

    /// The steps of expressions that all can be used.
    private static func expressions(_ texts: [String]) -> [PreTokenizationStep] {
        texts.compactMap { text in (try? SplitExpression(text)).map { .expression($0, .isolated) } }
    }

    // MARK: Expressions, as the models' own tokenizer.json have them

    private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    private static let spaces = #"\s*[\r\n]+|\s+(?!\S)|\s+"#

    private static let qwen35 = [
        contractions + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"# + spaces
    ]

    private static let tekken = [
        #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"#
            + #"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"#
            + #"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"# + spaces
    ]

    /// Han characters and, for the newer of DeepSeek's, kana.
    private static let hangulAndHan = #"[\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+"#
    private static let hanAndKana = #"[\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+"#

    private static let deepSeekLLM = [
        #"[\r\n]"#, #"\s?["# + casedLetters + "]+",
        #"\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+"#, #"\s+$"#, hangulAndHan,
        #"\p{N}+"#,
    ]
    private static let deepSeekCoder = [#"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, hangulAndHan, #"\p{N}"#]

    /// ASCII punctuation before letters, words with their marks, runs of punctuation and symbols.
    private static let wordsAndSigns =
        ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##
        + #"| ?[\p{P}\p{S}]+[\r\n]*|"# + spaces
    private static let deepSeekV3 = [#"\p{N}{1,3}"#, hanAndKana, wordsAndSigns]

    /// Digits in threes from the right; scripts that write no spaces.
    private static let afmoe = [
        #"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"#,
        #"[\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{8c48}-\x{faff}\x{3040}-\x{309f}\x{30a0}-\x{30ff}\x{ff65}-\x{ff9f}"#
            + #"\x{2f00}-\x{2fdf}\x{e40}-\x{e7f}\x{e80}-\x{eff}\x{1780}-\x{17ff}\x{1000}-\x{109f}"#
            + #"\x{aa60}-\x{aa7f}\x{a9e0}-\x{a9ff}\x{ac00}-\x{d7af}\x{1100}-\x{11ff}]+"#,
        wordsAndSigns,
    ]

    private static let bailing = [
        #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#
    ]
    /// Han characters, words without them that end before a capital letter; `tokenization_kimi.py` of Kimi-K2 and Moonlight.
    private static let kimi = [
        #"[\p{Han}]+|"#
            + #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"#
            + contractions
            + #"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"#
            + contractions + #"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"# + spaces
    ]
    private static let seedCoder = [
        contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|"# + spaces
    ]

    /// Letters that have a case, as of the Unicode version that DeepSeek's list was made with.
    private static let casedLetters =
        #"A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293}"#
        + #"\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a}\x{38c}"#
        + #"\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}"#
        + #"\x{13a0}-\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}"#
        + #"\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}\x{1f20}-\x{1f45}"#
        + #"\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d}\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}"#
        + #"\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc}\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}"#
        + #"\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}"#
        + #"\x{2119}-\x{211d}\x{2124}\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}"#
        + #"\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4}"#
        + #"\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f}"#
        + #"\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}"#
        + #"\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}"#
        + #"\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df}\x{1e900}-\x{1e943}"#
}
