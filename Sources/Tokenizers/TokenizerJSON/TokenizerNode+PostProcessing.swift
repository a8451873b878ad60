import FileFormats

extension TokenizerNode {
    /// What "post_processor" puts around a single text; nil where there is none.
    func framing() throws(TokenizerError) -> (prefix: [Int32], suffix: [Int32])? {
        guard let node = optionalObject("post_processor") else { return nil }
        return try node.framingStep()
    }

    private func framingStep() throws(TokenizerError) -> (prefix: [Int32], suffix: [Int32]) {
        switch self["type"]?.string {
        case "ByteLevel": return ([], [])
        case "Sequence":
            var result: (prefix: [Int32], suffix: [Int32]) = ([], [])
            for (index, value) in (self["processors"]?.array ?? []).enumerated() {
                let step = TokenizerNode(value, file: file, path: "\(path).processors[\(index)]")
                let (prefix, suffix) = try step.framingStep()
                result = (prefix + result.prefix, result.suffix + suffix)
            }
            return result
        case "TemplateProcessing": return try template()
        case "BertProcessing", "RobertaProcessing": return ([try tokenAndID("cls")], [try tokenAndID("sep")])
        default:
            throw wrong(
                "type", expected: "ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing or Sequence")
        }
    }

    /// "single": tokens, the text once, tokens.
    private func template() throws(TokenizerError) -> (prefix: [Int32], suffix: [Int32]) {
        var before: [Int32] = []
        var after: [Int32] = []
        var texts = 0
        for item in self["single"]?.array ?? [] {
            if item.object?["Sequence"] != nil {
                texts += 1
                continue
            }
            guard let name = item.object?["SpecialToken"]?.object?["id"]?.string,
                let ids = self["special_tokens"]?.object?[name]?.object?["ids"]?.array
            else { throw wrong("single", expected: "the text, and tokens of special_tokens") }
            for id in ids {
                guard let id = id.int, 0..<AddedTokens.largestID ~= id else {
                    throw wrong("special_tokens", expected: "ids of \"\(name)\"")
                }
                if texts == 0 { before.append(Int32(id)) } else { after.append(Int32(id)) }
            }
        }
        guard texts == 1 else {
            throw TokenizerError(
                file: file, subject: "\(path).single", problem: "expected the text once, found it \(texts) times")
        }
        return (before, after)
    }

    /// `["</s>", 2]`
    private func tokenAndID(_ field: String) throws(TokenizerError) -> Int32 {
        guard let id = self[field]?.array?.last?.int, 0..<AddedTokens.largestID ~= id else {
            throw wrong(field, expected: "a token and its id")
        }
        return Int32(id)
    }
}
