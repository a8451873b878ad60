import CPython
import Checkpoints
import Hooks
import MoEModel
import Tensors

/// A model's weights, and its last step, for Python.
extension ModelObject {
    /// One kind of tensor, as Python is told of it.
    private struct Entry: Encodable {
        var role: String
        /// nil outside the layers.
        var layer: Int?
        /// Of one tensor.
        var shape: [Int]
        /// E for those of experts, otherwise 1.
        var count: Int
    }

    /// Which tensors there are, as JSON.
    static func inventory(_ loaded: PythonModel) throws(PythonError) -> String {
        let (tensors, config) = (loaded.model.checkpoint.tensors, loaded.model.config)
        var entries = tensors.byEntry(config).compactMap { entry, tensors in
            tensors.first.map {
                Entry(role: entry.role.pythonName, layer: entry.layer, shape: $0.shape, count: tensors.count)
            }
        }
        if tensors.isOutputTied {
            entries.append(Entry(role: TensorRole.output.pythonName, layer: nil, shape: tensors.output.shape, count: 1))
        }
        return try json(entries)
    }

    /// `tensor(role, layer or None, expert or None) -> Array`, a copy in float32.
    static func tensor(
        _ loaded: PythonModel, _ arguments: UnsafePointer<PythonObject?>?, _ count: Int
    ) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 3...3)
        let name = try FromPython.string(try arguments[0], "role")
        let layer = try FromPython.optional(try arguments[1]) { (item) throws(PythonError) in
            try FromPython.int(item, "layer")
        }
        let expert = try FromPython.optional(try arguments[2]) { (item) throws(PythonError) in
            try FromPython.int(item, "expert")
        }
        let config = loaded.model.config
        if let layer, !(0..<config.layerCount).contains(layer) {
            throw .value("layer: expected 0 to \(config.layerCount - 1), found \(layer)")
        }
        let tensors = loaded.model.checkpoint.tensors
        guard let role = TensorRole.allCases.first(where: { $0.pythonName == name }) else {
            throw .key("no weight is called \"\(name)\"")
        }
        var found = tensors.tensors(role, layer: layer)
        // Tied: the embedding is the output.
        if role == .output, layer == nil { found = [tensors.output] }
        guard !found.isEmpty else {
            throw .key("this model has no \(name)\(layer.map { " in layer \($0)" } ?? " outside its layers")")
        }
        let place = role.isPerExpert ? expert ?? -1 : 0
        guard found.indices.contains(place) else {
            throw .value("expert: expected 0 to \(found.count - 1), found \(expert.map(String.init) ?? "none")")
        }
        let floats = try ReleasedInterpreter.run { _ in
            let floats = found[place].asFloats()
            try loaded.model.checkpoint.checkReadable()
            return floats
        }
        guard let memory = floats.bytes.baseAddress else {
            return try types.array.make(ArrayStorage(uninitialized: .f32, shape: floats.shape)).release()
        }
        return try types.array.make(
            ArrayStorage(
                memory: UnsafeMutableRawPointer(mutating: memory), dtype: .f32, shape: floats.shape, isReadOnly: false,
                owner: floats.owner)
        ).release()
    }

    /// `finish(bytes, logits) -> dict`: "final_norm" [n, D] of n rows of the residual stream (little-endian float32), and "logits"
    /// [n, V] where they are asked for: the pass's own last step.
    static func finish(
        _ loaded: PythonModel, _ arguments: UnsafePointer<PythonObject?>?, _ count: Int
    ) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 2...2)
        let residual = try FromPython.floats(try arguments[0], "residual")
        let wantsLogits = try FromPython.bool(try arguments[1])
        let config = loaded.model.config
        guard !residual.isEmpty, residual.count.isMultiple(of: config.hiddenSize) else {
            throw .value(
                "residual: expected rows of \(config.hiddenSize) numbers, at least one, found \(residual.count) numbers"
            )
        }
        let documents = [[Int32]](repeating: [0], count: residual.count / config.hiddenSize)
        var plan = HookPlan.none
        plan.observed = [HookPoint(.finalNorm)]
        if wantsLogits { plan.observed.insert(HookPoint(.logits)) }
        let recorder = CaptureRecorder(
            layerCount: config.layerCount, expertCount: config.experts.count, requested: plan.observed)
        _ = try loaded.pass { _ in
            try loaded.model.forward(
                TokenBatch(documents), plan: plan, observer: recorder,
                from: LayerStart(layer: config.layerCount, residual: residual), logprobs: false)
        }
        return try captured(recorder, documents: documents.count).release()
    }
}

extension TensorRole {
    /// `expertGate` as Python writes names: `expert_gate`.
    fileprivate var pythonName: String {
        "\(self)".reduce(into: "") { name, letter in
            name += letter.isUppercase ? "_" + letter.lowercased() : String(letter)
        }
    }
}

extension FromPython {
    /// Numbers out of the bytes of a float32 array.
    static func floats(_ object: PythonObject, _ name: String) throws(PythonError) -> [Float] {
        var start: UnsafeMutablePointer<CChar>?
        var length = 0
        guard PyBytes_AsStringAndSize(object, &start, &length) == 0, let start else { throw .raised }
        guard length.isMultiple(of: 4) else { throw .value("\(name): expected float32 values, found \(length) bytes") }
        return [Float](unsafeUninitializedCapacity: length / 4) { values, count in
            UnsafeMutableRawBufferPointer(values).copyMemory(from: UnsafeRawBufferPointer(start: start, count: length))
            count = length / 4
        }
    }
}
