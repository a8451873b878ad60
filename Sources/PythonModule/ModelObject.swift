import CPython
import Foundation
import MoEModel
import Tokenizers
import Tracing

/// The native side of `moescope.Model`.
enum ModelObject {
    static func makeType() throws(PythonError) -> NativeType<PythonModel> {
        let represent: @convention(c) (PythonObject?) -> PythonObject? = { object in
            answering { () throws(PythonError) in
                try ToPython.string("<_moescope.Model \(try types.model.payload(of: object).model.checkpoint.name)>")
                    .release()
            }
        }
        return try NativeType(
            name: "moescope._Model", doc: "A model and its tokenizer. Use moescope.load.",
            methods: [
                MethodEntry("encode", "encode(text) -> list of token ids, without BOS.") { object, arguments, count in
                    answering { () throws(PythonError) in
                        let loaded = try types.model.payload(of: object)
                        let arguments = try Arguments(arguments, count, expected: 1...1)
                        return try ModelObject.encode(loaded, try FromPython.string(try arguments[0], "text"))
                    }
                },
                MethodEntry("decode", "decode(ids) -> bytes.") { object, arguments, count in
                    answering { () throws(PythonError) in
                        let loaded = try types.model.payload(of: object)
                        let tokenizer = try loaded.requireTokenizer()
                        let arguments = try Arguments(arguments, count, expected: 1...1)
                        let ids = try FromPython.tokens(try arguments[0], "ids", below: loaded.tokenCount)
                        return try ToPython.bytes(tokenizer.decodeBytes(ids)).release()
                    }
                },
                MethodEntry("pieces", "pieces(ids) -> list of tokens as the vocabulary writes them.") {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        try ModelObject.texts(of: object, arguments, count) { $0.piece($1) ?? "" }
                    }
                },
                MethodEntry("texts", "texts(ids) -> list of tokens as a person reads them.") {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        try ModelObject.texts(of: object, arguments, count) { $0.text($1) }
                    }
                },
                MethodEntry(
                    "run",
                    """
                    run(documents, groups, first_document, capture, layers, heads, interventions, edits, logprobs) -> dict
                    """
                ) { object, arguments, count in
                    answering { () throws(PythonError) in
                        try ModelObject.run(try types.model.payload(of: object), arguments, count)
                    }
                },
                MethodEntry("tensor", "tensor(role, layer or None, expert or None) -> Array, a copy in float32.") {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        try ModelObject.tensor(try types.model.payload(of: object), arguments, count)
                    }
                },
                MethodEntry("finish", "finish(rows of the residual stream as bytes, whether logits) -> dict.") {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        try ModelObject.finish(try types.model.payload(of: object), arguments, count)
                    }
                },
                MethodEntry("chat", "chat(messages as JSON, interpreter) -> list of token ids.") {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        try ModelObject.chat(try types.model.payload(of: object), arguments, count)
                    }
                },
            ],
            getters: [
                (
                    "inventory", "Which weights there are, as JSON.",
                    { object, _ in
                        answering { () throws(PythonError) in
                            try ToPython.string(try ModelObject.inventory(try types.model.payload(of: object)))
                                .release()
                        }
                    }
                ),
                (
                    "facts", "Configuration and provenance, as JSON.",
                    { object, _ in
                        answering { () throws(PythonError) in
                            try ToPython.string(try ModelObject.facts(try types.model.payload(of: object))).release()
                        }
                    }
                ),
            ],
            slots: [PyType_Slot(Py_tp_repr, represent)])
    }

    /// `_moescope.load(path, precision, threads or None, memory as text or None) -> _Model`
    static func load(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 4...4)
        let path = try FromPython.string(try arguments[0], "model")
        let name = try FromPython.string(try arguments[1], "precision")
        guard let precision = Precision(rawValue: name) else {
            let known = Precision.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")
            throw .value("precision: expected \(known), found \"\(name)\"")
        }
        let threads = try FromPython.optional(try arguments[2]) { (object) throws(PythonError) in
            try FromPython.int(object, "threads")
        }
        if let threads, threads < 1 { throw .value("threads: expected at least 1, found \(threads)") }
        let memory = try FromPython.optional(try arguments[3]) { (object) throws(PythonError) in
            let text = try FromPython.string(object, "memory")
            guard let bytes = ByteCount.parse(text) else {
                throw .value("memory: expected a number of bytes such as \"12G\", found \"\(text)\"")
            }
            return bytes
        }
        let loaded = try ReleasedInterpreter.run { _ in
            try PythonModel(path: path, precision: precision, threads: threads, memory: memory)
        }
        return try types.model.make(loaded).release()
    }

    private static func encode(_ loaded: PythonModel, _ text: String) throws(PythonError) -> PythonObject {
        let ids = try loaded.requireTokenizer().encode(text)
        return try ToPython.list(count: ids.count) { (index) throws(PythonError) in
            try ToPython.int(Int(ids[index])).release()
        }.release()
    }

    private struct Facts: Encodable {
        var name: String
        var path: String
        var precision: String
        var threads: Int
        var instruction_set: String
        var tokenizer: String?
        var bos: Int32?
        var eos: Int32?
        /// Ids around every text.
        var prefix: [Int32]
        var suffix: [Int32]
        /// Ids that end a text.
        var ends: [Int32]
        var notices: [String]
        var config: ConfigFacts
    }

    private struct ConfigFacts: Encodable {
        var architecture: String
        var vocab_size: Int
        var hidden_size: Int
        var layers: Int
        var heads: Int
        var kv_heads: Int
        var head_size: Int
        var expert_size: Int
        var experts: Int
        var experts_per_token: Int
        var context_length: Int
    }

    /// A list of one text per token id.
    private static func texts(
        of object: PythonObject?, _ arguments: UnsafePointer<PythonObject?>?, _ count: Int,
        _ text: (any Tokenizer, Int32) -> String
    ) throws(PythonError) -> PythonObject {
        let loaded = try types.model.payload(of: object)
        let tokenizer = try loaded.requireTokenizer()
        let arguments = try Arguments(arguments, count, expected: 1...1)
        let ids = try FromPython.tokens(try arguments[0], "ids", below: loaded.tokenCount)
        return try ToPython.list(count: ids.count) { (index) throws(PythonError) in
            try ToPython.string(text(tokenizer, ids[index])).release()
        }.release()
    }

    private static func facts(_ loaded: PythonModel) throws(PythonError) -> String {
        let model = loaded.model
        let config = model.config
        let frame = loaded.tokenizer?.frame
        let declared = try translating { try model.checkpoint.endTokens() }
        let ends = loaded.tokenizer.map { EndTokens.all(declared: declared, $0) } ?? Set(declared)
        let facts = Facts(
            name: model.checkpoint.name, path: model.checkpoint.url.path, precision: model.precision.rawValue,
            threads: model.threadCount, instruction_set: Model.instructionSet,
            tokenizer: loaded.tokenizer?.kind.rawValue,
            bos: frame?.bos ?? config.bosToken, eos: frame?.eos ?? config.eosToken, prefix: frame?.prefix ?? [],
            suffix: frame?.suffix ?? [], ends: ends.sorted(),
            notices: model.checkpoint.notices + (frame?.notices ?? []).map { "tokenizer: \($0)" },
            config: ConfigFacts(
                architecture: config.architecture, vocab_size: config.vocabularySize, hidden_size: config.hiddenSize,
                layers: config.layerCount, heads: config.attention.headCount,
                kv_heads: config.attention.keyValueHeadCount,
                head_size: config.attention.headSize, expert_size: config.experts.size, experts: config.experts.count,
                experts_per_token: config.expertsPerToken, context_length: config.contextLength))
        return try json(facts)
    }
}

