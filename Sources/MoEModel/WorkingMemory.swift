import Checkpoints
import Tensors

/// The memory that a pass takes besides weights, key/value cache and what is recorded, from the config alone: what waves
/// are planned with, and what `moescope memory` shows.
///
/// It counts what `Backend` allocates for a pass. One thing depends on the text: how many rows
/// the busiest expert gets, see `busiest`.
public struct WorkingMemory: Sendable {
    public let config: ModelConfig
    public let precision: Precision
    public let threads: Int
    /// Whether the large matrices are stored in blocks; it decides how activations are packed.
    public let isQuantized: Bool
    /// Rows of the busiest expert as a multiple of its fair share, K/E of the rows. Matters only to waves whose hidden
    /// activations do not fit `hiddenLimit`, because experts are then computed in groups.
    public var busiest = 1.0

    /// Most f32 values of hidden activations to hold at once: experts are computed in groups that stay below it.
    static let hiddenLimit = 32 << 20

    public init(_ config: ModelConfig, precision: Precision, threads: Int, isQuantized: Bool) {
        self.config = config
        self.precision = precision
        self.threads = threads
        self.isQuantized = isQuantized
    }

    /// Bytes of a pass over a wave of documents, layer by layer, with log-probabilities.
    /// - Parameter longest: tokens of the longest document; nil: the wave is one document, or as long as the model reads.
    public func wave(rows: Int, longest: Int? = nil) -> Int {
        let tiles = (config.vocabularySize + Backend.vocabularyTile - 1) / Backend.vocabularyTile
        // A running maximum and sum per vocabulary tile, and the target's logit.
        return pass(rows) + Self.float * rows * (2 * tiles + 3)
            + rotary(positions: longest ?? min(rows, config.contextLength))
    }

    /// Bytes of reading `rows` tokens at once into a session that holds `context` tokens in the end; the cache not counted.
    public func session(rows: Int, context: Int) -> Int {
        pass(rows) + 2 * Self.float * config.vocabularySize + rotary(positions: context) + absorbed(rows)
    }

    /// What latent attention takes over a cache: rows of the cache, queries that meet them and sums of them, and tiles of these
    /// for each thread.
    private func absorbed(_ rows: Int) -> Int {
        guard let latent = config.attention.latent else { return 0 }
        let (width, heads) = (latent.rank + config.attention.rotatedSize, config.attention.headCount)
        let shape = AttentionShape(heads: heads, groups: 1, headSize: width, slidingWindow: nil, scale: 1)
        // Each head's queries or sums are packed for its own product.
        let packing = heads * packed(rows, latent.rank)
        return Self.float * rows * width * (1 + 2 * heads) + packing
            + threads * Backend.attentionScratchBytes(shape, precision)
    }

    private static let float = MemoryLayout<Float>.stride

    /// What the program comes to touch of itself in a pass: kernels' code, threads' stacks, lists of tasks.
    private static let programBytes = 1 << 20

    /// What waves and sessions have in common.
    private func pass(_ rows: Int) -> Int {
        let (hidden, choices) = (config.hiddenSize, config.expertsPerToken)
        let queries = config.attention.headCount * config.attention.headSize
        let keyValues = 2 * config.attention.keyValueHeadCount * config.attention.headSize
        // Residual, normed, branch; queries and head outputs; keys and values of the layer at hand.
        var floats = 3 * hidden + 2 * queries + keyValues
        // Router logits and probabilities; choices, their weights and outputs.
        floats += 2 * config.experts.count + 2 * choices + choices * hidden
        // Positions, documents and tokens; where each choice is computed and found again.
        floats += 3 + 2 * choices
        if config.experts.sharedSize != nil { floats += hidden + 1 }
        if config.attention.gatesHeads { floats += queries }
        if let latent = config.attention.latent {
            let heads = config.attention.headCount
            floats += (latent.queryRank ?? 0) + 2 * latent.rank + config.attention.rotatedSize
            floats += queries + heads * (3 * latent.valueSize - config.attention.rotatedSize)
        }
        return Self.float * rows * floats + expansion + experts(rows) + vectors + threads * scratch(rows)
            + Self.programBytes
    }

    /// What expands one layer's latents, put together in f32 out of the two parts that GGUF files hold, which become f32 first.
    private var expansion: Int {
        guard let shape = LatentExpansion(config) else { return 0 }
        return 2 * Self.float * shape.heads * (shape.keySize + shape.valueSize) * shape.rank
    }

    /// Hidden activations of one group of experts, and the packed input of the largest product; one buffer serves all products.
    private func experts(_ rows: Int) -> Int {
        let assignments = rows * config.expertsPerToken
        let fair = Double(assignments) / Double(config.experts.count)
        let busiestRows = min(rows, Int((busiest * fair).rounded(.up)))
        let limit = Self.hiddenLimit / config.experts.size
        // A group ends before the expert that would pass the limit, so it is one expert at least.
        let whole = max(1, Int(Double(limit) / max(1, fair)))
        let group =
            assignments <= limit
            ? assignments : min(assignments, max(busiestRows, busiest > 1 ? limit : Int(Double(whole) * fair)))
        var hidden = Self.float * group * config.experts.size
        var packing = [
            packed(rows, config.hiddenSize), packed(rows, config.attention.headCount * config.attention.headSize),
            packed(group, config.hiddenSize, isFine: false), packed(group, config.experts.size),
        ]
        for size in [config.experts.sharedSize, config.denseSize].compactMap({ $0 }) {
            hidden = max(hidden, Self.float * rows * size)
            packing.append(packed(rows, size))
        }
        return hidden + (packing.max() ?? 0)
    }

    /// Norms and routers, which are kept in f32 beside the file's own.
    private var vectors: Int {
        let perLayer = (config.experts.count + 2) * config.hiddenSize
        return Self.float * (config.layerCount * perLayer + config.hiddenSize)
    }

    /// The rotary table is made for twice what was asked for.
    private func rotary(positions: Int) -> Int {
        Self.float * config.attention.rotatedSize * min(config.contextLength, max(2 * positions, 512))
    }

    /// Rows packed as a product's input.
    private func packed(_ rows: Int, _ columns: Int, isFine: Bool = true) -> Int {
        let mode = isFine ? Backend.fineMode(precision) : Backend.mode(precision)
        return Backend.packedBytes(isQuantized ? .q8_0 : .bf16, mode, rows: rows, columns: columns)
    }

    private func scratch(_ rows: Int) -> Int {
        Backend.scratchBytes(
            isQuantized ? .q8_0 : .bf16, precision, rows: rows,
            columns: max(config.hiddenSize, config.experts.size, config.denseSize ?? 0),
            AttentionShape(
                heads: config.attention.headCount, groups: config.attention.keyValueHeadCount,
                headSize: config.attention.headSize,
                slidingWindow: nil, scale: 1))
    }
}
