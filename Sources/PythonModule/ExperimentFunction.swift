import CPython
import Experiments
import Foundation
import Hooks
import RoutingMetrics
import Traces

/// `_moescope.experiment`: variants of a model over a corpus, beside the untouched model.
enum ExperimentFunction {
    /// What Python asks for, as JSON.
    private struct Request: Decodable {
        struct Arm: Decodable {
            var name: String
            var role: ExperimentPlan.Arm.Role?
            var target: String?
            var changes: [Intervention]
        }

        /// The design, or what to call a plan of `arms`.
        var kind: String
        var arms: [Arm]?
        var layers: [Int]?
        var experts_per_layer: Int
        var random_controls: Int
        var strength: Double
        var renormalize: Bool
        var matrix: Bool
        var counts: [Int]?
        var max_tokens: Int?
        var max_documents: Int?
        var resume: Bool
        var settings: MetricFunctions.Settings

        func check() throws(PythonError) {
            for (name, value) in [
                ("experts_per_layer", experts_per_layer), ("max_tokens", max_tokens),
                ("max_documents", max_documents),
            ] {
                if let value, value < 1 { throw .value("\(name): expected at least 1, found \(value)") }
            }
            guard random_controls >= 0 else {
                throw .value("random_controls: expected 0 or more, found \(random_controls)")
            }
            guard let arms else { return }
            guard Set(arms.map(\.name)).count == arms.count else { throw .value("arms: two arms have one name") }
            for arm in arms where arm.name.isEmpty || arm.name == ExperimentRun.baseline {
                throw .value("arms: a name is expected, other than \"\(ExperimentRun.baseline)\"")
            }
        }

        func plan(_ run: ExperimentRun, seed: UInt64) throws -> ExperimentPlan {
            if let arms {
                return ExperimentPlan(
                    kind: kind, seed: seed,
                    arms: arms.map {
                        .init(name: $0.name, role: $0.role ?? .single, target: $0.target, changes: $0.changes)
                    })
            }
            guard let kind = ExperimentPlan.Kind(rawValue: kind) else {
                let known = ExperimentPlan.Kind.allCases.map(\.rawValue).joined(separator: ", ")
                throw PythonError.value("experiment: expected one of \(known), or arms; found \"\(kind)\"")
            }
            var design = ExperimentPlan.Design(layers: layers ?? run.model.config.expertLayers)
            design.expertsPerLayer = experts_per_layer
            design.randomControls = random_controls
            design.strength = strength
            design.renormalize = renormalize
            design.matrix = matrix
            design.seed = seed
            return try run.plan(kind, design, counts: counts)
        }
    }

    /// `experiment(model, corpus path or None, documents or None, output, request as JSON, progress or None) -> list of Table`
    ///
    /// `progress(passes, all passes)` is called after every pass.
    ///
    /// The folder gets what `moescope experiment` writes: `plan.json`, `nll.jsonl`, `result.json` and the tables.
    static func run(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 6...6)
        let loaded = try types.model.payload(of: try arguments[0])
        let corpus = try CorpusArgument(path: try arguments[1], documents: try arguments[2])
        let output = URL(fileURLWithPath: try FromPython.string(try arguments[3], "output"), isDirectory: true)
        let request = try FromPython.json(Request.self, try arguments[4], "options")
        try request.check()
        let settings = try request.settings.settings()
        let progress = moescope_is_none(try arguments[5]) != 0 ? nil : try arguments[5]
        let tables = try loaded.pass { interpreter in
            let run = try ExperimentRun(
                model: loaded.model, tokenizer: loaded.tokenizer,
                corpus: try corpus.read(loaded.loaded, maximumTokens: request.max_tokens),
                maximumTokens: request.max_tokens, maximumDocuments: request.max_documents)
            let plan = try request.plan(run, seed: settings.seed)
            let likelihoods = try run.run(
                plan, into: output, resume: request.resume,
                progress: { done, total in
                    guard let progress else { return }
                    try interpreter.locked { () throws(PythonError) in try progress.called(with: [done, total]) }
                }, isCancelled: { interpreter.isInterrupted })
            let result = ExperimentResult(
                plan, likelihoods, groupOf: run.corpus.documents.map(\.group), ids: run.corpus.documents.map(\.id),
                parallel: run.corpus.documents.map(\.parallelID), clusters: run.corpus.documents.map(\.cluster),
                settings: settings)
            try result.write(to: output)
            let notes = try [("kind", result.kind), ("settings", json(result.settings))]
            return result.tables.map { TableStorage($0, notes: [("title", $0.title)] + notes) }
        }
        return try TableObject.list(tables)
    }
}
