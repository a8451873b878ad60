import Checkpoints
import Quantization
import ReportGenerator
import Tensors
import Tokenizers

/// What looks wrong or unusual in a checkpoint that can be opened, in sentences.
struct Remarks {
    private(set) var sentences: [String] = []
    private let config: ModelConfig

    init(_ checkpoint: Checkpoint, _ notes: Checkpoint.Notes) {
        config = checkpoint.config
        judgeConfig()
        judgeFiles(checkpoint, notes)
        judgeTensors(checkpoint)
        if let problem = notes.templateProblem { add(problem) }
    }

    mutating func add(_ sentence: String) { sentences.append(sentence) }

    private mutating func judgeConfig() {
        let isMixtral = config.architecture == "mixtral"
        let context = Prose.count(config.contextLength)
        // Mixtral's own base is 10⁶; a small one turns a long context into noise.
        if isMixtral, config.attention.rotary.theta <= 10_000, config.contextLength > 8192,
            config.attention.rotary.scaling == nil
        {
            add(
                "Rotary base \(Inspection.number(config.attention.rotary.theta)) with a context of \(context): "
                    + "Mixtral's base is 1,000,000.")
        }
        if isMixtral, let window = config.slidingWindow {
            add(
                "A sliding window of \(Prose.count(window)): Mixtral attends to the whole context; "
                    + "early copies of its config said otherwise.")
        }
        if isMixtral, config.tiesOutputToEmbedding {
            add("The output is tied to the embedding; Mixtral's is a matrix of its own. Is output.weight missing?")
        }
        if config.contextLength > 1 << 22 {
            add("A context of \(context) tokens is more than any model was trained for.")
        }
        if config.contextLength < 512 { add("A context of \(context) tokens is very short.") }
        if config.norm.epsilon < 1e-8 || config.norm.epsilon > 1e-3 {
            add("A norm epsilon of \(config.norm.epsilon) is unusual; models have 1e-6 to 1e-5.")
        }
        if config.attention.rotary.theta < 1000 {
            add("A rotary base of \(config.attention.rotary.theta) is unusual; models have 10,000 and more.")
        }
        if let scaling = config.attention.rotary.scaling, scaling.kind != .longRope,
            Float(config.contextLength) > 1.01 * scaling.factor * Float(scaling.originalContext)
        {
            add(
                "Rotary scaling × \(scaling.factor) of \(Prose.count(scaling.originalContext)) tokens does not "
                    + "reach the context of \(context).")
        }
        if config.expertsPerToken == config.experts.count { add("Every token goes to every expert.") }
    }

    private mutating func judgeFiles(_ checkpoint: Checkpoint, _ notes: Checkpoint.Notes) {
        if let stray = notes.strayFiles.first {
            let more = notes.strayFiles.count > 1 ? " and \(notes.strayFiles.count - 1) more" : ""
            add("\(stray)\(more) in the folder holds weights that are not read: no index names it.")
        }
        let total = checkpoint.storedBytes
        if let announced = notes.announcedBytes, announced != total {
            add(
                "The index announces \(Prose.count(announced)) bytes of tensors; the shards hold "
                    + "\(Prose.count(total)).")
        }
        if let type = notes.fileType, let said = QuantizationMix(fileType: type),
            let stored = checkpoint.dtypes.first?.dtype,
            said.base != stored, stored != .mxfp4
        {
            add("The file calls itself \(said.rawValue), but most weights are \(stored.rawValue).")
        }
    }

    private mutating func judgeTensors(_ checkpoint: Checkpoint) {
        for notice in checkpoint.notices { add(notice) }
        // Norms and routers are small enough to read; what is wrong with them is wrong with the file.
        let tensors = checkpoint.tensors
        let small =
            [tensors.finalNorm]
            + tensors.layers.flatMap {
                [$0.attentionNorm, $0.feedForwardNorm, $0[.router]].compactMap { $0 }
            }
        for tensor in small {
            if let index = tensor.firstNonFinite() {
                add("\(tensor.name) is no finite number at element \(index): the file is damaged.")
            } else if !tensor.bytes.contains(where: { $0 != 0 }) {
                add("\(tensor.name) is all zeros.")
            }
        }
    }

    /// What the tokenizer says, beside what the config says.
    mutating func compare(_ tokenizer: any Tokenizer) {
        let (pieces, rows) = (tokenizer.vocabularySize, config.vocabularySize)
        if pieces > rows {
            add(
                "The tokenizer has \(Prose.count(pieces)) pieces, the model only \(Prose.count(rows)): "
                    + "text may become tokens that the model does not have.")
        } else if pieces < rows {
            add(
                "The tokenizer has \(Prose.count(pieces)) pieces, the model \(Prose.count(rows)): "
                    + "the last \(Prose.count(rows - pieces)) are padding, or the tokenizer is another model's.")
        }
        for (name, mine, theirs) in [
            ("BOS", config.bosToken, tokenizer.bos), ("EOS", config.eosToken, tokenizer.eos),
        ] {
            if let mine, let theirs, mine != theirs {
                add("\(name) is token \(mine) in the config and \(theirs) in the tokenizer.")
            }
        }
    }
}
