import Foundation
import FileFormats

/// What lies beside a vocabulary and changes what its tokenizer does: `tokenizer_config.json`, `special_tokens_map.json`,
/// `added_tokens.json`, and the kind of model in `config.json`. Which of them counts where they differ is what
/// transformers 5.24 takes (tokenization_utils_base.py).
struct TokenizerSettings {
    /// A token that has a name: "bos_token".
    enum Named {
        case absent
        /// Given as null.
        case none
        case token(AddedTokens.Token)

        var token: AddedTokens.Token? {
            if case .token(let token) = self { token } else { nil }
        }
    }

    static let standardNames = [
        "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
    ]

    /// Errors and notices name it.
    let folder: String
    /// Whether any file but `config.json` lies beside the vocabulary.
    let isBare: Bool
    let modelType: String?
    let className: String?
    /// Fields of `tokenizer_config.json`, and of `special_tokens_map.json` where that counts.
    private let fields: [(name: String, value: JSON)]
    /// Tokens that files give an id, by id.
    let declared: [AddedTokens.Token]
    /// Special tokens without a name.
    let extraSpecial: [AddedTokens.Token]
    private let declaredByContent: [[UInt8]: AddedTokens.Token]

    /// Nothing beside the vocabulary but, maybe, `tokenizer_config.json`.
    init(config: Data?, file: String, addedInVocabulary: [AddedTokens.Token]) throws(TokenizerError) {
        let object = try config.map { data throws(TokenizerError) in try Self.object(data, file: file) }
        try self.init(
            folder: file, files: Files(config: object), modelType: nil, configClass: nil,
            addedInVocabulary: addedInVocabulary)
    }

    /// What lies in a folder.
    /// - Parameter addedInVocabulary: `added_tokens` of `tokenizer.json`.
    init(folder: URL, addedInVocabulary: [AddedTokens.Token]) throws(TokenizerError) {
        func read(_ name: String) throws(TokenizerError) -> JSONObject? {
            let url = folder.appendingPathComponent(name)
            let data: Data?
            do throws(FileError) { data = try FileContents.readIfThere(url) } catch {
                throw TokenizerError(file: url.path, problem: error.problem ?? error.reason.rawValue)
            }
            guard let data else { return nil }
            return try Self.object(data, file: url.path)
        }
        let model = try read("config.json")
        try self.init(
            folder: folder.path,
            files: Files(
                config: try read("tokenizer_config.json"), map: try read("special_tokens_map.json"),
                added: try read("added_tokens.json")),
            modelType: model?["model_type"]?.string, configClass: model?["tokenizer_class"]?.string,
            addedInVocabulary: addedInVocabulary)
    }

    private struct Files {
        var config: JSONObject?
        var map: JSONObject?
        var added: JSONObject?
    }

    private init(
        folder: String, files: Files, modelType: String?, configClass: String?, addedInVocabulary: [AddedTokens.Token]
    ) throws(TokenizerError) {
        self.folder = folder
        self.modelType = modelType
        isBare = files.config == nil && files.map == nil && files.added == nil
        className = files.config?["tokenizer_class"]?.string ?? configClass
        var fields = files.config.map { Array(zip($0.keys, $0.values)).map { (name: $0.0, value: $0.1) } } ?? []
        var declared: [Int32: AddedTokens.Token] = [:]
        let reader = Reader(folder: folder)
        if let decoder = files.config?["added_tokens_decoder"], let object = decoder.object {
            for (key, value) in zip(object.keys, object.values) {
                let token = try reader.declared(key, value)
                declared[token.id] = token
            }
        } else {
            // Folders written before transformers 4.34.
            let before = fields
            for (name, value) in zip(files.map?.keys ?? [], files.map?.values ?? []) {
                if let place = fields.firstIndex(where: { $0.name == name }) {
                    fields[place].value = value
                } else {
                    fields.append((name, value))
                }
            }
            let special = Set(
                Self.standardNames.compactMap { name in
                    fields.first { $0.name == name }.flatMap { reader.content($0.value) }
                } + Self.extra(before, reader).map(\.content))
            for (content, value) in zip(files.added?.keys ?? [], files.added?.values ?? []) {
                guard let id = value.int, reader.isID(id) else {
                    throw reader.wrong("added_tokens.json", content, expected: "an id", value)
                }
                let bytes = Array(content.utf8)
                let isSpecial = special.contains(bytes)
                declared[Int32(id)] = .init(
                    id: Int32(id), content: bytes, isSpecial: isSpecial, isNormalized: !isSpecial)
            }
            for token in addedInVocabulary { declared[token.id] = token }
        }
        self.fields = fields
        self.declared = declared.values.sorted { $0.id < $1.id }
        declaredByContent = Dictionary(self.declared.map { ($0.content, $0) }, uniquingKeysWith: { _, last in last })
        extraSpecial = Self.extra(fields, reader)
    }

