import Foundation
import TestSupport
import Testing
import Tokenizers

/// Files that would take memory or time without end: refused with the field's name, or read in time that grows with their size.
@Suite struct HostileTokenizerTests {
    private func json(_ fields: String) throws -> JSONTokenizer {
        try JSONTokenizer(
            data: Data("{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}, \(fields)}".utf8), settings: nil, file: "x"
        )
    }

    /// Ten steps that each write sixteen letters for one.
    @Test func normalizersThatGrow() throws {
        let step =
            "{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \"\(String(repeating: "a", count: 16))\"}"
        let steps = Array(repeating: step, count: 10).joined(separator: ",")
        let found = #expect(throws: TokenizerError.self) {
            try json("\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [\(steps)]}")
        }
        #expect(found?.subject == "normalizer")
        #expect(found?.problem.contains("1099511627776 times") == true)
        let many = Array(repeating: "{\"type\": \"NFC\"}", count: 5000).joined(separator: ",")
        #expect(throws: TokenizerError.self) {
            try json("\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [\(many)]}")
        }
    }

    @Test func idsFarApart() throws {
        let found = #expect(throws: TokenizerError.self) {
            try JSONTokenizer(
                data: Data(#"{"model": {"vocab": {"a": 0, "b": 16000000}, "merges": []}}"#.utf8), settings: nil,
                file: "x")
        }
        #expect(found?.problem.contains("\"b\"") == true && found?.subject == "model.vocab")
        for (id, field) in [("-1", "added_tokens[0].id"), ("99999999999", "added_tokens[0].id")] {
            let found = #expect(throws: TokenizerError.self) {
                try json("\"added_tokens\": [{\"id\": \(id), \"content\": \"x\"}]")
            }
            #expect(found?.subject == field)
        }
        #expect(throws: TokenizerError.self) {
            try json(#""post_processor": {"type": "TemplateProcessing", "single": []}"#)
        }
        #expect(throws: TokenizerError.self) {
            try json(#""post_processor": {"type": "RobertaProcessing", "cls": ["a", -1], "sep": ["a", 0]}"#)
        }
    }

    /// Ten thousand added tokens that begin alike, and a text of their first letters.
    @Test func manyAddedTokens() throws {
        let tokens = (0..<10_000).map {
            "{\"id\": \($0 + 1), \"content\": \"<<<<<<<<\($0)>\", \"special\": false, \"normalized\": false}"
        }
        let tokenizer = try json("\"added_tokens\": [\(tokens.joined(separator: ","))]")
        let ids = tokenizer.encode(String(repeating: "<", count: 20_000) + "<<<<<<<<77>")
        #expect(ids == [78])
    }

    /// A text that begins like a very long pattern at each of its places: looked at once, not once for each byte of the pattern.
    @Test func longPatterns() throws {
        let long = String(repeating: "a", count: 100_000) + "b"
        let replacing = try json(
            "\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"String\": \"\(long)\"}, \"content\": \"\"}")
        #expect(replacing.encode(String(repeating: "a", count: 300_000)).count == 300_000)
        #expect(replacing.encode("aa" + long + "a").count == 3)
        let found = #expect(throws: TokenizerError.self) {
            try json("\"added_tokens\": [{\"id\": 1, \"content\": \"\(long)\"}]")
        }
        #expect(found?.problem == "expected at most 256 bytes, found 100001")
    }

    /// What is found from left to right does not overlap, and what looks like a beginning is not lost.
    @Test func replacementsAreThoseOfTheReference() throws {
        // Python: "abababcababab".replace("abab", "a") and "aaaaa".replace("aa", "").
        for (pattern, content, text, count) in [
            ("aba", "a", "ababaaba", 4), ("aa", "", "aaaaa", 1), ("aab", "", "aaab", 1),
        ] {
            let tokenizer = try JSONTokenizer(
                data: Data(
                    """
                    {"model": {"vocab": {"a": 0, "b": 1}, "merges": []}, "normalizer": {"type": "Replace", \
                    "pattern": {"String": "\(pattern)"}, "content": "\(content)"}}
                    """.utf8), settings: nil, file: "x")
            #expect(tokenizer.encode(text).count == count, "\(pattern)")
        }
    }

    /// Hundreds of thousands of marks on one letter, in the wrong order: Foundation's composition takes minutes.
    @Test func manyMarks() throws {
        let tokenizer = try json("\"normalizer\": {\"type\": \"NFC\"}")
        #expect(tokenizer.encode("a" + String(repeating: "\u{301}\u{316}", count: 100_000) + "a").last == 0)
    }
}
