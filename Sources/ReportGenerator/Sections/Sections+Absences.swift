import RoutingMetrics
import Traces

extension Sections {
    /// What a record of another program does not hold, and which metrics are therefore not on the page; nil for traces that hold
    /// everything.
    var absences: Section? {
        let absent = trace.manifest.capture.absent ?? []
        guard !absent.isEmpty || trace.manifest.provenance?.kind == .imported else { return nil }
        let writer = trace.manifest.provenance?.format.map { " by \($0)" } ?? ""
        let known = Set(trace.layout.columns.map(\.name))
        var lacking = absent.map { Self.words[$0] ?? $0 }
        if !known.contains("router_logits") { lacking.append("router logits, and so how sure the router was") }
        if trace.layout.hasTokens, (try? trace.vocabulary()) == nil {
            lacking.append("the text of the tokens: they are shown as numbers")
        }
        let unsaid = unknownFacts
        return Section(
            id: "absent", title: "What this page does not know",
            lead:
                "The routing was recorded\(writer) and imported. "
                + (lacking.isEmpty
                    ? "The record lacks nothing." : "The record does not hold: \(lacking.joined(separator: "; "))."),
            paragraphs: (unsaid.isEmpty ? [] : ["The model's card does not say: \(Prose.list(unsaid))."])
                + (metrics.notes.isEmpty
                    ? [] : ["These metrics are not on the page: " + metrics.notes.joined(separator: "; ") + "."]),
            method:
                "What is absent is nowhere counted as zero. A metric that needs it is left out, and says so; all others are computed from "
                + "what is there, as for any trace.")
    }

    private static let words = [
        "token": "token ids", "logprob": "log-probabilities of the tokens", "expert_weights": "weights of the experts",
        "choice_order": "which of a token's experts has the largest weight",
    ]

    /// Numbers of the model that nobody gave.
    private var unknownFacts: [String] {
        [
            (model.parametersTotal, "its parameters"), (model.heads, "its attention heads"),
            (model.hiddenSize, "its hidden size"), (model.vocabSize, "the size of its vocabulary"),
        ].compactMap { $0.0 == 0 ? $0.1 : nil }
    }
}
