import CPython
import Checkpoints
import Hooks
import MoEModel
import Tensors

/// What a run is asked to see and change, taken out of Python's arguments.
struct HookRequest {
    var plan: HookPlan
    /// Points the caller named, to be returned.
    var requested: Set<HookPoint>
    var callables: [HookPoint: [PythonObject]]

    init(
        _ config: ModelConfig, capture: PythonObject, layers: PythonObject, heads: PythonObject,
        interventions: PythonObject, edits: PythonObject
    ) throws(PythonError) {
        let names = try FromPython.strings(capture, "capture")
        let layers = try FromPython.optional(layers) { (item) throws(PythonError) in
            try FromPython.ints(item, "layers")
        }
        let heads = try FromPython.optional(heads) { (item) throws(PythonError) in
            try FromPython.ints(item, "heads")
        }
        plan = try translating {
            try HookPlan(
                observing: names, layers: layers, layerCount: config.layerCount, expertLayers: config.expertLayers,
                model: config.hookNaming)
        }
        requested = plan.observed
        for layer in config.expertLayers {
            plan.observed.insert(HookPoint(.expertIndices, layer: layer))
            plan.observed.insert(HookPoint(.expertWeights, layer: layer))
        }
        for layer in 0..<config.layerCount {
            if let heads { plan.heads[layer] = heads }
        }
        plan.interventions = try FromPython.json([Intervention].self, interventions, "interventions")
        callables = [:]
        for edit in try FromPython.list(edits, "edits", EditArgument.init) {
            let named = try translating {
                try HookPoint.named(
                    edit.name, layerCount: config.layerCount, expertLayers: config.expertLayers,
                    model: config.hookNaming)
            }
            for point in named {
                callables[point, default: []].append(edit.callable)
                plan.edited.insert(point)
            }
        }
    }

    /// One (name, callable) pair. The callable is borrowed from the list it came in.
    private struct EditArgument {
        let name: String
        let callable: PythonObject

        init(_ pair: PythonObject) throws(PythonError) {
            let first = try PythonReference(PySequence_GetItem(pair, 0))
            name = try FromPython.string(first.object, "edit")
            // The pair holds it, and the caller the pair, until the run has ended.
            let second = try PythonReference(PySequence_GetItem(pair, 1))
            callable = second.object
        }
    }
}

/// The documents of a run, taken out of Python's arguments.
private func batch(
    documents: PythonObject, groups: PythonObject, first: PythonObject, vocabularySize: Int
) throws(PythonError) -> TokenBatch {
    let documents = try FromPython.list(documents, "documents") { (item) throws(PythonError) in
        try FromPython.tokens(item, "tokens", below: vocabularySize)
    }
    guard !documents.isEmpty, documents.allSatisfy({ !$0.isEmpty }) else {
        throw .value("documents: expected at least one, and at least one token in each")
    }
    let groups = try FromPython.strings(groups, "groups")
    guard groups.isEmpty || groups.count == documents.count else {
        throw .value("groups: expected one per document (\(documents.count)), found \(groups.count)")
    }
    return TokenBatch(documents, groups: groups, firstDocument: try FromPython.int(first, "first_document"))
}

extension ModelObject {
    /// Runs a batch and returns a dict: "logprob" [T], "expert_indices" and "expert_weights" [L, T, W], and every
    /// captured point by its name: one array, or a list with one per document for attention scores and patterns.
    static func run(
        _ loaded: PythonModel, _ arguments: UnsafePointer<PythonObject?>?, _ count: Int
    ) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 9...9)
        let config = loaded.model.config
        let batch = try batch(
            documents: try arguments[0], groups: try arguments[1], first: try arguments[2],
            vocabularySize: config.vocabularySize)
        let request = try HookRequest(
            config, capture: try arguments[3], layers: try arguments[4], heads: try arguments[5],
            interventions: try arguments[6], edits: try arguments[7])
        let logprobs = try FromPython.bool(try arguments[8])
        let recorder = CaptureRecorder(
            layerCount: config.layerCount, expertCount: config.experts.count, requested: request.requested)
        let result = try loaded.pass { interpreter in
            let editor = CallbackEditor(request.callables, interpreter: interpreter, expertCount: config.experts.count)
            return try loaded.model.forward(
                batch, plan: request.plan, observer: recorder, editor: editor, logprobs: logprobs
            ) { _ in try interpreter.checkSignals() }
        }
        let dictionary = try captured(recorder, documents: batch.documents.count)
        let logprob = ArrayStorage(copying: result.logprob, dtype: .f32, shape: [result.logprob.count])
        try set(dictionary, "logprob", try types.array.make(logprob))
        return dictionary.release()
    }

    /// What a recorder saw, as a dict.
    static func captured(_ recorder: CaptureRecorder, documents: Int) throws(PythonError) -> PythonReference {
        let dictionary = try PythonReference(PyDict_New())
        if let indices = recorder.expertIndices { try set(dictionary, "expert_indices", try types.array.make(indices)) }
        if let weights = recorder.expertWeights { try set(dictionary, "expert_weights", try types.array.make(weights)) }
        for (point, array) in recorder.arrays { try set(dictionary, point.description, try types.array.make(array)) }
        for (point, byDocument) in recorder.perDocument {
            let list = try ToPython.list(count: documents) { (index) throws(PythonError) in
                guard let array = byDocument[index] else { return ToPython.none() }
                return try types.array.make(array).release()
            }
            try set(dictionary, point.description, list)
        }
        return dictionary
    }
}
