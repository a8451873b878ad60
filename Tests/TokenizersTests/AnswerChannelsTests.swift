import Foundation
import Testing
import Tokenizers

/// Answers in channels, as gpt-oss writes them (OpenAI's Harmony format).
@Suite struct AnswerChannelsTests {
    /// A byte-level vocabulary of lower-case letters, with control tokens after them.
    private func tokenizer(_ controls: [String]) throws -> JSONTokenizer {
        let letters = (0..<26).map { String(UnicodeScalar(UInt8(97 + $0))) }
        let vocabulary = letters.enumerated().map { "\"\($1)\": \($0)" }.joined(separator: ",")
        let added = controls.enumerated().map {
            "{\"id\": \(26 + $0), \"content\": \"\($1)\", \"special\": true}"
        }.joined(separator: ",")
        let text =
            "{\"model\": {\"type\": \"BPE\", \"vocab\": {\(vocabulary)}, \"merges\": []}, \"added_tokens\": [\(added)], "
            + "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"decoder\": {\"type\": \"ByteLevel\"}}"
        return try JSONTokenizer(data: Data(text.utf8), settings: nil, file: "tokenizer.json")
    }

    private static let marks = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>"]

    @Test func textBelongsToTheChannelThatWasOpened() throws {
        let harmony = try tokenizer(Self.marks)
        var channels = try #require(AnswerChannels(harmony))
        let answer = harmony.encode(
            markup: "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>yes",
            without: [])
        var texts: [String: String] = [:]
        var finals = ""
        var opened: [String] = []
        for token in answer {
            switch channels.feed(token) {
            case .header: #expect(!channels.isFinal)
            case .opens(let name): opened.append(name)
            case .text:
                let text = String(decoding: harmony.decodeBytes([token]), as: UTF8.self)
                texts[channels.current ?? "", default: ""] += text
                if channels.isFinal { finals += text }
            }
        }
        #expect(opened == ["analysis", "final"])
        #expect(texts == ["analysis": "hm", "final": "yes"])
        #expect(finals == "yes")
    }

    @Test func anAnswerWithoutChannelsIsAllAnswer() throws {
        let harmony = try tokenizer(Self.marks)
        var channels = try #require(AnswerChannels(harmony))
        for token in harmony.encode("abc") {
            #expect(channels.feed(token) == .text)
            #expect(channels.isFinal)
        }
        #expect(AnswerChannels(try tokenizer(["<|im_start|>", "<|im_end|>"])) == nil)
    }

    /// "<|end|>" ends a message of Harmony, and an answer of Phi.
    @Test func theEndOfAMessageIsNotTheEndOfAnAnswer() throws {
        let harmony = try tokenizer(Self.marks)
        #expect(EndTokens.all(declared: [], harmony) == [30, 31])
        let phi = try tokenizer(["<|user|>", "<|end|>", "<|endoftext|>"])
        #expect(EndTokens.all(declared: [], phi) == [27, 28])
    }
}
