import Checkpoints
import Hooks
import MoEModel
import Tokenizers
import Traces

extension TraceRun {
    static func manifest(
        model: Model, tokenizer: (any Tokenizer)?, corpus: Corpus, tokens: [[Int32]], options: TraceOptions,
        version: String, hashingWeights: Bool = true
    ) throws -> TraceManifest {
        let config = model.config
        let layers = Set(options.layers ?? Array(0..<config.layerCount)).sorted()
        for layer in layers where !(0..<config.layerCount).contains(layer) {
            throw HookError.layerOutOfRange("--layers", layer: layer, layerCount: config.layerCount)
        }
        let width = Model.routingWidth(expertsPerToken: config.expertsPerToken, options.interventions)
        let readsText = corpus.documents.contains(where: \.content.isText)
        return TraceManifest(
            model: TraceManifest.Model(
                name: model.checkpoint.name, architecture: config.architecture, layers: config.layerCount,
                experts: config.experts.count, expertsPerToken: config.expertsPerToken,
                heads: config.attention.headCount,
                kvHeads: config.attention.keyValueHeadCount, hiddenSize: config.hiddenSize,
                vocabSize: config.vocabularySize,
                quantization: model.checkpoint.quantization, parametersTotal: model.checkpoint.parametersTotal,
                parametersActive: model.checkpoint.parametersActive,
                sha256: hashingWeights ? try model.checkpoint.sha256() : "", router: config.router,
                moeLayers: config.expertLayers, config: config.leaves),
            tokenizer: readsText
                ? TraceManifest.Tokenizer(kind: tokenizer?.kind ?? .noTokenizer, sha256: tokenizer?.sha256 ?? "")
                : TraceManifest.Tokenizer(kind: .noTokenizer, sha256: ""),
            capture: TraceManifest.Capture(
                routerLogits: options.routerLogits, attentionSummary: options.attentionSummary,
                attentionPattern: options.patterns.map { [$0.layer, $0.head] }, layers: layers,
                expertsPerToken: width == config.expertsPerToken ? nil : width,
                predicted: options.predicted ? true : nil,
                speculative: options.speculative.isEmpty ? nil : options.speculative,
                columns: options.columns.isEmpty ? nil : options.columns),
            interventions: options.interventions,
            compute: TraceManifest.Compute(
                precision: model.precision.rawValue, isa: Model.instructionSet, threads: model.threadCount,
                version: version),
            corpus: TraceManifest.Corpus(
                source: corpus.source, sha256: corpus.sha256, documents: corpus.documents.count,
                tokens: tokens.reduce(0) { $0 + $1.count },
                groups: corpus.documents.reduce(into: [:]) { $0[$1.group, default: 0] += 1 },
                tokensSHA256: TokensHash.of(tokens)))
    }

    static func plan(_ options: TraceOptions, manifest: TraceManifest, model: Model) throws(HookError) -> HookPlan {
        var plan = HookPlan()
        let layout = TraceLayout(manifest)
        for column in layout.columns {
            guard case .hook(let site, _) = column.source else { continue }
            for layer in column.layers(layout) ?? [] { plan.observed.insert(HookPoint(site, layer: layer)) }
        }
        if options.predicted { plan.observed.insert(HookPoint(.logits)) }
        for ahead in options.speculative {
            for layer in layout.guessedLayers(ahead: ahead) {
                plan.observed.insert(HookPoint(.residMid, layer: layer - ahead))
            }
        }
        for (layer, head) in options.patterns {
            guard (0..<model.config.layerCount).contains(layer) else {
                throw .layerOutOfRange("attention_pattern", layer: layer, layerCount: model.config.layerCount)
            }
            guard (0..<model.config.attention.headCount).contains(head) else {
                throw .headOutOfRange(layer: layer, head: head, headCount: model.config.attention.headCount)
            }
            plan.observed.insert(HookPoint(.pattern, layer: layer))
            plan.heads[layer, default: []].append(head)
        }
        plan.interventions = options.interventions
        return plan
    }
}
