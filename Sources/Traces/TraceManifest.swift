import FileFormats
import Hooks
import RouterPolicies

/// `manifest.json`: what was run on what, and which shards are complete. Wire type of trace formats 1 and 2; keys in the file
/// are snake_case, in alphabetical order, so that equal manifests are equal bytes.
public struct TraceManifest: Codable, Sendable, Equatable {
    /// Always "moescope-trace".
    public var format = TraceManifest.formatName
    public var version = TraceManifest.currentVersion
    public var status = Status.partial
    public var model: Model
    public var tokenizer: Tokenizer
    public var capture: Capture
    public var interventions: [Intervention]
    public var compute: Compute
    public var corpus: Corpus
    /// How tokens were chosen, where the model generated some.
    public var generation: Generation?
    /// Where the documents come from, where not from a run of this program; nil: traced here.
    public var provenance: Provenance?
    /// Complete shards, in order.
    public var shards: [Shard] = []
    /// The other files by name: the lines of `documents.jsonl` that belong to complete shards, and `vocabulary.json`. nil in
    /// older traces.
    public var files: [String: RecordedFile]?
    /// RFC 3339, UTC.
    public var created = ""
    /// RFC 3339, UTC: when the last shard was added.
    public var updated = ""
    /// SHA-256 (hex) of `manifest.json` itself, with 64 zeros in place of this hash; there where `files` is. The writer sets it.
    public var manifestSHA256: String?

    enum CodingKeys: String, CodingKey {
        case format, version, status, model, tokenizer, capture, interventions, compute, corpus, generation, provenance,
            shards, files
        case created, updated
        case manifestSHA256 = "manifest_sha256"
    }

    public static let formatName = "moescope-trace"
    /// Version 2 says what the router does (`model.router`) and which layers have one (`model.moe_layers`).
    public static let currentVersion = 2
    /// Versions that can be read.
    public static let readableVersions = 1...2

    public init(
        model: Model, tokenizer: Tokenizer, capture: Capture, interventions: [Intervention] = [],
        compute: Compute, corpus: Corpus
    ) {
        self.model = model
        self.tokenizer = tokenizer
        self.capture = capture
        self.interventions = interventions
        self.compute = compute
        self.corpus = corpus
    }

    /// Tokens in the complete shards.
    public var tokens: Int { shards.reduce(0) { $0 + $1.tokens } }
    /// Documents in the complete shards.
    public var documents: Int { shards.reduce(0) { $0 + $1.documents } }

    public enum Status: String, Codable, Sendable {
        case partial
        case complete
    }

    public struct Model: Codable, Sendable, Equatable {
        public var name: String
        public var architecture: String
        public var layers: Int
        public var experts: Int
        public var expertsPerToken: Int
        /// 0 where it is not known, here and in the five numbers below; the file then has no such field.
        public var heads: Int
        public var kvHeads: Int
        public var hiddenSize: Int
        public var vocabSize: Int
        /// How the weights are stored: "BF16", "Q4_K", …; "" where it is not known.
        public var quantization: String
        public var parametersTotal: Int
        /// Parameters that one token meets.
        public var parametersActive: Int
        /// The hash of the weights' files; "" where it is not known.
        public var sha256: String
        /// What the router does with its logits; nil in version 1, whose models all took a softmax.
        public var router: RouterPolicy?
        /// Layers that have a router, rising; nil: all.
        public var moeLayers: [Int]?
        /// Every setting of the model as it was understood, by its path ("attention.rotary.theta": "10000"); nil in older traces.
        public var config: [String: String]?

        public init(
            name: String, architecture: String, layers: Int, experts: Int, expertsPerToken: Int, heads: Int,
            kvHeads: Int, hiddenSize: Int, vocabSize: Int, quantization: String, parametersTotal: Int,
            parametersActive: Int, sha256: String, router: RouterPolicy? = nil, moeLayers: [Int]? = nil,
            config: [String: String]? = nil
        ) {
            self.name = name
            self.architecture = architecture
            self.layers = layers
            self.experts = experts
            self.expertsPerToken = expertsPerToken
            self.heads = heads
            self.kvHeads = kvHeads
            self.hiddenSize = hiddenSize
            self.vocabSize = vocabSize
            self.quantization = quantization
            self.parametersTotal = parametersTotal
            self.parametersActive = parametersActive
            self.sha256 = sha256
            self.router = router
            self.moeLayers = moeLayers
            self.config = config
        }

        /// What the router does: as recorded, or a softmax in traces of version 1.
        public var routerPolicy: RouterPolicy {
            router ?? .softmax(expertsPerToken: expertsPerToken, normalizes: true)
        }

        /// Layers that have a router, rising.
        public var layersWithRouter: [Int] { moeLayers ?? Array(0..<layers) }
    }

    public struct Tokenizer: Codable, Sendable, Equatable {
        /// A `TokenizerKind`: "sentencepiece-bpe", "byte-level-bpe", "bpe" or, for a corpus of token ids, "none". A trace of
        /// another program may say something else (`TokenizerKind.init(named:)`).
        public var kind: String
        /// The hash of the tokenizer's file; empty for a corpus of token ids.
        public var sha256: String

        public init(kind: TokenizerKind, sha256: String) {
            self.kind = kind.rawValue
            self.sha256 = sha256
        }
    }

