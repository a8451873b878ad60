import Checkpoints
import Experiments
import Foundation
import Hooks
import MoEModel
import RoutingMetrics
import TestSupport
import Testing
import Traces
import Tracing

/// Experiments on a small random checkpoint: what is shared is shared exactly, what is interrupted goes on exactly.
@Suite struct ExperimentTests {
    let model: Model
    let corpus: Corpus

    init() throws {
        model = try Model(
            try Checkpoint.open(Fixtures.folder.appending(path: "parity/grouped")), precision: .exact, threads: 2)
        let V = Int32(model.config.vocabularySize)
        let documents = (0..<12).map { index -> Corpus.Document in
            let tokens = (0..<Int32(5 + index)).map { ($0 * 7 + Int32(index) * 13 + 1) % V }
            return .init(id: "d\(index)", group: index % 2 == 0 ? "a" : "b", content: .tokens(tokens))
        }
        corpus = Corpus(source: "test", documents: documents)
    }

    private func experiment() throws -> ExperimentRun {
        try ExperimentRun(model: model, tokenizer: nil, corpus: corpus, waveTokens: 40)
    }

    private func temporary() -> URL {
        FileManager.default.temporaryDirectory.appending(path: "experiment-\(UUID().uuidString)")
    }

    private var plan: ExperimentPlan {
        let last = model.config.layerCount - 1
        return ExperimentPlan(
            kind: "test", seed: 1,
            arms: [
                .init(name: "nothing", role: .single, changes: []),
                .init(
                    name: "last", role: .own, target: "a",
                    changes: [Intervention(.ablate(experts: [0, 1], renormalize: false), in: .init(layers: [last]))]),
                .init(
                    name: "everywhere", role: .random, target: "a",
                    changes: [Intervention(.randomRouting(seed: 3))]),
            ])
    }

    /// A variant that starts from the untouched model's residual stream is the variant run from the embedding, bit by bit.
    @Test func startingLateChangesNothing() throws {
        let run = try experiment()
        let folder = temporary()
        defer { try? FileManager.default.removeItem(at: folder) }
        let found = try run.run(plan, into: folder)
        #expect(found.arms["nothing"] == found.baseline)
        #expect(found.tokens == corpus.documents.indices.map { 4 + $0 })
        for arm in plan.arms {
            var hooks = HookPlan()
            hooks.interventions = arm.changes
            for (index, tokens) in run.tokens.enumerated() {
                let batch = TokenBatch([tokens], groups: [corpus.documents[index].group], firstDocument: index)
                let logprob = try model.forward(batch, plan: hooks).logprob
                let nll = logprob.dropFirst().reduce(0) { $0 - Double($1) }
                // Alone or in a wave, sums of products may be blocked differently.
                #expect(
                    abs((found.arms[arm.name]?[index] ?? .nan) - nll) < 1e-3 * nll, "\(arm.name), document \(index)")
            }
            if arm.name != "nothing" { #expect(found.arms[arm.name] != found.baseline) }
        }
    }

