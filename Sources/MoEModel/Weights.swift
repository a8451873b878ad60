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
    }

    struct Layer {
        let tensors: LayerTensors
        let attentionNorm: Norm
        let feedForwardNorm: Norm
        /// nil in a dense layer.
        let experts: Experts?
        let queryBias: FloatVector?
        let keyBias: FloatVector?
        let valueBias: FloatVector?
        let attentionOutputBias: FloatVector?
        let queryNorm: Norm?
        let keyNorm: Norm?
        /// [1, D]
        let sharedRouter: FloatVector?

        init(_ tensors: LayerTensors) throws(ModelError) {
            self.tensors = tensors
            attentionNorm = try Norm(tensors.attentionNorm, bias: tensors[.attentionNormBias])
            feedForwardNorm = try Norm(tensors.feedForwardNorm, bias: tensors[.feedForwardNormBias])
            experts = if let experts = tensors.experts { try Experts(experts) } else { nil }
            queryBias = try FloatVector.optional(tensors[.queryBias])
            keyBias = try FloatVector.optional(tensors[.keyBias])
            valueBias = try FloatVector.optional(tensors[.valueBias])
            attentionOutputBias = try FloatVector.optional(tensors[.attentionOutputBias])
            queryNorm = if let norm = tensors[.queryNorm] { try Norm(norm) } else { nil }
            keyNorm = if let norm = tensors[.keyNorm] { try Norm(norm) } else { nil }
            sharedRouter = try FloatVector.optional(tensors.sharedRouter)
        }
    }

    /// The router of a layer and its experts' matrices.
    struct Experts {
        /// [E, D]: routing is f32 in every precision.
        let router: FloatVector
        /// [E]
        let selectionBias: FloatVector?
        let tensors: ExpertTensors

        init(_ tensors: ExpertTensors) throws(ModelError) {
            self.tensors = tensors
            router = try FloatVector(tensors.router)
            selectionBias = try FloatVector.optional(tensors.selectionBias)
        }
    }

    let tensors: ModelTensors
    let layers: [Layer]
    let finalNorm: Norm
    /// [V]
    let outputBias: FloatVector?

    init(_ tensors: ModelTensors) throws(ModelError) {
        self.tensors = tensors
        var layers: [Layer] = []
        for layer in tensors.layers { layers.append(try Layer(layer)) }
        self.layers = layers
        finalNorm = try Norm(tensors.finalNorm, bias: tensors.finalNormBias)
        outputBias = try FloatVector.optional(tensors.outputBias)
    }
}
