import Foundation
import Hooks
import MoEModel
import Testing

struct HookTests {
    let model: Model
    let batch = SmallModel.batch

    init() throws { model = try SmallModel.load() }

    @Test func everyPointFiresWithItsShape() throws {
        let seen = HookRecorder()
        let plan = try HookPlan(observing: SmallModel.everything, layerCount: 2)
        _ = try model.forward(batch, plan: plan, observer: seen)
        #expect(Set(seen.order) == plan.observed)
        #expect(plan.observed.count == 5 + 2 * 25)
        let letters = ["T": 348, "D": 32, "H": 4, "G": 2, "d": 8, "E": 8, "K": 2, "V": 131, "5": 5]
        for (point, values) in seen.values where ![.scores, .pattern].contains(point.site) {
            let shape = point.site.shape.split(separator: " ").map { letters[String($0)] }
            #expect(values.map { $0.shape.map { Optional($0) } } == [shape], "\(point)")
        }
        let squares: Int = 1 + 40 * 40 + 7 * 7 + 300 * 300
        #expect(seen.floats(HookPoint(.pattern, layer: 1))?.count == 4 * squares)
    }

    @Test func observingChangesNoOutputBit() throws {
        let bare = HookRecorder()
        let few = try HookPlan(observing: ["router_logits"], layerCount: 2)
        let unwatched = try model.forward(batch, plan: few, observer: bare)
        let full = HookRecorder()
        let plan = try HookPlan(observing: SmallModel.everything, layerCount: 2)
        let watched = try model.forward(batch, plan: plan, observer: full)
        #expect(unwatched.logprob.map(\.bitPattern) == watched.logprob.map(\.bitPattern))
        let point = HookPoint(.routerLogits, layer: 1)
        #expect(bare.floats(point)?.map(\.bitPattern) == full.floats(point)?.map(\.bitPattern))
    }

    @Test(arguments: Model.precisions) func documentsDoNotFeelEachOther(precision: Precision) throws {
        let model = try SmallModel.load(precision: precision)
        let together = try model.forward(batch).logprob
        var alone: [Float] = []
        for rows in batch.documents {
            alone += try model.forward(TokenBatch([Array(batch.tokens[rows])])).logprob
        }
        #expect(together.map(\.bitPattern) == alone.map(\.bitPattern))
    }

    @Test func threadsDoNotMatter() throws {
        let one = try SmallModel.load(threads: 1).forward(batch).logprob
        let three = try SmallModel.load(threads: 3).forward(batch).logprob
        #expect(one.map(\.bitPattern) == three.map(\.bitPattern))
    }

    @Test(arguments: HookSite.allCases.filter { $0.isEditable && ![.expertIndices, .keyValueLatent].contains($0) })
    func anEditHasItsEffect(site: HookSite) throws {
        let point = HookPoint(site, layer: site.isPerLayer ? 0 : nil)
        var plan = HookPlan()
        plan.edited = [point]
        plan.observed = [point]
        let seen = HookRecorder()
        let plain = try model.forward(batch).logprob
        // Not a common factor: softmax and norms would take a shift or a factor out again.
        let edited = try model.forward(
            batch, plan: plan, observer: seen,
            editor: Edit { _, values in for i in values.indices where i % 3 == 0 { values[i] *= 0.5 } }
        ).logprob
        #expect(zip(plain, edited).contains { abs($0 - $1) > 1e-3 }, "\(point)")
        #expect(seen.floats(point) != nil, "observers see the edited value")
    }

