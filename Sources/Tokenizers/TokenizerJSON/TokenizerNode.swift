import FileFormats

/// A part of `tokenizer.json`, with getters that say which field is wrong.
struct TokenizerNode {
    let json: JSON
    let file: String
    /// Where it sits: "model", "pre_tokenizer.pretokenizers[0]".
    let path: String

    init(_ json: JSON, file: String, path: String) {
        self.json = json
        self.file = file
        self.path = path
    }

    /// A field; null counts as absent.
    subscript(field: String) -> JSON? {
        guard let value = json.object?[field], !value.isNull else { return nil }
        return value
    }

    private func place(_ field: String) -> String { path.isEmpty ? field : "\(path).\(field)" }

    func wrong(_ field: String, expected: String) -> TokenizerError {
        TokenizerError(
            file: file, subject: place(field),
            problem: "expected \(expected), found \(json.object?[field]?.kindDescription ?? "nothing")")
    }

    func optionalObject(_ field: String) -> TokenizerNode? {
        self[field].map { TokenizerNode($0, file: file, path: place(field)) }
    }

    func object(_ field: String) throws(TokenizerError) -> TokenizerNode {
        guard let node = optionalObject(field) else { throw wrong(field, expected: "an object") }
        return node
    }

    func optionalString(_ field: String) throws(TokenizerError) -> String? {
        guard let value = self[field] else { return nil }
        guard let text = value.string else { throw wrong(field, expected: "a string") }
        return text
    }

    func flag(_ field: String, default fallback: Bool = false) throws(TokenizerError) -> Bool {
        guard let value = self[field] else { return fallback }
        guard let flag = value.bool else { throw wrong(field, expected: "true or false") }
        return flag
    }

    /// `replacement` of a Metaspace is U+2581.
    private func requireSpaceSymbol() throws(TokenizerError) {
        guard try optionalString("replacement").map({ Array($0.utf8) }) ?? spaceSymbol == spaceSymbol else {
            throw wrong("replacement", expected: "U+2581")
        }
    }

    /// The members of a "Sequence", or the node itself as the only one.
    private func steps(_ list: String) -> [TokenizerNode] {
        guard self["type"]?.string == "Sequence" else { return [self] }
        return (self[list]?.array ?? []).enumerated().map { index, value in
            TokenizerNode(value, file: file, path: "\(path).\(list)[\(index)]")
        }
    }

    /// Whether the step, or any within it, is of this type.
    func mentions(_ type: String) -> Bool {
        if self["type"]?.string == type { return true }
        return ["pretokenizers", "decoders"].contains { list in
            (self[list]?.array ?? []).contains { TokenizerNode($0, file: file, path: path).mentions(type) }
        }
    }

    /// A pattern that is a plain string: `{"String": "x"}`.
    private func plainPattern() throws(TokenizerError) -> [UInt8] {
        guard let text = self["pattern"]?.object?["String"]?.string else {
            throw wrong("pattern", expected: "a plain string")
        }
        return Array(text.utf8)
    }

    func normalization(_ field: String) throws(TokenizerError) -> [NormalizationStep] {
        var result: [NormalizationStep] = []
        for step in optionalObject(field)?.steps("normalizers") ?? [] {
            switch step["type"]?.string {
            case "NFC": result.append(.nfc)
            case "Prepend": result.append(.prepend(Array(try step.optionalString("prepend")?.utf8 ?? "".utf8)))
            case "Replace":
                result.append(
                    .replace(try step.plainPattern(), with: Array(try step.optionalString("content")?.utf8 ?? "".utf8)))
            default: throw step.wrong("type", expected: "NFC, Prepend or Replace")
            }
        }
        return result
    }

    /// The steps of "pre_tokenizer", and whether the last of them is byte-level.
    func preTokenization() throws(TokenizerError) -> (steps: [PreTokenizationStep], isByteLevel: Bool) {
        var result: [PreTokenizationStep] = []
        var isByteLevel = false
        for step in optionalObject("pre_tokenizer")?.steps("pretokenizers") ?? [] {
            switch step["type"]?.string {
            case "ByteLevel":
                isByteLevel = true
                if try step.flag("add_prefix_space", default: true) { result.append(.prefixSpace) }
                if try step.flag("use_regex", default: true) { result.append(.split(.gpt2)) }
            case "Split": result.append(try step.split())
            case "Digits": result.append(.digits(individual: try step.flag("individual_digits")))
            case "Metaspace":
                try step.requireSpaceSymbol()
                let scheme = try step.optionalString("prepend_scheme") ?? "always"
                guard let prepending = PreTokenizationStep.Prepending(rawValue: scheme) else {
                    throw step.wrong("prepend_scheme", expected: "always, first or never")
                }
                result.append(.metaspace(prepending, splits: try step.flag("split", default: true)))
            default: throw step.wrong("type", expected: "ByteLevel, Split, Digits or Metaspace")
            }
        }
        return (result, isByteLevel)
    }

    private func split() throws(TokenizerError) -> PreTokenizationStep {
        let name = try optionalString("behavior") ?? ""
        guard let kind = SplitBehavior.Kind(rawValue: name) else {
            let known = SplitBehavior.Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw wrong("behavior", expected: "one of \(known)")
        }
        let behavior = SplitBehavior(kind: kind, isInverted: try flag("invert"))
        let pattern = self["pattern"]?.object
        let plain = pattern?["String"]?.string
        guard let expression = pattern?["Regex"]?.string ?? plain.map(SplitExpression.spelled) else {
            throw wrong("pattern", expected: "a regular expression or a plain string")
        }
        if behavior == .isolated, let known = SplitPattern(expression: expression) { return .split(known) }
        do throws(SplitExpressionError) {
            return .expression(try SplitExpression(expression), behavior)
        } catch {
            throw TokenizerError(
                file: file, subject: place("pattern"),
                problem: "\(error.problem) is not known here (character \(error.position + 1) of the expression)")
        }
    }

    func decoding() throws(TokenizerError) -> TokenDecoding {
        var result = TokenDecoding()
        for step in optionalObject("decoder")?.steps("decoders") ?? [] {
            switch step["type"]?.string {
            case "ByteLevel": result.isByteLevel = true
            case "ByteFallback": result.hasByteFallback = true
            case "Fuse": break
            case "Metaspace":
                try step.requireSpaceSymbol()
                result.replacesSpaceSymbol = true
                if try step.optionalString("prepend_scheme") != "never" { result.strippedSpaces = 1 }
            case "Replace":
                guard try step.plainPattern() == spaceSymbol, try step.optionalString("content") == " " else {
                    throw step.wrong("pattern", expected: "U+2581, replaced by a space")
                }
                result.replacesSpaceSymbol = true
            case "Strip": result.strippedSpaces = step["start"]?.int ?? 0
            default:
                throw step.wrong("type", expected: "ByteLevel, ByteFallback, Fuse, Metaspace, Replace or Strip")
            }
        }
        return result
    }
}

/// The words that a "pre_tokenizer" of `tokenizer.json` cuts a text into, before their bytes get an alphabet: for tests.
package func words(of text: String, preTokenizer: JSON) throws(TokenizerError) -> [String] {
    let node = TokenizerNode(["pre_tokenizer": preTokenizer], file: "tokenizer.json", path: "")
    let steps = try node.preTokenization().steps
    let words = steps.reduce([Array(text.utf8)]) { $1.apply($0, isStartOfText: true) }
    return words.map { String(decoding: $0, as: UTF8.self) }
}
