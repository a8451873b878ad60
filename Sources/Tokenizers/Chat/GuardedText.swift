/// Keeps what people write from becoming control tokens on its way through a chat template.
///
/// A template spells control tokens out, and its output is read with them (`Tokenizer.encode(markup:)`). A message that
/// spells one, too, would end its turn or start another's. So each gets a guard character inside before the template sees
/// it, and the guards are taken out again before the text between control tokens is encoded.
public struct GuardedText: Sendable {
    private let controls: PrefixMatcher
    /// A character of a private use area that occurs in no message.
    let mark: [UInt8]

    /// - Parameter messages: every text that will be guarded.
    public init(_ tokenizer: any Tokenizer, messages: [String]) {
        controls = PrefixMatcher(tokenizer.controlTokens.map { Array($0.piece.utf8) })
        let used = Set(messages.flatMap(\.unicodeScalars))
        let free = (0xE000...0xF8FF).lazy.compactMap(Unicode.Scalar.init).first { !used.contains($0) }
        mark = Array(String(Character(free ?? "\u{E000}")).utf8)
    }

    /// The text with a guard after the first character of everything that spells a control token.
    public func guarded(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            var guardAt = -1
            for place in bytes.indices {
                if place == guardAt { result += mark }
                result.append(bytes[place])
                if controls.match(base + place, bytes.count - place) != nil {
                    guardAt = place + (lengthOfCharacter(base + place, bytes.count - place) ?? 1)
                }
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Ids of a template's output.
    public func encode(_ rendered: String, _ tokenizer: any Tokenizer) -> [Int32] {
        tokenizer.encode(markup: rendered, without: mark)
    }
}
