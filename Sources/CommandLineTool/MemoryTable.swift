import Checkpoints
import Foundation
import MoEModel
import Quantization

/// What a model takes in memory: by quantization and context, for weights, key/value cache and working memory, and of
/// these what one generated token reads. Its JSON is an interface: fields are added, not changed.
struct MemoryTable: Encodable {
    /// What the table is made for.
    struct Settings {
        var cache: CacheType?
        /// Texts whose caches are kept at once.
        var batch = 1
        /// Tokens read at once.
        var rows = 512
        var precision = Precision.fast
        var threads = ProcessInfo.processInfo.activeProcessorCount
        /// Contexts to show; nil: 1,024 and its doubles up to the model's limit.
        var contexts: [Int]?
        /// Bytes it should fit; nil: nothing is marked.
        var fits: Int?
    }

    struct Cell: Encodable {
        let context: Int
        let cache_bytes: Int
        let working_bytes: Int
        /// Weights, cache and working memory.
        let total_bytes: Int
        /// Weights and cache that generating the next token reads.
        let read_bytes_per_token: Int
        let fits: Bool?
    }

    struct Published: Encodable {
        let gigabytes: Double
        let source: String
    }

    struct Row: Encodable {
        /// A kind of quantized file, or "stored": the model as it is.
        let type: String
        let bits_per_weight: Double
        let weight_bytes: Int
        /// Weights that generating one token reads.
        let weight_bytes_per_token: Int
        /// Least memory to trace with, weights read from disk once per wave.
        let streaming_bytes: Int
        let contexts: [Cell]
        let published_files: [Published]
    }

    let name: String
    let parameters_total: Int
    let parameters_active: Int
    let layers: Int
    let experts: Int
    let experts_per_token: Int
    let context_length: Int
    let cache: String
    let cache_bytes_per_token: Int
    let batch: Int
    let rows_at_once: Int
    let precision: String
    let isa: String
    let threads: Int
    let fits_bytes: Int?
    let types: [Row]

    /// The quantizations that are shown.
    static let mixes: [QuantizationMix] = [.f32, .bf16, .q8_0, .q6_k, .q5_k_m, .q4_k_m, .q4_0, .q3_k_m, .q2_k]

    /// - Parameter checkpoint: the model as it is stored, for a row of its own; nil: only its config is known.
    init(name: String, config: ModelConfig, checkpoint: Checkpoint?, card: ModelCard?, settings: Settings) {
        let inventory = TensorInventory(config)
        let cache = settings.cache ?? CacheType(for: settings.precision)
        self.name = name
        parameters_total = inventory.config.parametersTotal
        parameters_active = inventory.config.parametersActive
        layers = config.layerCount
        experts = config.experts.count
        experts_per_token = config.expertsPerToken
        context_length = config.contextLength
        self.cache = cache.rawValue
        cache_bytes_per_token = cache.bytesPerToken(config)
        batch = settings.batch
        rows_at_once = settings.rows
        precision = settings.precision.rawValue
        isa = Model.instructionSet
        threads = settings.threads
        fits_bytes = settings.fits

        let contexts = settings.contexts ?? Self.contexts(upTo: config.contextLength)
        let total = inventory.config.parametersTotal
        func row(
            _ type: String, isQuantized: Bool, weights: Int, outer: Int, read: Int, published: [Published] = []
        ) -> Row {
            let working = WorkingMemory(
                config, precision: settings.precision, threads: settings.threads, isQuantized: isQuantized)
            let cells = contexts.map { context in
                let cached = cache.bytesPerToken(config) * context * settings.batch
                let bytes = working.session(rows: min(settings.rows, context), context: context)
                let sum = weights + cached + bytes
                return Cell(
                    context: context, cache_bytes: cached, working_bytes: bytes, total_bytes: sum,
                    read_bytes_per_token: read + cached / settings.batch, fits: settings.fits.map { sum <= $0 })
            }
            let streamed = Model.streamedWeightBytes(total: weights, outer: outer, layerCount: config.layerCount)
            return Row(
                type: type, bits_per_weight: 8 * Double(weights) / Double(max(1, total)), weight_bytes: weights,
                weight_bytes_per_token: read,
                streaming_bytes: streamed + Model.processBytes + working.wave(rows: min(512, config.contextLength)),
                contexts: cells, published_files: published)
        }
        var rows: [Row] = []
        if let checkpoint {
            let outer = checkpoint.tensors.embedding.bytes.count + checkpoint.tensors.output.bytes.count
            rows.append(
                row(
                    "stored", isQuantized: checkpoint.isQuantized, weights: checkpoint.weightBytes, outer: outer,
                    read: checkpoint.bytesReadPerToken))
        }
        for mix in Self.mixes {
            let files = card?.published.filter { $0.type == mix.rawValue } ?? []
            rows.append(
                row(
                    mix.rawValue, isQuantized: mix.base.blockElements > 1, weights: inventory.bytes(mix),
                    outer: inventory.outerBytes(mix), read: inventory.bytesReadPerToken(mix),
                    published: files.map { file in
                        Published(gigabytes: file.gigabytes, source: card?.sources[file.source] ?? "")
                    }))
        }
        types = rows
    }

    /// 1,024 and its doubles up to the limit, and the limit; of more than seven every other, counted from the end.
    static func contexts(upTo limit: Int) -> [Int] {
        var result = [limit]
        var step = 1 << 10
        while step < limit {
            result.append(step)
            step *= 2
        }
        result.sort()
        while result.count > 7 {
            let last = result.count - 1
            result = result.indices.filter { (last - $0) % 2 == 0 }.map { result[$0] }
        }
        return result
    }
}
