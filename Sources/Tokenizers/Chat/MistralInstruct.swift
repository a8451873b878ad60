/// The instruct format of Mistral and Mixtral, to the same ids as the `mistral-common` library.
///
/// Vocabularies without an `[INST]` piece (version 1: Mixtral-8x7B) spell the marks out as text; those with one (versions 2
/// and 3: Mixtral-8x22B) have a control token for each.
public struct MistralInstruct: Sendable {
    private let tokenizer: any Tokenizer
    private let bos: Int32
    private let eos: Int32
    /// `[INST]` and `[/INST]`; nil in version 1.
    private let marks: (begin: Int32, end: Int32)?

    /// nil where the vocabulary has no BOS or EOS.
    public init?(_ tokenizer: any Tokenizer) {
        guard let bos = tokenizer.bos, let eos = tokenizer.eos else { return nil }
        self.tokenizer = tokenizer
        self.bos = bos
        self.eos = eos
        let controls = Dictionary(tokenizer.controlTokens.map { ($0.piece, $0.id) }, uniquingKeysWith: { a, _ in a })
        if let begin = controls["[INST]"], let end = controls["[/INST]"] {
            marks = (begin, end)
        } else {
            marks = nil
        }
    }

    /// Ids of a conversation; after the last user message comes what the model answers.
    public func tokens(_ messages: [ChatMessage]) -> [Int32] {
        let system = messages.first { $0.role == .system }?.content ?? ""
        let users = messages.indices.filter { messages[$0].role == .user }
        // Version 1 puts the system prompt into the first user message, later ones into the last.
        let instructed = marks == nil ? users.first : users.last
        var ids = [bos]
        for (index, message) in messages.enumerated() {
            switch message.role {
            case .system: break
            case .user:
                let isInstructed = index == instructed && !system.isEmpty
                append(user: isInstructed ? system + "\n\n" + message.content : message.content, to: &ids)
            case .assistant:
                ids += message.tokens ?? encode(assistant: message.content)
                ids.append(eos)
            }
        }
        return ids
    }

    private func append(user content: String, to ids: inout [Int32]) {
        if let marks {
            ids.append(marks.begin)
            ids += tokenizer.encode(content)
            ids.append(marks.end)
        } else {
            ids += tokenizer.encode("[INST] \(content) [/INST]")
        }
    }

    private func encode(assistant content: String) -> [Int32] {
        guard marks != nil else { return tokenizer.encode(content) }
        var bytes = Array(content.utf8)
        while bytes.last == 0x20 { bytes.removeLast() }
        return tokenizer.encode(bytes: bytes)
    }
}
