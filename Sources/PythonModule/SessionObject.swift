import CPython
import MoEModel
import Synchronization

/// A text that grows token by token, as Python holds it.
final class GrowingText: @unchecked Sendable {
    let loaded: PythonModel
    private let session: Session
    /// Whether a thread is inside: a session is one text, not for two threads at once.
    private let isBusy = Mutex(false)

    init(_ loaded: PythonModel, cache: CacheType?) throws(ModelError) {
        self.loaded = loaded
        session = try Session(loaded.model, cache: cache)
    }

    /// Runs `body` with the session, or throws where another thread is inside.
    func use<R>(_ body: (Session) throws(PythonError) -> R) throws(PythonError) -> R {
        let isFree = isBusy.withLock { busy in
            defer { busy = true }
            return !busy
        }
        guard isFree else { throw .runtime("the session is in use by another thread") }
        defer { isBusy.withLock { $0 = false } }
        return try body(session)
    }
}

/// The native side of `moescope.Model.generate`.
enum SessionObject {
    static func makeType() throws(PythonError) -> NativeType<GrowingText> {
        try NativeType(
            name: "moescope._Session", doc: "A text that grows, over one key/value cache.",
            methods: [
                MethodEntry("append", "append(tokens, capture, layers, interventions, edits) -> dict with logits [V].")
                {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        try SessionObject.append(try types.session.payload(of: object), arguments, count)
                    }
                }
            ])
    }

    /// `_moescope.session(model, cache or None) -> _Session`
    static func open(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 2...2)
        let loaded = try types.model.payload(of: try arguments[0])
        let name = try FromPython.optional(try arguments[1]) { (object) throws(PythonError) in
            try FromPython.string(object, "cache")
        }
        let cache = name.flatMap(CacheType.init(rawValue:))
        if let name, cache == nil {
            let known = CacheType.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw .value("cache: expected one of \(known), found \"\(name)\"")
        }
        let text: GrowingText
        do throws(ModelError) {
            text = try GrowingText(loaded, cache: cache)
        } catch {
            throw .value(error.description)
        }
        return try types.session.make(text).release()
    }

    private static func append(
        _ text: GrowingText, _ arguments: UnsafePointer<PythonObject?>?, _ count: Int
    ) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 5...5)
        let config = text.loaded.model.config
        let tokens = try FromPython.tokens(try arguments[0], "tokens", below: config.vocabularySize)
        let none = try PythonReference(ToPython.none())
        let request = try HookRequest(
            config, capture: try arguments[1], layers: try arguments[2], heads: none.object,
            interventions: try arguments[3], edits: try arguments[4])
        let recorder = CaptureRecorder(
            layerCount: config.layerCount, expertCount: config.experts.count, requested: request.requested)
        let logits = try text.use { (session) throws(PythonError) in
            try text.loaded.pass { interpreter in
                let editor = CallbackEditor(
                    request.callables, interpreter: interpreter, expertCount: config.experts.count)
                try interpreter.checkSignals()
                return try session.append(tokens, plan: request.plan, observer: recorder, editor: editor)
            }
        }
        let dictionary = try ModelObject.captured(recorder, documents: 1)
        let array = ArrayStorage(copying: logits, dtype: .f32, shape: [logits.count])
        try set(dictionary, "next_logits", try types.array.make(array))
        return dictionary.release()
    }
}
