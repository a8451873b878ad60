import Foundation
import RoutingMetrics
import Testing

/// All documents together, and a group that a corpus calls "all", are two things.
@Suite struct GroupKeyTests {
    @Test func tablesTellThePooledRowFromAGroupOfThatName() {
        let names = (0..<20).map { $0 % 2 == 0 ? "all" : "b" }
        let effects = PairedEffect.effects(
            first: Array(repeating: 10, count: 20), second: names.map { $0 == "all" ? 12 : 10 },
            tokens: Array(repeating: 10, count: 20), groupOf: names,
            settings: MetricSettings(bootstrap: 20, permutations: 20))
        #expect(effects.map(\.group) == [.pooled, .group("all"), .group("b")])
        // 2 nats over 10 tokens in half the documents.
        let differences = effects.map { $0.difference?.value ?? .nan }
        for (found, expected) in zip(differences, [0.1, 0.2, 0]) { #expect(abs(found - expected) < 1e-12) }
        let table = PairedEffect.table(effects)
        #expect(table.columns.prefix(2).map(\.name) == ["group", "pooled"])
        #expect(
            table.rows.map { Array($0.prefix(2)) } == [
                [.text("all"), .integer(1)], [.text("all"), .integer(0)], [.text("b"), .integer(0)],
            ])
    }

    @Test func writtenAndReadBack() throws {
        let keys: [GroupKey] = [.pooled, .group("all"), .group("")]
        let text = try JSONEncoder().encode(keys)
        #expect(String(decoding: text, as: UTF8.self) == "[null,\"all\",\"\"]")
        #expect(try JSONDecoder().decode([GroupKey].self, from: text) == keys)
    }

    /// Results written before this distinction say "all" for the pooled row.
    @Test func olderExperimentsAreReadAsTheyWereMeant() throws {
        let difference = #"{"value": 0.1, "lower": 0.0, "upper": 0.2}"#
        func effect(_ group: String) -> String {
            #"{"arm": "x", "role": "single", "effect": {"group": "\#(group)", "documents": 9, "tokens": 90, "first": 1, "second": 1.1, "#
                + #""difference": \#(difference), "pValue": 0.5}}"#
        }
        let cell = #"{"layer": 3, "expert": 1, "group": "all", "documents": 9}"#
        let settings = String(decoding: try JSONEncoder().encode(MetricSettings()), as: UTF8.self)
        let text =
            #"{"kind": "ablation", "settings": \#(settings), "effects": [\#(effect("all")), \#(effect("de"))], "#
            + #""contrasts": [], "matrix": [\#(cell)]}"#
        let result = try JSONDecoder().decode(ExperimentResult.self, from: Data(text.utf8))
        #expect(result.effects.map(\.effect.group) == [.pooled, .group("de")])
        #expect(result.matrix.map(\.group) == [.pooled] && result.size == (9, 90))
        let again = try JSONDecoder().decode(ExperimentResult.self, from: JSONEncoder().encode(result))
        #expect(again.effects == result.effects && again.version == 2)
    }
}