    @Test func interruptedGoesOnAsIfNot() throws {
        let run = try experiment()
        let (whole, broken) = (temporary(), temporary())
        defer {
            try? FileManager.default.removeItem(at: whole)
            try? FileManager.default.removeItem(at: broken)
        }
        let expected = try run.run(plan, into: whole)
        #expect(throws: CancellationError.self) {
            try run.run(plan, into: broken) { done, _ in if done == 5 { throw CancellationError() } }
        }
        let file = broken.appending(path: "nll.jsonl")
        let cut = try Data(contentsOf: file) + Data("{\"arm\": \"la".utf8)
        try cut.write(to: file)
        #expect(throws: ExperimentError.self) { try run.run(plan, into: broken) }
        let found = try run.run(plan, into: broken, resume: true)
        #expect(found.baseline == expected.baseline && found.arms == expected.arms)
        var other = plan
        other.seed = 2
        #expect(throws: ExperimentError.self) { try run.run(other, into: broken, resume: true) }
    }

    @Test func designsHaveTheirControls() throws {
        let run = try experiment()
        let survey = try run.survey()
        let (L, E) = (model.config.layerCount, model.config.experts.count)
        #expect(survey.groups == ["a", "b"])
        for layer in 0..<L {
            // With two groups, what one uses more the other uses less.
            for (a, b) in zip(survey.contrasts(of: "a", layer: layer), survey.contrasts(of: "b", layer: layer)) {
                #expect(abs(a + b) < 1e-9)
            }
            let sum = survey.shares(of: "a", layer: layer).reduce(0, +)
            #expect(abs(sum - Double(model.config.expertsPerToken)) < 1e-9)
            // Every token is in the sample here: a set of one expert has the expert's share.
            for (expert, share) in survey.shares(of: "a", layer: layer).enumerated() {
                #expect(abs(survey.share(of: "a", layer: layer, meeting: [expert]) - share) < 1e-9)
            }
            #expect(survey.share(of: "a", layer: layer, meeting: Array(0..<E)) == 1)
        }
        var design = ExperimentPlan.Design(layers: Array(0..<L))
        design.matrix = true
        let plan = try run.plan(.ablation, design)
        #expect(plan.arms.filter { $0.role == .single }.count == L * E)
        for group in survey.groups {
            let own = try #require(plan.arms.first { $0.role == .own && $0.target == group })
            #expect(own.groups == nil)
            let draws = plan.arms.filter { $0.role == .random && $0.target == group }
            #expect(draws.count == 20 && Set(draws.map { "\($0.changes)" }).count == 20)
            for random in draws {
                #expect(random.groups == [group])
                for (a, b) in zip(own.changes, random.changes) {
                    guard case .ablate(let own, _) = a.action, case .ablate(let others, _) = b.action else {
                        Issue.record("an ablation is expected")
                        continue
                    }
                    #expect(a.scope == b.scope && !others.isEmpty && Set(own).isDisjoint(with: others))
                }
            }
        }
        // Steering draws as many others.
        let steering = try run.plan(.steering, design)
        #expect(steering.arms.filter { $0.role == .random }.allSatisfy { $0.changes.count == L })
        // What chooses is not scored, and the seed says which is which. Layers that the model does not have are named.
        let split = try #require(plan.split)
        #expect((split.choosing + split.scored).sorted() == Array(0..<12) && split.choosing.count == 6)
        #expect(try run.plan(.ablation, design) == plan)
        design.seed = 2
        #expect(try run.plan(.ablation, design).split != split)
        #expect(try run.plan(.topK, design).arms.count == min(E, 2 * model.config.expertsPerToken))
        #expect { try run.plan(.randomRouting, .init(layers: [L])) } throws: { "\($0)".contains("found \(L)") }
        // A plan survives its file.
        let file = temporary()
        defer { try? FileManager.default.removeItem(at: file) }
        try JSONEncoder().encode(plan).write(to: file)
        #expect(try ExperimentPlan.read(file) == plan)
    }

    /// Only documents that did not choose are scored, controls run over their group alone, and an interruption changes nothing.
    @Test func designsScoreTheOtherHalf() throws {
        let run = try experiment()
        let (whole, broken) = (temporary(), temporary())
        defer {
            try? FileManager.default.removeItem(at: whole)
            try? FileManager.default.removeItem(at: broken)
        }
        var design = ExperimentPlan.Design(layers: [0, model.config.layerCount - 1])
        design.randomControls = 3
        let plan = try run.plan(.ablation, design)
        let split = try #require(plan.split)
        let expected = try run.run(plan, into: whole)
        for document in 0..<12 {
            #expect((expected.tokens[document] > 0) == split.scored.contains(document))
            #expect(expected.tokens[document] == 0 || expected.tokens[document] == run.tokens[document].count - 1)
        }
        for arm in plan.arms {
            let nll = try #require(expected.arms[arm.name])
            let load = try #require(expected.loads[arm.name])
            for document in split.scored {
                let isRun = arm.groups?.contains(corpus.documents[document].group) ?? true
                #expect(nll[document].isFinite == isRun)
                let tokens = Double(expected.tokens[document])
                #expect(load.met[document] <= tokens && load.weight[document] <= 2 * tokens)
            }
        }
        #expect(throws: CancellationError.self) {
            try run.run(plan, into: broken) { done, _ in if done == 7 { throw CancellationError() } }
        }
        let found = try run.run(plan, into: broken, resume: true)
        #expect(found.baseline == expected.baseline && found.loads == expected.loads)
        for arm in plan.arms { #expect("\(found.arms[arm.name] ?? [])" == "\(expected.arms[arm.name] ?? [])") }
        let result = ExperimentResult(
            plan, found, groupOf: corpus.documents.map(\.group), ids: corpus.documents.map(\.id),
            settings: MetricSettings(bootstrap: 20, permutations: 19, minimumDocuments: 2))
        let documents = try #require(result.documents)
        #expect(documents.scored == split.scored.map { "d\($0)" })
        #expect(documents.choosing == split.choosing.map { "d\($0)" })
        #expect(result.effects.filter { $0.role == .random }.allSatisfy { $0.effect.group == .group($0.target ?? "") })
        #expect(result.contrasts.filter { $0.control == "random" }.map(\.arms) == [3, 3])
    }

    /// A document of its own cannot be both what chooses and what is scored.
    @Test func oneDocumentIsTooFew() throws {
        let one = Corpus(source: "one.jsonl", documents: [corpus.documents[0]])
        let run = try ExperimentRun(model: model, tokenizer: nil, corpus: one)
        #expect {
            try run.plan(.ablation, .init(layers: [0]))
        } throws: {
            "\($0)".contains("one.jsonl: half of the documents choose")
        }
    }

    /// Lines of another run, or of a damaged file, do not end in numbers.
    @Test func linesThatCannotBeOfThisRunAreNamed() throws {
        let run = try experiment()
        let folder = temporary()
        defer { try? FileManager.default.removeItem(at: folder) }
        _ = try run.run(plan, into: folder)
        let file = folder.appending(path: "nll.jsonl")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
        // Waves of 40 tokens: the first has 5 + 6 + 7 + 8 + 9.
        #expect(lines[0].contains("\"arm\":\"baseline\"") && lines[0].contains("\"tokens\":[4,5,6,7,8]"))
        func said(_ line: String) throws -> String {
            try Data(([line] + lines.dropFirst()).map { $0 + "\n" }.joined().utf8).write(to: file)
            do {
                _ = try run.run(plan, into: folder, resume: true)
                return ""
            } catch {
                return "\(error)"
            }
        }
        for (old, new, part) in [
            ("[4,5,6,7,8]", "[4,5,6,7]", "line 1: fields nll and tokens: expected 5 values, one per document"),
            ("[4,5,6,7,8]", "[4,5,6,7,9]", "field tokens: expected 8 of document 4, found 9"),
            ("\"first_document\":0", "\"first_document\":1", "field first_document"),
            ("\"first_document\":0", "\"first_document\":-9223372036854775808", "field first_document"),
            ("\"baseline\"", "\"basis\"", "field arm: expected an arm of the plan, found \"basis\""),
            ("\"nll\":[", "\"nll\":[\"x\",", "line 1: "),
        ] {
            let text = try said(lines[0].replacing(old, with: new))
            #expect(text.contains("nll.jsonl") && text.contains(part), "\(text)")
        }
        #expect(try said(lines[0]) == "")
    }

    /// Everything that decides the numbers is in plan.json, and compared by name.
    @Test func anotherRunIsNotContinued() throws {
        let run = try experiment()
        let folder = temporary()
        defer { try? FileManager.default.removeItem(at: folder) }
        _ = try run.run(plan, into: folder)
        let file = folder.appending(path: "plan.json")
        let text = try String(contentsOf: file, encoding: .utf8)
        for (old, part) in [
            (#""attention.rotary.theta" : "[^"]*""#, "field config.attention.rotary.theta: expected "),
            (#""tokens_sha256" : "[^"]*""#, "field tokens_sha256: expected "),
            (#""precision" : "[^"]*""#, "field precision: expected exact, found x"),
            (#""moescope" : "[^"]*""#, "field moescope: expected "), (#""model" : "[^"]*""#, "field model: expected "),
        ] {
            let place = try #require(text.range(of: old, options: .regularExpression), "\(old)")
            let key = text[place].prefix { $0 != ":" }
            try Data(text.replacingCharacters(in: place, with: "\(key): \"x\"").utf8).write(to: file)
            #expect {
                _ = try run.run(plan, into: folder, resume: true)
            } throws: {
                "\($0)".contains("plan.json: \(part)")
            }
        }
    }

    /// A folder with something else in it is not begun in; one in which a run was stopped at once is.
    @Test func onlyAnEmptyOrHalfBornFolderIsBegunIn() throws {
        let run = try experiment()
        let folder = temporary()
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let mine = folder.appending(path: "nll.jsonl")
        try Data("mine".utf8).write(to: mine)
        for resume in [false, true] {
            #expect {
                _ = try run.run(plan, into: folder, resume: resume)
            } throws: {
                "\($0)".contains("the folder is not empty (nll.jsonl)")
            }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["nll.jsonl"])
        #expect(try Data(contentsOf: mine) == Data("mine".utf8))
        for name in ["nll.jsonl", "plan.json.77.tmp", ".moescope.lock"] {
            try Data().write(to: folder.appending(path: name))
        }
        #expect(try run.run(plan, into: folder).baseline.count == 12)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["nll.jsonl", "plan.json"])
    }

    @Test func oneWriterAtATime() throws {
        let run = try experiment()
        let folder = temporary()
        defer { try? FileManager.default.removeItem(at: folder) }
        var second = ""
        _ = try run.run(
            plan, into: folder,
            progress: { done, _ in
                guard done == 1 else { return }
                do { _ = try run.run(plan, into: folder, resume: true) } catch { second = "\(error)" }
            })
        #expect(second.contains("process \(getpid()) on ") && second.contains("is writing here"), "\(second)")
        #expect(try run.run(plan, into: folder, resume: true).baseline.count == 12)
    }

    @Test func mistakesInPlansAreNamed() throws {
        let file = temporary()
        defer { try? FileManager.default.removeItem(at: file) }
        func message(_ text: String) throws -> String {
            try Data(text.utf8).write(to: file)
            do {
                _ = try ExperimentPlan.read(file)
                return ""
            } catch {
                return "\(error)"
            }
        }
        #expect(try message("{\"kind\": \"x\", \"seed\": 1}").contains("no \"arms\""))
        #expect(try message("{").contains("not valid JSON"))
        let arm =
            "{\"kind\": \"x\", \"seed\": 1, \"arms\": [{\"name\": \"n\", \"role\": \"single\", \"changes\": [CHANGE]}]}"
        #expect(
            try message(arm.replacing("CHANGE", with: "{\"kind\": \"melt\"}")).contains("no change of kind \"melt\""))
        #expect(
            try message(arm.replacing("CHANGE", with: "{\"kind\": \"ablate\"}")).contains("needs the field \"experts\"")
        )
    }

    /// Likelihoods with a planted effect: the group whose experts are gone loses, and the contrast says so.
    @Test func plantedEffectsAreSeen() {
        let names = (0..<40).map { $0 % 2 == 0 ? "a" : "b" }
        let base = names.indices.map { 50 + Double($0 % 7) }
        func moved(_ a: Double, _ b: Double) -> [Double] {
            names.indices.map { base[$0] + (names[$0] == "a" ? a : b) * (1 + Double($0 % 5) / 10) }
        }
        let plan = ExperimentPlan(
            kind: "ablation", seed: 1,
            arms: [
                .init(name: "own a", role: .own, target: "a", changes: []),
                .init(name: "own b", role: .own, target: "b", changes: []),
                .init(name: "random a", role: .random, target: "a", changes: []),
            ])
        let likelihoods = ExperimentLikelihoods(
            tokens: Array(repeating: 20, count: 40), baseline: base,
            arms: ["own a": moved(4, 1), "own b": moved(1, 4), "random a": moved(1, 1)])
        let result = ExperimentResult(
            plan, likelihoods, groupOf: names, settings: MetricSettings(bootstrap: 200, permutations: 999))
        let a = result.effects.first { $0.arm == "own a" && $0.effect.group == .group("a") }
        // 4 nats × mean of 1, 1.2, 1.4, 1.1, 1.3 over 20 tokens.
        #expect(abs((a?.effect.difference?.value ?? 0) - 0.24) < 1e-9)
        #expect((a?.qValue ?? 1) < 0.01)
        let contrast = result.contrasts.first { $0.target == "a" && $0.control == "random" }
        #expect(abs((contrast?.difference?.value ?? 0) - 0.18) < 1e-9)
        // Between one draw and the next anything could lie.
        #expect(contrast?.difference?.lower == nil && contrast?.pValue == nil && contrast?.verdict == nil)
        let other = result.contrasts.first { $0.target == "a" && $0.control == "other-group" }
        #expect(abs((other?.difference?.value ?? 0) - 0.18) < 1e-9)
        #expect((other?.difference?.lower ?? 0) > 0.15 && (other?.qValue ?? 1) < 0.01 && other?.verdict == .costsMore)
        #expect(result.contrasts.contains { $0.target == "b" && $0.control == "other-group" })
        #expect(result.tables.map(\.name) == ["effects", "contrasts"] && result.matrix.isEmpty)
    }

    /// Arms that take one expert of one layer away make the matrix of experts and groups.
    @Test func singleExpertsMakeAMatrix() {
        let names = (0..<24).map { $0 % 2 == 0 ? "a" : "b" }
        let base = Array(repeating: 40.0, count: 24)
        let plan = ExperimentPlan(
            kind: "ablation", seed: 1,
            arms: (0..<2).map { expert in
                .init(
                    name: "layer 3 expert \(expert)", role: .single,
                    changes: [Intervention(.ablate(experts: [expert], renormalize: false), in: .init(layers: [3]))])
            })
        // Expert 0 is worth 2 nats a document to a, expert 1 as much to b.
        let arms = (0..<2).map { expert in
            names.map { 40 + ($0 == (expert == 0 ? "a" : "b") ? 2.0 : 0.0) }
        }
        let result = ExperimentResult(
            plan,
            ExperimentLikelihoods(
                tokens: Array(repeating: 10, count: 24), baseline: base,
                arms: ["layer 3 expert 0": arms[0], "layer 3 expert 1": arms[1]]),
            groupOf: names, settings: MetricSettings(bootstrap: 50, permutations: 99))
        #expect(result.matrix.map(\.layer) == Array(repeating: 3, count: 6))
        #expect(result.matrix.map(\.expert) == [0, 0, 0, 1, 1, 1])
        #expect(result.matrix.map(\.group) == [.pooled, .group("a"), .group("b"), .pooled, .group("a"), .group("b")])
        let values = result.matrix.map { $0.difference?.value ?? .nan }
        for (value, expected) in zip(values, [0.1, 0.2, 0, 0.1, 0, 0.2]) { #expect(abs(value - expected) < 1e-9) }
        #expect(result.tables.last?.name == "matrix")
    }
}
