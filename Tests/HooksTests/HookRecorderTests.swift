import Hooks
import Testing

@Suite struct HookRecorderTests {
    private func show(
        _ recorder: HookRecorder, _ site: HookSite, _ values: [Float], _ shape: [Int], document: Int? = nil
    ) {
        var values = values
        values.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            recorder.observe(
                HookPoint(site, layer: 0),
                HookValue(dtype: .f32, shape: shape, memory: base, document: document, heads: document.map { _ in [0] })
            )
        }
    }

    /// A session shows rows step by step: they become one value, whatever memory they came from.
    @Test func rowsOfStepsAreAppended() {
        let recorder = HookRecorder()
        show(recorder, .residMid, [1, 2, 3, 4], [2, 2])
        for step in 0..<5 { show(recorder, .residMid, [Float(step), -1], [1, 2]) }
        let point = HookPoint(.residMid, layer: 0)
        #expect(recorder.floats(point) == [1, 2, 3, 4, 0, -1, 1, -1, 2, -1, 3, -1, 4, -1])
        #expect(recorder.shape(point) == [7, 2] && recorder.values[point]?.count == 1)
        #expect(recorder.order.count == 6)
    }

    /// Patterns are one value per document, and a summary's rows are its last dimension.
    @Test func otherValuesStayApart() {
        let recorder = HookRecorder()
        show(recorder, .pattern, [1], [1, 1, 1], document: 0)
        show(recorder, .pattern, [1, 0, 0.5, 0.5], [1, 2, 2], document: 1)
        let pattern = recorder.values[HookPoint(.pattern, layer: 0)]
        #expect(pattern?.map(\.document) == [0, 1] && pattern?.map(\.shape) == [[1, 1, 1], [1, 2, 2]])
        #expect(recorder.floats(HookPoint(.pattern, layer: 0)) == [1, 1, 0, 0.5, 0.5])
        show(recorder, .attentionSummary, [1, 2], [2, 1, 1])
        show(recorder, .attentionSummary, [3, 4], [2, 1, 1])
        #expect(recorder.values[HookPoint(.attentionSummary, layer: 0)]?.map(\.floats) == [[1, 2], [3, 4]])
        #expect(recorder.floats(HookPoint(.residPre, layer: 0)) == nil)
    }
}
