import Checkpoints
import Tensors

extension ForwardPass {
    /// Stops the pass where damaged weights, an edit or an overflow have made a value infinite or NaN: every choice and
    /// probability after it would be meaningless.
    /// - Parameter layer: whose router made the values; nil: they are logits.
    func checkFinite(_ values: Matrix, _ layer: Int?) throws(ModelError) {
        guard backend.isFinite(values) else { throw model.notFinite(layer: layer) }
    }
}

extension Model {
    /// Names the weight to blame, if there is one: all weights up to the layer are read.
    func notFinite(layer: Int?) -> ModelError {
        let tensors = checkpoint.tensors
        let layers = tensors.layers.prefix((layer ?? config.layerCount - 1) + 1).flatMap(\.all)
        let outer = layer == nil ? [tensors.finalNorm, tensors.output] : []
        for tensor in [tensors.embedding] + layers + outer {
            if let index = tensor.whileHeld({ Backend.firstNonFinite(tensor) }) {
                return .notFinite(
                    "\(checkpoint.url.path): tensor \(tensor.name): expected finite numbers, found none at element "
                        + "\(index) (the file is damaged: download it again)")
            }
        }
        let place = layer.map { "router logits of layer \($0)" } ?? "logits"
        return .notFinite(
            "\(place): expected finite numbers; an edit, or values beyond f32, have made them infinite or NaN")
    }
}
