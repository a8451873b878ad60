/// How often something happens: a sentence is printed, an interval holds the truth.
package struct Rate: Codable, Sendable, Equatable {
    package var scenario: String
    /// The sentence, or the table and the column.
    package var subject: String
    /// Traces whose documents could tell, or intervals.
    package var count: Int
    package var hits: Int

    package init(scenario: String, subject: String, count: Int = 0, hits: Int = 0) {
        self.scenario = scenario
        self.subject = subject
        self.count = count
        self.hits = hits
    }

    package var rate: Double { count > 0 ? Double(hits) / Double(count) : 0 }
}

/// From which effect on a sentence is found in four of five traces.
package struct DetectableEffect: Codable, Sendable, Equatable {
    package var sentence: String
    /// What was planted, in words.
    package var planted: String
    /// Of each group, and of each source where there are several.
    package var documents: Int
    /// Between the effects that were tried, by interpolation; nil where the largest was not found so often.
    package var effect: Double?

    package init(sentence: String, planted: String, documents: Int, effect: Double?) {
        self.sentence = sentence
        self.planted = planted
        self.documents = documents
        self.effect = effect
    }
}

/// What `moescope calibrate` counted, as it is kept: the page quotes it.
package struct CalibrationResult: Codable, Sendable {
    package var rates: [Rate]
    /// Where effects were planted.
    package var effects: [DetectableEffect]

    package init(rates: [Rate], effects: [DetectableEffect] = []) {
        self.rates = rates
        self.effects = effects
    }
}

extension CalibrationResult {
    /// A row per sentence: how often it was printed where it is false, and from which effect on it is found.
    /// - Parameters:
    ///   - nulls: rates of traces where the sentences are false.
    ///   - effects: with the same numbers of documents for every sentence.
    package static func table(nulls: [Rate], effects: [DetectableEffect]) -> MetricTable {
        let documents = Set(effects.map(\.documents)).sorted()
        let rules = Verdict.Rule.allCases.filter { rule in nulls.contains { $0.subject == rule.rawValue } }
        return MetricTable(
            name: "sentences", title: "How often each sentence is false in simulation, and what it finds",
            columns: [
                MetricColumn("sentence", .text, "the rule that prints it"),
                MetricColumn("kinds", .integer, "kinds of simulated traces where the sentence is false"),
                MetricColumn("traces", .integer, "traces of each kind, or fewer where some cannot tell"),
                MetricColumn("false_at_most", .real, "largest share, over these kinds, of traces where it was printed"),
                MetricColumn("planted", .text, "what was put into other traces to be found"),
            ]
                + documents.map {
                    MetricColumn(
                        "effect_\($0)", .real,
                        "size of it that is found in four of five traces with \($0) documents per group, or per group and source; empty where "
                            + "the largest that was tried is not")
                },
            rows: rules.map { rule in
                let own = nulls.filter { $0.subject == rule.rawValue }
                let found = effects.filter { $0.sentence == rule.rawValue }
                return [
                    .text(rule.rawValue), .integer(own.count), .integer(own.map(\.count).max() ?? 0),
                    .real(own.map(\.rate).max() ?? 0), .optional(found.first?.planted),
                ]
                    + documents.map { size in .optional(found.first { $0.documents == size }?.effect ?? nil) }
            })
    }
}
