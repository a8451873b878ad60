import FileFormats
import Testing

/// The text that a reader gets for a token, written down by hand for both ways in which vocabularies write bytes.
@Suite struct TokenTextTests {
    private static let sentencePiece: [(piece: String, alone: String, inText: String)] = [
        ("▁Der", "␣Der", " Der"), ("ische", "ische", "ische"), ("▁", "␣", " "), ("▁▁▁▁", "␣␣␣␣", "    "),
        ("<0x0A>", "⏎", "\n"), ("<0x09>", "⇥", "\t"), ("<0x0D>", "␍", "\r"), ("<0x41>", "A", "A"),
        ("<0xE2>", "⟨E2⟩", "⟨E2⟩"), ("<0x07>", "⟨U+0007⟩", "\u{07}"),
        ("<s>", "<s>", "<s>"), ("<0xZZ>", "<0xZZ>", "<0xZZ>"), ("Ġ", "Ġ", "Ġ"), ("▁größer", "␣größer", " größer"),
        ("\u{200B}", "⟨U+200B⟩", "\u{200B}"), ("\u{202E}abc", "⟨U+202E⟩abc", "\u{202E}abc"),
        // A joiner inside a word stays; a token that ends in one would look like another.
        ("می\u{200C}خواهم", "می\u{200C}خواهم", "می\u{200C}خواهم"), ("می\u{200C}", "می⟨U+200C⟩", "می\u{200C}"),
        ("\u{00A0}", "⟨U+00A0⟩", "\u{00A0}"), ("", "", ""),
    ]

    /// Bytes by GPT-2's table: "Ġ" is 20, "Ċ" 0A, "ĉ" 09, "Ã" C3, "¼" BC, "â" E2, "Ĥ" 82, "¬" AC, "Ģ" 80.
    private static let byteLevel: [(piece: String, alone: String, inText: String)] = [
        ("Ġder", "␣der", " der"), ("Ċ", "⏎", "\n"), ("ĊĊ", "⏎⏎", "\n\n"), ("ĉ", "⇥", "\t"), ("Ã¼ber", "über", "über"),
        ("ĠâĤ¬", "␣€", " €"), ("âĤ", "⟨E2 82⟩", "⟨E2 82⟩"), ("Ġâ", "␣⟨E2⟩", " ⟨E2⟩"), ("¬", "⟨AC⟩", "⟨AC⟩"),
        ("aâĢb", "a⟨E2 80⟩b", "a⟨E2 80⟩b"), ("<|endoftext|>", "<|endoftext|>", "<|endoftext|>"),
        // A special token is itself, whatever it holds that stands for no byte.
        ("<｜begin▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", "<｜begin▁of▁sentence｜>"),
        ("<0x0A>", "<0x0A>", "<0x0A>"), ("▁Der", "▁Der", "▁Der"),
    ]

    @Test func sentencePieceVocabulary() {
        for kind in [TokenizerKind.sentencePieceBPE, .bpe, .noTokenizer] {
            let text = TokenText(pieces: Self.sentencePiece.map(\.piece), kind: kind)
            for (id, expected) in Self.sentencePiece.enumerated() {
                #expect(text.alone(id) == expected.alone, "\(kind) piece \(expected.piece)")
                #expect(text.inText(id) == expected.inText, "\(kind) piece \(expected.piece)")
            }
        }
    }

    @Test func byteLevelVocabulary() {
        let text = TokenText(pieces: Self.byteLevel.map(\.piece), kind: .byteLevelBPE)
        for (id, expected) in Self.byteLevel.enumerated() {
            #expect(text.alone(id) == expected.alone, "piece \(expected.piece)")
            #expect(text.inText(id) == expected.inText, "piece \(expected.piece)")
        }
    }

    @Test func idsWithoutAPieceAreNumbers() {
        let text = TokenText(pieces: ["a", nil], kind: .byteLevelBPE)
        #expect(text.alone(1) == "⟨#1⟩" && text.inText(Int32(2)) == "⟨#2⟩" && text.alone(-1) == "⟨#-1⟩")
        #expect(text.bytes(1) == nil)
    }

    @Test func longPiecesAreCut() {
        let text = TokenText(pieces: ["a" + String(repeating: "\u{301}", count: 5000)], kind: .sentencePieceBPE)
        #expect(text.inText(0).unicodeScalars.count == TokenText.longest + 1)
        #expect(text.inText(0).unicodeScalars.last == "…")
    }

    /// Names that older manifests and other programs wrote.
    @Test(arguments: [
        ("sentencepiece-bpe", TokenizerKind.sentencePieceBPE), ("byte-level-bpe", .byteLevelBPE), ("bpe", .bpe),
        ("none", .noTokenizer), ("sentencepiece", .sentencePieceBPE), ("byte-level", .byteLevelBPE),
    ])
    func kindsByName(name: String, kind: TokenizerKind) {
        #expect(TokenizerKind(named: name) == kind)
    }
}
