import FileFormats
import Foundation
import TestSupport
import Testing
import Tokenizers

/// How text is cut into words by expressions of `tokenizer.json`, as the `tokenizers` library does (Tests/Fixtures/splits/make.py).
@Suite struct SplitTests {
    private static func fixture() throws -> (texts: [String], cases: [JSONObject]) {
        let data = try Data(contentsOf: Fixtures.folder.appending(path: "splits/splits.json"))
        let root = try #require(try JSON.parse(Array(data)).object)
        let texts = try #require(root["texts"]?.array).compactMap(\.string)
        return (texts, try #require(root["cases"]?.array).compactMap(\.object))
    }

    @Test func wordsAreThoseOfTheLibrary() throws {
        let (texts, cases) = try Self.fixture()
        #expect(cases.count == 32)
        for item in cases {
            let name = try #require(item["name"]?.string)
            let step = try #require(item["pre_tokenizer"])
            let expected = try #require(item["words"]?.array)
            for (text, list) in zip(texts, expected) where !list.isNull {
                let wanted = try #require(list.array).compactMap(\.string)
                let found = try words(of: text, preTokenizer: step)
                let isSame = found.map { Array($0.utf8) } == wanted.map { Array($0.utf8) }
                #expect(isSame, "\(name): \(text.debugDescription) is \(found), expected \(wanted)")
            }
        }
    }

    private func split(_ text: String, _ expression: String) throws -> [String] {
        let step: JSON = ["type": "Split", "pattern": ["Regex": .string(expression)], "behavior": "Isolated"]
        return try words(of: text, preTokenizer: step)
    }

    @Test(arguments: [
        ("(a", "a group that does not end", 1), ("a)", "without its opening one", 2),
        ("[a", "a set that does not end", 1),
        ("a**", "a repetition of a repetition", 3), ("(a*)*", "may be empty", 1),
        ("a{2,1}", "a repetition that is none", 3),
        ("a{100000}", "more than 1000 repetitions", 3), (#"\p{Klingon}"#, "the property \"Klingon\"", 1),
        (#"(?<=a)b"#, "a group of a kind", 1),
        (#"(a)\1"#, "\"\\1\"", 4), ("[A-[b]]", "a range to a set", 4), ("(?i:[a[b]])", "in any case", 5),
        (#"(?i:\p{Lu})"#, "in any case", 5),
        ("[a&&]", "without members on both sides", 5), ("[&&a]", "without members", 2),
        ("[[:alpha:]]", "a class in the way of POSIX", 2),
        (String(repeating: "[", count: 40) + "a", "sets within sets", 33), ("^a", "\"^\" in this place", 1),
        ("(?:a+)++", "a possessive repetition of a group", 8), ("[b-a]", "a range whose end", 4),
        ("\\", "a backslash", 1),
        ("(a{1000}){1000}", "an expression of this length", 1),
    ]) func unknownSyntaxIsNamed(_ expression: String, _ problem: String, _ character: Int) {
        let found = #expect(throws: TokenizerError.self) { try split("a", expression) }
        #expect(found?.subject == "pre_tokenizer.pattern")
        #expect(found?.problem.contains(problem) == true, "\(found?.problem ?? "")")
        #expect(
            found?.problem.contains("(character \(character) of the expression)") == true, "\(found?.problem ?? "")")
    }

    /// Backtracking that would take exponential or quadratic time where nothing is remembered.
    @Test(arguments: [
        "(?:a|a)*b", "(?:a+)+b", "(?:a|aa)+b", "a*a*a*a*b", "(?:(?:a+)+)+b", "a++b", "(?=(?:a+)+b)a", #"\w+\d"#,
        "a*?b|a",
    ]) func hostileExpressionsEnd(_ expression: String) throws {
        let text = String(repeating: "a", count: 200_000)
        let found = try split(text, expression)
        #expect(found.joined() == text)
    }

    @Test func unknownBehaviorIsNamed() {
        let step: JSON = ["type": "Split", "pattern": ["Regex": "a"], "behavior": "Sometimes"]
        let found = #expect(throws: TokenizerError.self) { try words(of: "a", preTokenizer: step) }
        #expect(found?.subject == "pre_tokenizer.behavior")
    }
}
