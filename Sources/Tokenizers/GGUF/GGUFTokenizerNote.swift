import FileFormats

/// What a tokenizer does that GGUF has no key for, written down under a key of this program's own, so that a file it
/// wrote gives it the same ids as the folder it came from. Other programs do not see it.
struct GGUFTokenizerNote: Sendable, Equatable {
    static let key = "moescope.tokenizer"

    /// Text is composed (Unicode NFC) before it is cut into words.
    var composes = false
    /// Which stretches of text get the space before a text.
    var spacing = SentencePieceTokenizer.Spacing.everywhere
    /// Byte tokens in a row are decoded as one (`Tokenizer.joinsByteTokens`).
    var joinsBytes = false
    /// Ids of user-defined pieces that SentencePiece finds in the text it has normalized.
    var withinText: [Int32] = []
    /// Flags of added tokens, by id.
    var flags: [Int32: Set<Flag>] = [:]
    /// Ids of added tokens that are found in text although they spell what llama.cpp takes for a control token.
    var textual: [Int32] = []
    /// Ids that end a text, where they are others than a reader of the file's keys takes; nil: they are not.
    var ends: [Int32]?

    enum Flag: String, Sendable, CaseIterable {
        case lstrip, rstrip, normalized
        case singleWord = "single_word"
    }

    init() {}

    /// - Throws: where the text is not what `json` writes.
    init(_ text: String, file: String) throws(TokenizerError) {
        let json = try? JSON.parse(Array(text.utf8))
        guard let object = json?.object else {
            throw TokenizerError(file: file, subject: "metadata \(Self.key)", problem: "expected a JSON object")
        }
        composes = object["normalizer"]?.string == "NFC"
        spacing = object["prepend_scheme"]?.string.flatMap(SentencePieceTokenizer.Spacing.init) ?? .everywhere
        joinsBytes = object["joins_bytes"]?.bool == true
        func ids(_ name: String) -> [Int32]? {
            object[name]?.array?.compactMap { $0.int.flatMap { Int32(exactly: $0) } }
        }
        withinText = ids("within_text") ?? []
        textual = ids("user_defined") ?? []
        ends = ids("end_of_text")
        for item in object["added_tokens"]?.array ?? [] {
            guard let id = item.object?["id"]?.int, 0..<AddedTokens.largestID ~= id else { continue }
            flags[Int32(id)] = Set(Flag.allCases.filter { item.object?[$0.rawValue]?.bool == true })
        }
    }

    init(_ tokens: [AddedTokens.Token]) {
        textual = tokens.filter { !$0.isSpecial && GGUFVocabulary.isControl($0.content) }.map(\.id)
        for token in tokens where !token.isPlain {
            var flags: Set<Flag> = []
            if token.stripsLeft { flags.insert(.lstrip) }
            if token.stripsRight { flags.insert(.rstrip) }
            if token.isSingleWord { flags.insert(.singleWord) }
            if token.isNormalized { flags.insert(.normalized) }
            self.flags[token.id] = flags
        }
    }

    var isEmpty: Bool { self == Self() }

    var json: String {
        var members: [String] = []
        if composes { members.append("\"normalizer\": \"NFC\"") }
        if spacing != .everywhere { members.append("\"prepend_scheme\": \"\(spacing.rawValue)\"") }
        if joinsBytes { members.append("\"joins_bytes\": true") }
        if !withinText.isEmpty { members.append("\"within_text\": \(withinText)") }
        if !textual.isEmpty { members.append("\"user_defined\": \(textual)") }
        if let ends { members.append("\"end_of_text\": \(ends)") }
        if !flags.isEmpty {
            let tokens = flags.sorted { $0.key < $1.key }.map { id, flags in
                let set = flags.map(\.rawValue).sorted().map { ", \"\($0)\": true" }.joined()
                return "{\"id\": \(id)\(set)}"
            }
            members.append("\"added_tokens\": [\(tokens.joined(separator: ", "))]")
        }
        return "{\(members.joined(separator: ", "))}"
    }

    /// Gives tokens the flags that are noted, and those without a note none.
    func apply(to tokens: inout [AddedTokens.Token]) {
        for index in tokens.indices {
            let flags = flags[tokens[index].id] ?? []
            tokens[index].stripsLeft = flags.contains(.lstrip)
            tokens[index].stripsRight = flags.contains(.rstrip)
            tokens[index].isSingleWord = flags.contains(.singleWord)
            tokens[index].isNormalized = flags.contains(.normalized)
        }
    }

    /// What other programs will do otherwise, in sentences.
    var notices: [String] {
        var result: [String] = []
        if composes {
            result.append(
                "text is composed to NFC, which llama.cpp does not do: decomposed letters become other tokens there")
        }
        switch spacing {
        case .everywhere: break
        case .always:
            result.append("llama.cpp puts a space before text that begins with one, where this tokenizer puts none")
        case .first:
            result.append(
                "llama.cpp puts a space before text after a control token or with a space of its own, where this tokenizer "
                    + "puts none: chat prompts become other tokens there")
        }
        if !withinText.isEmpty {
            result.append(
                "llama.cpp puts a space after each of \(withinText.count) user-defined pieces, where this tokenizer puts none"
            )
        }
        if !textual.isEmpty {
            result.append(
                "llama.cpp takes some tokens (\(textual.map { String($0) }.joined(separator: ", "))) for control tokens "
                    + "by what they spell; this tokenizer finds them in text")
        }
        if let ends {
            result.append(
                "this model's answers end at \(ends.map { String($0) }.joined(separator: ", ")); llama.cpp ends them by what "
                    + "tokens spell and by at most three ids")
        }
        if !flags.isEmpty {
            result.append(
                "\(flags.count) added tokens have flags (lstrip, rstrip, single_word, normalized) that llama.cpp does not know"
            )
        }
        return result
    }
}