/// A value as JSON text.
func json(_ value: some Encodable) throws(PythonError) -> String {
    try translating { String(decoding: try JSONEncoder().encode(value), as: UTF8.self) }
}

extension FromPython {
    /// Token ids below a vocabulary's size.
    static func tokens(_ object: PythonObject, _ name: String, below size: Int) throws(PythonError) -> [Int32] {
        try list(object, name) { (item) throws(PythonError) in
            let id = try int(item, name)
            guard id >= 0, id < size else {
                throw .value("\(name): token \(id) is not in the vocabulary, 0 to \(size - 1)")
            }
            return Int32(id)
        }
    }

    static func strings(_ object: PythonObject, _ name: String) throws(PythonError) -> [String] {
        try list(object, name) { (item) throws(PythonError) in try string(item, name) }
    }

    static func ints(_ object: PythonObject, _ name: String) throws(PythonError) -> [Int] {
        try list(object, name) { (item) throws(PythonError) in try int(item, name) }
    }

    /// A value given as JSON text.
    static func json<T: Decodable>(_ type: T.Type, _ object: PythonObject, _ name: String) throws(PythonError) -> T {
        let text = try string(object, name)
        do {
            return try JSONDecoder().decode(type, from: Data(text.utf8))
        } catch {
            throw .value("\(name): \(error)")
        }
    }
}
