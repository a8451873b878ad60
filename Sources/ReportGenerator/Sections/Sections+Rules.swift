import Foundation
import RoutingMetrics
import Traces

extension Sections {
    /// When which sentence is printed, and a text about the statistics that can be put into a paper.
    var rules: Section? {
        guard let sample = metrics.sample else { return nil }
        return Section(
            id: "rules", title: "When a sentence is printed",
            lead:
                "A sentence about what was found is printed where its rule allows it. How often each is printed where it is false, and from "
                + "which effect on it is found, is counted in simulation by `moescope calibrate`.",
            paragraphs: Verdict.Rule.allCases.map { "\($0.rawValue): “\($0.claim)” \($0.criterion)" } + [
                methodsText(sample)
            ],
            printed: Self.calibration.map { [$0.name] } ?? [],
            method: "References: \(Self.references.joined(separator: "; ")).",
            downloads: Self.calibration.map { [$0.name] } ?? [], tables: Self.calibration.map { [$0] } ?? [])
    }

    /// What `moescope calibrate` counted of these sentences; nil where it was not run when the program was built.
    private static let calibration: MetricTable? = {
        func read(_ name: String) -> CalibrationResult? {
            let text = try? PageTemplates.text(of: name)
            return text.flatMap { try? JSONDecoder().decode(CalibrationResult.self, from: Data($0.utf8)) }
        }
        guard let nulls = read("nulls.json"), let power = read("power.json") else { return nil }
        return CalibrationResult.table(nulls: nulls.rates, effects: power.effects)
    }()

    /// What a paper says about how the numbers were made.
    private func methodsText(_ sample: MetricSample) -> String {
        let settings = sample.settings
        let level = Prose.percent(settings.level)
        return
            "Methods, for a paper: Routing was recorded with MoEScope \(Version.current) over \(Prose.count(sample.documents)) documents "
            + "(\(Prose.count(sample.tokens)) tokens; \(settings.skippedPositions) at the start of each left out). Shares of experts were "
            + "compared between each \(names.noun) and the others by studentized contrasts of ratios, whose variances were taken over documents, "
            + "parallel sets of documents, or clusters of documents, with Satterthwaite's degrees of freedom. A p-value is the larger of one "
            + "from \(Prose.count(settings.permutations)) relabellings of what is exchangeable, adjusted by the largest contrast, and "
            + "Welch's with Bonferroni's correction. \(level) intervals come from \(Prose.count(settings.bootstrap)) bootstrap replicates over the "
            + "same units (seed \(settings.seed)); information and divergences are less the jackknife's bias. Repetition was compared with "
            + "its expectation in a random order of each document's tokens."
    }

    private static let references = [
        "Efron 1979 (bootstrap)", "Hesterberg 2014, arXiv 1411.5279 (few documents)", "Quenouille 1949 (jackknife)",
        "Satterthwaite 1946; Welch 1947", "Janssen 1997; Chung & Romano 2013 (studentized permutations)",
        "Westfall & Young 1993 (largest contrast)", "Kish 1965 (design effect)",
        "Mantel & Haenszel 1959 (within tokens)",
    ]
}
