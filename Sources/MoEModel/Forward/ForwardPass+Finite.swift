import Checkpoints
import Tensors

extension ForwardPass {
    /// Stops the pass where damaged weights, an edit or an overflow have made values that are no finite numbers: every
    /// choice and probability after them would be meaningless.
    /// - Parameter layer: where they came up; nil: in the output.
    func checkFinite(_ values: UnsafeBufferPointer<Float>, _ layer: Int?) throws(ModelError) {
        var isFinite = true
        for value in values where !value.isFinite { isFinite = false }
        if !isFinite { throw model.notFinite(layer: layer) }
    }
}

extension Model {
    /// Names the weight to blame, if there is one: all weights up to the layer are read.
    fileprivate func notFinite(layer: Int?) -> ModelError {
        let tensors = checkpoint.tensors
        let layers = tensors.layers.prefix((layer ?? config.layerCount - 1) + 1).flatMap(\.all)
        let outer = layer == nil ? [tensors.finalNorm, tensors.output] : []
        for tensor in [tensors.embedding] + layers + outer {
            if let index = Self.firstNonFinite(tensor) {
                return .notFinite(
                    "\(checkpoint.url.path): tensor \(tensor.name): expected finite numbers, found none at element "
                        + "\(index) (the file is damaged: download it again)")
            }
        }
        let place = layer.map { "router logits of layer \($0)" } ?? "logits"
        return .notFinite(
            "\(place): expected finite numbers; an edit, or values beyond f32, have made them infinite or NaN")
    }

    private static func firstNonFinite(_ tensor: Tensor) -> Int? {
        guard tensor.dtype.blockElements > 1 else { return tensor.firstNonFinite() }
        let columns = tensor.shape.last ?? 1
        let buffer = AlignedBuffer(Float.self, count: columns)
        return withExtendedLifetime(buffer) {
            let row = buffer.bound(to: Float.self)
            for index in 0..<tensor.count / max(1, columns) {
                Kernels.dequantize(tensor.rows(index..<index + 1), into: row)
                for column in 0..<columns where !row[column].isFinite { return index * columns + column }
            }
            return nil
        }
    }
}
