import Checkpoints
import MoEModel
import RoutingMetrics
import Traces
import Tracing
import Traces

/// `plan.json`: everything that decides an experiment's numbers, and must be the same for a run to be continued.
struct ExperimentIdentity: Codable, Equatable {
    var format = "moescope-experiment"
    /// 2 holds the load of ablated experts, and the documents' ids where some choose and some are scored; 3 the config as it was
    /// understood, the hash of the token ids, the instruction set and MoEScope's version.
    var version = 3
    /// SHA-256 of the weights.
    var model: String
    var config: [String: String]?
    var corpus: String
    var tokens_sha256: String?
    var documents: Int
    var choosing_ids: [String]?
    var scored_ids: [String]?
    var precision: String
    var isa: String?
    var moescope: String?
    var plan: ExperimentPlan

    init(plan: ExperimentPlan, model: Model, weights: String, corpus: Corpus, tokens: [[Int32]]) {
        let ids = corpus.documents.map(\.id)
        self.model = weights
        config = model.config.leaves
        self.corpus = corpus.sha256
        tokens_sha256 = TokensHash.of(tokens)
        documents = tokens.count
        choosing_ids = plan.split.map { $0.choosing.map { ids[$0] } }
        scored_ids = plan.split.map { $0.scored.map { ids[$0] } }
        precision = model.precision.rawValue
        isa = Model.instructionSet
        moescope = Version.current
        self.plan = plan
    }

    /// The first thing in which what is there differs from what would be run: "field precision: expected fast, found exact".
    func difference(from present: ExperimentIdentity) -> String? {
        func differs(_ field: String, _ expected: (some Equatable)?, _ found: (some Equatable)?) -> String? {
            let (expected, found) = (expected.map { "\($0)" } ?? "nothing", found.map { "\($0)" } ?? "nothing")
            return expected == found ? nil : "field \(field): expected \(expected), found \(found)"
        }
        let settings = Set((config ?? [:]).keys).union((present.config ?? [:]).keys).sorted().lazy.compactMap {
            differs("config.\($0)", config?[$0], present.config?[$0])
        }
        let found =
            differs("version", version, present.version) ?? differs("model", model, present.model) ?? settings.first
            ?? differs("corpus", corpus, present.corpus)
            ?? differs("tokens_sha256", tokens_sha256, present.tokens_sha256)
            ?? differs("precision", precision, present.precision) ?? differs("isa", isa, present.isa)
            ?? differs("moescope", moescope, present.moescope)
        if let found { return found }
        guard plan == present.plan else { return "field plan: it is another plan than this run's" }
        return self == present ? nil : "the scored documents are others than this run's"
    }
}
