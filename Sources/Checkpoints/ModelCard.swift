/// What is publicly known of a model whose weights are not here: enough for `moescope inspect` and `moescope memory`.
public struct ModelCard: Sendable {
    /// Size of a published GGUF file, for comparison with ours.
    public struct PublishedFile: Sendable {
        /// The quantization, as files are named: "Q4_K_M".
        public let type: String
        /// 10⁹ bytes.
        public let gigabytes: Double
        /// Index in `sources`.
        public let source: Int
    }

    /// What it is called here: "mixtral-8x7b".
    public let name: String
    /// Where the weights are, on huggingface.co.
    public let repository: String
    public let config: ModelConfig
    public let license: String
    public let tokenizer: String
    /// nil: a base model.
    public let chatTemplate: String?
    public let paper: String
    public let published: [PublishedFile]
    /// Where `published` was read.
    public let sources: [String]

    public static let all = [mixtral8x7B, mixtral8x7BInstruct, mixtral8x22B, mixtral8x22BInstruct]

    /// The card of this name, whatever its case.
    public static func named(_ name: String) -> ModelCard? { all.first { $0.name == name.lowercased() } }
}

extension ModelCard {
    /// arXiv 2401.04088: 46.7 billion parameters, 12.9 billion active.
    static let mixtral8x7B = ModelCard(
        name: "mixtral-8x7b", repository: "mistralai/Mixtral-8x7B-v0.1", config: config8x7B, license: "apache-2.0",
        tokenizer: "SentencePiece BPE, 32,000 pieces", chatTemplate: nil, paper: "arXiv 2401.04088",
        published: published8x7B, sources: sources8x7B)

    static let mixtral8x7BInstruct = ModelCard(
        name: "mixtral-8x7b-instruct", repository: "mistralai/Mixtral-8x7B-Instruct-v0.1", config: config8x7B,
        license: "apache-2.0", tokenizer: "SentencePiece BPE, 32,000 pieces", chatTemplate: "Mistral [INST]",
        paper: "arXiv 2401.04088", published: published8x7B, sources: sources8x7B)

    /// mistral.ai/news/mixtral-8x22b: 141 billion parameters, 39 billion active.
    static let mixtral8x22B = ModelCard(
        name: "mixtral-8x22b", repository: "mistralai/Mixtral-8x22B-v0.1", config: config8x22B(vocabularySize: 32_000),
        license: "apache-2.0", tokenizer: "SentencePiece BPE, 32,000 pieces", chatTemplate: nil,
        paper: "mistral.ai/news/mixtral-8x22b", published: published8x22B, sources: sources8x22B)

    /// The instruct model has 768 pieces more, for tools.
    static let mixtral8x22BInstruct = ModelCard(
        name: "mixtral-8x22b-instruct", repository: "mistralai/Mixtral-8x22B-Instruct-v0.1",
        config: config8x22B(vocabularySize: 32_768), license: "apache-2.0",
        tokenizer: "SentencePiece BPE, 32,768 pieces", chatTemplate: "Mistral [INST] with tools",
        paper: "mistral.ai/news/mixtral-8x22b", published: published8x22B, sources: sources8x22B)

    private static let config8x7B = mixtral(
        vocabularySize: 32_000, hiddenSize: 4096, layerCount: 32, headCount: 32, expertSize: 14_336,
        contextLength: 32_768, balanceLossCoefficient: 0.02)

    private static func config8x22B(vocabularySize: Int) -> ModelConfig {
        mixtral(
            vocabularySize: vocabularySize, hiddenSize: 6144, layerCount: 56, headCount: 48, expertSize: 16_384,
            contextLength: 65_536, balanceLossCoefficient: 0.001)
    }

    private static func mixtral(
        vocabularySize: Int, hiddenSize: Int, layerCount: Int, headCount: Int, expertSize: Int, contextLength: Int,
        balanceLossCoefficient: Float
    ) -> ModelConfig {
        ModelConfig(
            architecture: "mixtral", vocabularySize: vocabularySize, hiddenSize: hiddenSize,
            contextLength: contextLength, layers: Array(repeating: LayerKind(), count: layerCount),
            attention: AttentionConfig(headCount: headCount, keyValueHeadCount: 8, headSize: 128),
            router: .softmax(expertsPerToken: 2, normalizes: true), experts: ExpertsConfig(count: 8, size: expertSize),
            bosToken: 1, eosToken: 2, balanceLossCoefficient: balanceLossCoefficient)
    }

    /// Files of December 2023 kept every expert of one type, and Q2_K gave fewer tensors more bits; llama.cpp has used
    /// the mixes of `QuantizationMix` since the experts were merged in spring 2024.
    private static let sources8x7B = [
        "MaziyarPanahi/Mixtral-8x7B-v0.1-GGUF; Q4_0: gobean/Mixtral-8x7B-Instruct-v0.1-GGUF (2024)",
        "TheBloke/Mixtral-8x7B-v0.1-GGUF (December 2023, older mixes)",
    ]
    private static let published8x7B: [PublishedFile] =
        files(
            0,
            [
                ("Q8_0", 49.6), ("Q6_K", 38.4), ("Q5_K_M", 33.2), ("Q4_K_M", 28.4), ("Q4_0", 26.4), ("Q3_K_M", 22.5),
                ("Q2_K", 17.3),
            ])
        + files(
            1,
            [
                ("Q8_0", 49.62), ("Q6_K", 38.38), ("Q5_K_M", 32.23), ("Q4_K_M", 26.44), ("Q4_0", 26.44),
                ("Q3_K_M", 20.36), ("Q2_K", 15.64),
            ])

    private static let sources8x22B = ["bartowski/Mixtral-8x22B-v0.1-GGUF (llama.cpp b2636, April 2024)"]
    private static let published8x22B = files(
        0, [("Q5_K_M", 99.96), ("Q4_K_M", 85.58), ("Q3_K_M", 67.78), ("Q2_K", 52.10)])

    private static func files(_ source: Int, _ list: [(String, Double)]) -> [PublishedFile] {
        list.map { PublishedFile(type: $0.0, gigabytes: $0.1, source: source) }
    }
}