    public struct Capture: Codable, Sendable, Equatable {
        public enum LogitFormat: String, Codable, Sendable {
            case f32
            case f16
        }

        /// How router logits are stored; nil where they are not.
        public var routerLogits: LogitFormat?
        public var attentionSummary: Bool
        /// [layer, head] pairs whose patterns are kept.
        public var attentionPattern: [[Int]]
        /// Model layers captured, in rising order. Arrays of the router hold those of them that have one.
        public var layers: [Int]
        /// Slots per token in the shards, where an intervention changed it from the model's K.
        public var expertsPerToken: Int?
        /// Whether the most probable next token of every row is kept; nil: no.
        public var predicted: Bool?
        /// How many layers ahead experts were guessed; nil: not at all.
        public var speculative: [Int]?
        /// Names of further columns (`TraceColumn.named`); nil: none.
        public var columns: [String]?
        /// What every trace of this program has and this record lacks (`omissible`); nil: nothing.
        public var absent: [String]?

        public init(
            routerLogits: LogitFormat? = .f32, attentionSummary: Bool = false, attentionPattern: [[Int]] = [],
            layers: [Int], expertsPerToken: Int? = nil, predicted: Bool? = nil, speculative: [Int]? = nil,
            columns: [String]? = nil, absent: [String]? = nil
        ) {
            self.routerLogits = routerLogits
            self.attentionSummary = attentionSummary
            self.attentionPattern = attentionPattern
            self.layers = layers
            self.expertsPerToken = expertsPerToken
            self.predicted = predicted
            self.speculative = speculative
            self.columns = columns
            self.absent = absent
        }

        enum CodingKeys: String, CodingKey {
            case layers, predicted, speculative, columns, absent
            case routerLogits = "router_logits"
            case attentionSummary = "attention_summary"
            case attentionPattern = "attention_pattern"
            case expertsPerToken = "experts_per_token"
        }
    }

    public struct Compute: Codable, Sendable, Equatable {
        /// "exact", "precise" or "fast".
        public var precision: String
        /// Instruction set of the kernels.
        public var isa: String
        public var threads: Int
        /// The version of MoEScope.
        public var version: String

        public init(precision: String, isa: String, threads: Int, version: String) {
            self.precision = precision
            self.isa = isa
            self.threads = threads
            self.version = version
        }
    }

    public struct Corpus: Codable, Sendable, Equatable {
        /// Name of the file or folder.
        public var source: String
        public var sha256: String
        /// Documents and tokens of the whole corpus, traced or not yet.
        public var documents: Int
        public var tokens: Int
        /// Documents of each group.
        public var groups: [String: Int]
        /// SHA-256 (hex) of the token ids that the model reads: of each document its length and its ids, little-endian Int32. It
        /// depends on all that decides them: tokenizer, its settings, the length that documents are cut to. nil in older traces.
        public var tokensSHA256: String?

        public init(
            source: String, sha256: String, documents: Int, tokens: Int, groups: [String: Int],
            tokensSHA256: String? = nil
        ) {
            self.source = source
            self.sha256 = sha256
            self.documents = documents
            self.tokens = tokens
            self.groups = groups
            self.tokensSHA256 = tokensSHA256
        }

        enum CodingKeys: String, CodingKey {
            case source, sha256, documents, tokens, groups
            case tokensSHA256 = "tokens_sha256"
        }
    }

    public struct Generation: Codable, Sendable, Equatable {
        /// 0: the most probable token each time.
        public var temperature: Float
        public var topK: Int
        public var topP: Float
        public var minP: Float
        public var repetitionPenalty: Float
        public var seed: UInt64
        /// How the cache kept keys and values: "f32", "f16", "q8_0".
        public var cache: String

        public init(
            temperature: Float, topK: Int, topP: Float, minP: Float, repetitionPenalty: Float, seed: UInt64,
            cache: String
        ) {
            self.temperature = temperature
            self.topK = topK
            self.topP = topP
            self.minP = minP
            self.repetitionPenalty = repetitionPenalty
            self.seed = seed
            self.cache = cache
        }

        enum CodingKeys: String, CodingKey {
            case temperature, seed, cache
            case topK = "top_k"
            case topP = "top_p"
            case minP = "min_p"
            case repetitionPenalty = "repetition_penalty"
        }
    }

    public struct Shard: Codable, Sendable, Equatable {
        /// Path inside the trace: "shards/000000.safetensors".
        public var file: String
        public var tokens: Int
        public var documents: Int
        public var sha256: String
        /// The patterns of the same documents, where some were captured.
        public var attention: AttentionFile?

        public init(file: String, tokens: Int, documents: Int, sha256: String, attention: AttentionFile? = nil) {
            self.file = file
            self.tokens = tokens
            self.documents = documents
            self.sha256 = sha256
            self.attention = attention
        }
    }

    /// A file, or the beginning of one that grows.
    public struct RecordedFile: Codable, Sendable, Equatable {
        public var bytes: Int
        /// Of so many bytes from the start.
        public var sha256: String

        public init(bytes: Int, sha256: String) {
            self.bytes = bytes
            self.sha256 = sha256
        }
    }

    public struct AttentionFile: Codable, Sendable, Equatable {
        /// Path inside the trace: "attention/000000.safetensors".
        public var file: String
        public var sha256: String

        public init(file: String, sha256: String) {
            self.file = file
            self.sha256 = sha256
        }
    }
}
