import Checkpoints
import Tensors

/// The tensors of a model as the forward pass reads them: vectors as f32, matrices as they lie in the file.
struct Weights {
    /// A norm's weight and, for LayerNorm, its bias; [D] or [d].
    struct Norm {
        let weight: FloatVector
        let bias: FloatVector?

        init(_ weight: Tensor, bias: Tensor? = nil) throws(ModelError) {
            self.weight = try FloatVector(weight)
            self.bias = try FloatVector.optional(bias)
        }

        static func optional(_ weight: Tensor?, bias: Tensor? = nil) throws(ModelError) -> Norm? {
            guard let weight else { return nil }
            return try Norm(weight, bias: bias)
        }
    }

    struct Layer {
        let tensors: LayerTensors
        /// nil where nothing is normalized before attention, and before the experts.
        let attentionNorm: Norm?
        let feedForwardNorm: Norm?
        /// nil where nothing is normalized after them.
        let attentionPostNorm: Norm?
        let feedForwardPostNorm: Norm?
        /// nil in a dense layer.
        let experts: Experts?
        let queryBias: FloatVector?
        let keyBias: FloatVector?
        let valueBias: FloatVector?
        let attentionOutputBias: FloatVector?
        let queryNorm: Norm?
        let keyNorm: Norm?
        let queryDownNorm: Norm?
        let latentNorm: Norm?
        let latentUp: LatentUp?
        /// [H]
        let sinks: FloatVector?
        /// [1, D]
        let sharedRouter: FloatVector?

        init(_ tensors: LayerTensors, _ config: ModelConfig) throws(ModelError) {
            self.tensors = tensors
            attentionNorm = try Norm.optional(tensors.attentionNorm, bias: tensors[.attentionNormBias])
            feedForwardNorm = try Norm.optional(tensors.feedForwardNorm, bias: tensors[.feedForwardNormBias])
            attentionPostNorm = try Norm.optional(tensors[.attentionPostNorm])
            feedForwardPostNorm = try Norm.optional(tensors[.feedForwardPostNorm])
            experts = if let experts = tensors.experts { try Experts(experts) } else { nil }
            queryBias = try FloatVector.optional(tensors[.queryBias])
            keyBias = try FloatVector.optional(tensors[.keyBias])
            valueBias = try FloatVector.optional(tensors[.valueBias])
            attentionOutputBias = try FloatVector.optional(tensors[.attentionOutputBias])
            queryNorm = try Norm.optional(tensors[.queryNorm])
            keyNorm = try Norm.optional(tensors[.keyNorm])
            queryDownNorm = try Norm.optional(tensors[.queryDownNorm])
            latentNorm = try Norm.optional(tensors[.latentNorm])
            latentUp = LatentUp(tensors, config)
            sinks = try FloatVector.optional(tensors[.attentionSinks])
            sharedRouter = try FloatVector.optional(tensors.sharedRouter)
        }
    }

    /// What expands latents to keys and values.
    struct LatentUp {
        /// [H · (n + m), c]
        let joined: Tensor
        /// [c, n] of every head, where keys lie apart from values; else none.
        let keys: [Tensor]
        /// [m, c] of every head.
        let values: [Tensor]

        init?(_ tensors: LayerTensors, _ config: ModelConfig) {
            guard let joined = tensors[.latentUp], let expansion = LatentExpansion(config) else { return nil }
            self.joined = joined
            let heads = 0..<expansion.heads
            if let parts = tensors.latentParts {
                keys = heads.map { parts.keys.slice($0) }
                values = heads.map { parts.values.slice($0) }
            } else {
                keys = []
                let both = expansion.keySize + expansion.valueSize
                values = heads.map { joined.rows($0 * both + expansion.keySize..<($0 + 1) * both) }
            }
        }
    }

    /// The router of a layer and its experts' matrices.
    struct Experts {
        /// [E, D]: routing is f32 in every precision.
        let router: FloatVector
        /// [E]
        let selectionBias: FloatVector?
        /// [E]; added to the logits.
        let routerBias: FloatVector?
        /// [E, F], [E, F] and [E, D].
        let biases: (gate: FloatVector, up: FloatVector, down: FloatVector)?
        let tensors: ExpertTensors

        init(_ tensors: ExpertTensors) throws(ModelError) {
            self.tensors = tensors
            router = try FloatVector(tensors.router)
            selectionBias = try FloatVector.optional(tensors.selectionBias)
            routerBias = try FloatVector.optional(tensors.routerBias)
            biases =
                if let own = tensors.biases {
                    (try FloatVector(own.gate), try FloatVector(own.up), try FloatVector(own.down))
                } else { nil }
        }
    }

    let tensors: ModelTensors
    let layers: [Layer]
    let finalNorm: Norm
    /// [V]
    let outputBias: FloatVector?

    init(_ tensors: ModelTensors, _ config: ModelConfig) throws(ModelError) {
        self.tensors = tensors
        var layers: [Layer] = []
        for layer in tensors.layers { layers.append(try Layer(layer, config)) }
        self.layers = layers
        finalNorm = try Norm(tensors.finalNorm, bias: tensors.finalNormBias)
        outputBias = try FloatVector.optional(tensors.outputBias)
    }
}