    private static func extra(_ fields: [(name: String, value: JSON)], _ reader: Reader) -> [AddedTokens.Token] {
        func list(_ name: String) -> [JSON] { fields.first { $0.name == name }?.value.array ?? [] }
        let values =
            list("extra_special_tokens").isEmpty ? list("additional_special_tokens") : list("extra_special_tokens")
        return values.compactMap { reader.token($0) }
    }

    subscript(name: String) -> JSON? {
        guard let value = fields.first(where: { $0.name == name })?.value, !value.isNull else { return nil }
        return value
    }

    /// Whether a field is there, be it as null.
    func has(_ name: String) -> Bool { fields.contains { $0.name == name } }

    /// A switch that is given, or nil.
    func flag(_ name: String) throws(TokenizerError) -> Bool? {
        guard let value = self[name] else { return nil }
        guard let flag = value.bool else {
            throw Reader(folder: folder).wrong("tokenizer_config.json", name, expected: "true or false", value)
        }
        return flag
    }

    /// A token by its name, with the flags that its declaration gives it.
    func named(_ name: String) -> Named {
        guard let field = fields.first(where: { $0.name == name }) else { return .absent }
        guard let token = Reader(folder: folder).token(field.value) else { return .none }
        return .token(declaredByContent[token.content] ?? token)
    }

    /// Tokens that have a name, those of the model's own making ("image_token") last.
    func namedTokens(defaults: [String: String]) -> [(name: String, token: AddedTokens.Token)] {
        let own = fields.filter { field in
            field.name.hasSuffix("_token") && !Self.standardNames.contains(field.name) && field.value.string != nil
        }.map(\.name)
        return (Self.standardNames + own).compactMap { name in
            switch named(name) {
            case .token(let token): (name, token)
            case .none: nil
            case .absent:
                defaults[name].map {
                    (name, declaredByContent[Array($0.utf8)] ?? .init(id: -1, content: Array($0.utf8), isSpecial: true))
                }
            }
        }
    }
}

extension TokenizerSettings {
    static func object(_ data: Data, file: String) throws(TokenizerError) -> JSONObject {
        let json: JSON
        do throws(JSONSyntaxError) { json = try JSON.parse(Array(data)) } catch {
            throw TokenizerError(file: file, problem: error.description)
        }
        guard let object = json.object else {
            throw TokenizerError(file: file, problem: "expected an object, found \(json.kindDescription)")
        }
        return object
    }

    /// Reads tokens as JSON writes them: a string, or an object with flags.
    fileprivate struct Reader {
        let folder: String

        func isID(_ id: Int) -> Bool { 0..<AddedTokens.largestID ~= id }

        func content(_ value: JSON) -> [UInt8]? {
            (value.string ?? value.object?["content"]?.string).map { Array($0.utf8) }
        }

        func token(_ value: JSON) -> AddedTokens.Token? {
            guard let content = content(value) else { return nil }
            func flag(_ name: String) -> Bool { value.object?[name]?.bool ?? false }
            return .init(
                id: -1, content: content, isSpecial: true, stripsLeft: flag("lstrip"), stripsRight: flag("rstrip"),
                isSingleWord: flag("single_word"), isNormalized: flag("normalized"))
        }

        /// A member of `added_tokens_decoder`.
        func declared(_ key: String, _ value: JSON) throws(TokenizerError) -> AddedTokens.Token {
            guard let id = Int(key), isID(id), let object = value.object, let content = object["content"]?.string else {
                throw wrong(
                    "tokenizer_config.json", "added_tokens_decoder.\(key)", expected: "a token with a content", value)
            }
            let isSpecial = object["special"]?.bool ?? false
            func flag(_ name: String, _ fallback: Bool = false) -> Bool { object[name]?.bool ?? fallback }
            return .init(
                id: Int32(id), content: Array(content.utf8), isSpecial: isSpecial, stripsLeft: flag("lstrip"),
                stripsRight: flag("rstrip"), isSingleWord: flag("single_word"),
                isNormalized: flag("normalized", !isSpecial))
        }

        func wrong(_ file: String, _ field: String, expected: String, _ value: JSON) -> TokenizerError {
            TokenizerError(
                file: "\(folder)/\(file)", subject: field,
                problem: "expected \(expected), found \(value.kindDescription)")
        }
    }
}
