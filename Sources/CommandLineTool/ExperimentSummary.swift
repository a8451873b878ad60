import ReportGenerator
import RoutingMetrics

/// What `experiment --json` prints.
struct ExperimentSummary: Encodable {
    /// What may be said of a group's own experts beside a control.
    struct Verdict: Encodable {
        var target: String
        var control: String
        /// costs_more, costs_less or not_told_apart; nil: no interval.
        var verdict: String?
    }

    var folder: String
    var files: [String]
    var kind: String
    /// Documents scored, and tokens predicted in them.
    var documents: Int
    var tokens: Int
    var settings: MetricSettings
    var verdicts: [Verdict]
    /// What an ablation says, in sentences.
    var sentences: [String]
    var tables: [MetricTable]

    init(_ result: ExperimentResult, folder: String, files: [String], documents: Int, tokens: Int) {
        self.folder = folder
        self.files = files
        kind = result.kind
        self.documents = documents
        self.tokens = tokens
        settings = result.settings
        verdicts = result.contrasts.map { contrast in
            let word: String? =
                switch contrast.verdict {
                case .costsMore: "costs_more"
                case .costsLess: "costs_less"
                case .notToldApart: "not_told_apart"
                case nil: nil
                }
            return Verdict(target: contrast.target, control: contrast.control, verdict: word)
        }
        sentences = ContrastProse(result).sentences ?? []
        tables = result.tables
    }
}