    @Test func editedIndicesKeepTheirWeights() throws {
        final class Swap: HookEditor {
            func edit(_ point: HookPoint, _ value: borrowing EditableHookValue) throws {
                value.withMutableIndices { for i in $0.indices { $0[i] = ($0[i] + 1) % 8 } }
            }
        }
        var plan = try HookPlan(observing: ["expert_indices", "expert_weights"], layerCount: 2)
        let before = HookRecorder()
        let plain = try model.forward(batch, plan: plan, observer: before).logprob
        plan.edited = [HookPoint(.expertIndices, layer: 0)]
        let after = HookRecorder()
        let edited = try model.forward(batch, plan: plan, observer: after, editor: Swap()).logprob
        let indices = HookPoint(.expertIndices, layer: 0)
        let weights = HookPoint(.expertWeights, layer: 0)
        #expect(after.indices(indices) == before.indices(indices)?.map { ($0 + 1) % 8 })
        #expect(after.floats(weights) == before.floats(weights))
        #expect(zip(plain, edited).contains { abs($0 - $1) > 1e-3 })
    }

    @Test func expertsThatDoNotExistStopThePass() throws {
        final class Bad: HookEditor {
            func edit(_ point: HookPoint, _ value: borrowing EditableHookValue) throws {
                value.withMutableIndices { $0[0] = 99 }
            }
        }
        var plan = HookPlan()
        plan.edited = [HookPoint(.expertIndices, layer: 1)]
        #expect(throws: HookError.expertOutOfRange(99, expertCount: 8)) {
            try model.forward(batch, plan: plan, editor: Bad())
        }
    }

    @Test func anObserversErrorArrives() throws {
        struct Stop: Error {}
        final class Thrower: HookObserver {
            func observe(_ point: HookPoint, _ value: borrowing HookValue) throws { throw Stop() }
        }
        let plan = try HookPlan(observing: ["resid_mid"], layers: [1], layerCount: 2)
        #expect(throws: Stop.self) { try model.forward(batch, plan: plan, observer: Thrower()) }
        // The model is whole afterwards.
        #expect(try model.forward(batch).logprob.count == batch.rowCount)
    }

    @Test func requestsAreCheckedBeforeComputing() throws {
        var plan = HookPlan()
        plan.observed = [HookPoint(.residPre, layer: 2)]
        #expect(throws: HookError.layerOutOfRange("blocks.2.resid_pre", layer: 2, layerCount: 2)) {
            try model.forward(batch, plan: plan)
        }
        plan = HookPlan()
        plan.edited = [HookPoint(.attentionSummary, layer: 0)]
        #expect(throws: HookError.notEditable(HookPoint(.attentionSummary, layer: 0))) {
            try model.forward(batch, plan: plan)
        }
        #expect(throws: ModelError.tokenOutOfRange(token: 131, row: 1, vocabularySize: 131)) {
            try model.forward(TokenBatch([[0, 131]]))
        }
        #expect(throws: ModelError.contextExceeded(document: 0, tokens: 5000, contextLength: 4096)) {
            try model.forward(TokenBatch([[Int32](repeating: 3, count: 5000)]))
        }
    }

    @Test func summaryIsThePatternsOwn() throws {
        let seen = HookRecorder()
        let plan = try HookPlan(observing: ["attn.summary", "attn.pattern"], layers: [1], layerCount: 2)
        let document = TokenBatch([Array(batch.tokens[batch.documents[1]])])
        _ = try model.forward(document, plan: plan, observer: seen)
        let pattern = try #require(seen.floats(HookPoint(.pattern, layer: 1)))
        let summary = try #require(seen.floats(HookPoint(.attentionSummary, layer: 1)))
        let t = 40
        for head in 0..<4 {
            for row in 0..<t {
                let p = (0..<t).map { Double(pattern[(head * t + row) * t + $0]) }
                let entropy = p.map { $0 > 0 ? -$0 * log($0) : 0 }.reduce(0, +)
                let distance = p.enumerated().map { $0.element * Double(row - $0.offset) }.reduce(0, +)
                let expected: [Double] = [entropy, p[0], row > 0 ? p[row - 1] : 0, distance, p.max() ?? 0]
                for (statistic, value) in expected.enumerated() {
                    let ours = Double(summary[(statistic * 4 + head) * t + row])
                    #expect(abs(ours - value) < 1e-4)
                }
            }
        }
    }
}
