import Hooks
import Tensors

/// One array of a trace's shards: its name, type, shape, what fills it and what it costs. Layout, recorder, writer, reader,
/// verification, the size that is announced beforehand and Python iterate the columns of a layout; nothing else lists them.
///
/// Rows are tokens. L captured layers that have a router · A captured layers · E experts · K slots per token · H heads.
public struct TraceColumn: Sendable, Equatable {
    public enum Dimension: Sendable, Equatable {
        /// n: tokens of the shard.
        case rows
        /// L
        case routerLayers
        /// A
        case layers
        /// Captured layers that have a layer so far before them.
        case guessedLayers(ahead: Int)
        /// E
        case experts
        /// K
        case slots
        /// The model's own K, whatever an intervention made of it.
        case guessSlots
        /// H
        case heads
    }

    public enum Storage: Sendable, Equatable {
        case i32
        case f32
        case f16
        /// U8, or U16 from 256 experts on.
        case expertIndex
    }

    /// How the value of a hook becomes a column.
    public enum Recording: Sendable, Equatable {
        /// Element by element.
        case copy
        /// One of the five statistics of `attn.summary`.
        case statistic(AttentionStatistic)
        /// The Euclidean norm over the last dimension.
        case norm
        /// The largest absolute value over the last dimension.
        case largest
    }

    public enum Source: Sendable, Equatable {
        /// The corpus and the pass itself: documents, positions, tokens, log-probabilities.
        case run
        /// The hook of every captured layer.
        case hook(HookSite, Recording)
        /// The routers of later layers, asked with this layer's residual stream.
        case guess(ahead: Int)
        /// The logits of a row.
        case predictedToken
    }

    /// Name of the tensor.
    public let name: String
    public let storage: Storage
    /// Outermost first.
    public let dimensions: [Dimension]
    public let source: Source
    /// One line for help and documentation.
    public let summary: String

    init(_ name: String, _ storage: Storage, _ dimensions: [Dimension], _ source: Source, _ summary: String) {
        self.name = name
        self.storage = storage
        self.dimensions = dimensions
        self.source = source
        self.summary = summary
    }

    package static let document = TraceColumn("document", .i32, [.rows], .run, "index into documents.jsonl")
    package static let position = TraceColumn("position", .i32, [.rows], .run, "position in the document, from 0")
    package static let token = TraceColumn("token", .i32, [.rows], .run, "token id")
    package static let logprob = TraceColumn(
        "logprob", .f32, [.rows], .run,
        "natural log of p(token at this row, given the rows before it); NaN in a document's first row")
    package static let expertIndices = TraceColumn(
        "expert_indices", .expertIndex, [.routerLayers, .rows, .slots], .hook(.expertIndices, .copy),
        "chosen experts, by falling weight")
    package static let expertWeights = TraceColumn(
        "expert_weights", .f32, [.routerLayers, .rows, .slots], .hook(.expertWeights, .copy),
        "mixing weights, as the model applied them")
    package static let predicted = TraceColumn(
        "predicted", .i32, [.rows], .predictedToken, "most probable next token; -1 in a document's last row")

    static func routerLogits(_ format: TraceManifest.Capture.LogitFormat) -> TraceColumn {
        TraceColumn(
            "router_logits", format == .f16 ? .f16 : .f32, [.routerLayers, .rows, .experts],
            .hook(.routerLogits, .copy), "router logits, before the score function")
    }

    static func attention(_ statistic: AttentionStatistic) -> TraceColumn {
        TraceColumn(
            statistic.rawValue, .f16, [.layers, .heads, .rows], .hook(.attentionSummary, .statistic(statistic)),
            statistic.summary)
    }

    static func guesses(ahead: Int) -> TraceColumn {
        TraceColumn(
            "expert_guesses_\(ahead)", .expertIndex, [.guessedLayers(ahead: ahead), .rows, .guessSlots],
            .guess(ahead: ahead), "experts that the router would choose, asked \(ahead) layers ahead")
    }

    /// Columns that `--capture` takes by name beside those that have a word of their own. A capture is added by adding it here.
    public static let named: [TraceColumn] = []

    /// Columns that a run always records and an imported record may lack, in the order of the file.
    public static let omissible: [TraceColumn] = [.token, .logprob, .expertWeights]
}

extension TraceColumn {
    /// The word of `--capture` that keeps columns of this name; nil for columns that are always there, or are none.
    public static func capture(of name: String) -> String? {
        if name == "router_logits" || name == predicted.name || named.contains(where: { $0.name == name }) {
            return name
        }
        if AttentionStatistic(rawValue: name) != nil { return "attention_summary" }
        return name.hasPrefix("expert_guesses_") ? "speculative" : nil
    }

    public func shape(_ layout: TraceLayout, rows: Int) -> [Int] {
        dimensions.map { $0.count(layout, rows: rows) }
    }

    public func dtype(_ layout: TraceLayout) -> DType {
        switch storage {
        case .i32: .i32
        case .f32: .f32
        case .f16: .f16
        case .expertIndex: layout.hasByteIndices ? .u8 : .u16
        }
    }

    /// Bytes of one row in a shard.
    public func bytesPerToken(_ layout: TraceLayout) -> Int {
        shape(layout, rows: 1).reduce(1, *) * dtype(layout).blockBytes
    }

    /// The model's layer numbers along the first dimension; nil for a column without layers.
    public func layers(_ layout: TraceLayout) -> [Int]? {
        switch dimensions[0] {
        case .routerLayers: layout.layers
        case .layers: layout.attentionLayers
        case .guessedLayers(let ahead): layout.guessedLayers(ahead: ahead)
        default: nil
        }
    }
}

extension TraceColumn.Dimension {
    func count(_ layout: TraceLayout, rows: Int) -> Int {
        switch self {
        case .rows: rows
        case .routerLayers: layout.layers.count
        case .layers: layout.attentionLayers.count
        case .guessedLayers(let ahead): layout.guessedLayers(ahead: ahead).count
        case .experts: layout.experts
        case .slots: layout.expertsPerToken
        case .guessSlots: layout.expertsPerGuess
        case .heads: layout.heads
        }
    }
}

/// What is kept of a head's attention at a row, in the order in which the engine's `attn.summary` hook gives it.
public enum AttentionStatistic: String, Sendable, CaseIterable, Codable {
    /// nats
    case entropy = "attention_entropy"
    /// Mass on position 0.
    case first = "attention_first"
    /// Mass on the previous position; 0 in a document's first row.
    case previous = "attention_previous"
    /// Mean distance in tokens.
    case distance = "attention_distance"
    /// Largest weight.
    case max = "attention_max"

    var summary: String {
        switch self {
        case .entropy: "entropy of a head's attention, in nats"
        case .first: "attention on position 0"
        case .previous: "attention on the previous position"
        case .distance: "mean distance of attention, in tokens"
        case .max: "largest attention weight"
        }
    }
}
