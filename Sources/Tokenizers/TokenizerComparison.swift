/// Whether two tokenizers do the same, tried on texts that tell tokenizers apart.
public enum TokenizerComparison {
    /// The first text that the two make other tokens of, with the tokens of both; nil: none was found.
    /// - Parameter first: the one whose pieces and added tokens the texts are made of.
    public static func difference(_ first: any Tokenizer, _ second: any Tokenizer) -> String? {
        if first.frame.prefix != second.frame.prefix || first.frame.suffix != second.frame.suffix {
            return "around every text: \(first.frame.prefix) … \(first.frame.suffix) and \(second.frame.prefix) … "
                + "\(second.frame.suffix)"
        }
        for text in texts(of: first) {
            let (mine, theirs) = (first.encode(text), second.encode(text))
            if mine != theirs { return describe(text, mine, theirs) }
            let decoded = (first.decodeBytes(mine), second.decodeBytes(mine))
            if decoded.0 != decoded.1, String(validating: decoded.0, as: UTF8.self) != nil {
                return "the text of the tokens \(mine.prefix(12))"
            }
        }
        for text in markup(of: first) {
            let (mine, theirs) = (first.encode(markup: text), second.encode(markup: text))
            if mine != theirs { return describe(text, mine, theirs) }
        }
        return nil
    }

    private static func describe(_ text: String, _ first: [Int32], _ second: [Int32]) -> String {
        let place = zip(first, second).enumerated().first { $1.0 != $1.1 }?.offset ?? min(first.count, second.count)
        func near(_ ids: [Int32]) -> String { "\(Array(ids[max(0, place - 2)..<min(ids.count, place + 6)]))" }
        let shown = text.count > 60 ? String(text.prefix(60)) + "…" : text
        return "\(shown.debugDescription): tokens \(near(first)) and \(near(second))"
    }

    /// Spaces, line ends, digits, contractions, scripts, marks, emoji, controls.
    private static let fixed = [
        "", " ", "  ", "   ", "\n", "\n\n", "\t", " \n ", "\r\n\r\n", "a", " a", "  a", "a ", "a  ", "a  b", "a\n b",
        "a \nb",
        "the river runs over stones", "  the   river  ", "Der Fluß rauscht, 12 345 Steine!",
        "I'm WE'RE they'Ll it's don't 'D",
        "12345 1234 123 12 1 ½ Ⅷ ٣٤٥", "def f(self):\n\treturn self.x(y)\n\n", "x  =  1;\n\n  y\r\n z\t\t",
        "V\u{308}o\u{308}gel e\u{301}",
        "\u{1112}\u{1161}\u{11AB}", "ﬁ ™ Å \u{212B}", "漢字かな交じり文。", "Привет, мир", "שלום עולם", "नमस्ते", "👍🏽 👩‍👩‍👧 🇩🇪",
        "\u{A0}\u{3000}\u{2028}\u{200B}\u{FEFF}x", "\u{2581}a \u{2581}\u{2581}b", "...!? -- $5 <tag> a+b=c|d~e^f",
        "\u{0}\u{1}\u{7F}",
        "ſo", "A'b'sc", "____ a_b", "https://x.y/z?q=1&r=%20",
    ]

    private static func texts(of tokenizer: any Tokenizer) -> [String] {
        var texts = fixed
        // Pieces of the whole vocabulary, six in a row.
        let size = Int32(tokenizer.vocabularySize)
        let step = max(1, size / 1800)
        let some = Array(stride(from: Int32(0), to: size, by: Int(step)))
        for start in stride(from: 0, to: some.count, by: 6) {
            texts.append(tokenizer.decode(some[start..<min(start + 6, some.count)]))
        }
        for token in added(tokenizer).prefix(300) where !token.isSpecial { texts += around(token) }
        return texts
    }

    private static func markup(of tokenizer: any Tokenizer) -> [String] {
        added(tokenizer).prefix(300).flatMap(around)
    }

    private static func around(_ token: AddedTokens.Token) -> [String] {
        let spelled = String(decoding: token.content, as: UTF8.self)
        return ["a \(spelled) b", "a\(spelled)b", "\(spelled)  b", "a  \(spelled)", "a\u{A0}\(spelled)\n\(spelled)\tb"]
    }

    private static func added(_ tokenizer: any Tokenizer) -> [AddedTokens.Token] {
        switch tokenizer {
        case let tokenizer as SentencePieceTokenizer: tokenizer.added.tokens
        case let tokenizer as JSONTokenizer: tokenizer.added.tokens
        default: []
        }
    }
}
