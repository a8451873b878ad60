/// What may be said about the course of a quantity over the layers.
///
/// The rule uses intervals, not single values: a layer lies *above* another where its interval is entirely above the other's.
public enum LayerCurve: Sendable, Equatable {
    /// Falls to a minimum inside and rises after it: the lowest layer is neither the first nor the last; the first and the last
    /// lie above it; before it no layer lies above an earlier one, and after it no layer lies below an earlier one.
    case u(minimum: Int)
    /// No layer lies above another.
    case flat
    /// Layers differ, and not as a U.
    case notU
    /// Fewer than three layers have no inside.
    case tooFewLayers
    /// A layer has no interval, so nothing can be said.
    case noIntervals

    /// - Parameter layers: the model's layer numbers, rising, each with its value and interval.
    public init(_ layers: [(layer: Int, estimate: Estimate)]) {
        guard layers.count > 2 else {
            self = .tooFewLayers
            return
        }
        var bounds: [(lower: Double, upper: Double)] = []
        for point in layers {
            guard let lower = point.estimate.lower, let upper = point.estimate.upper else {
                self = .noIntervals
                return
            }
            bounds.append((lower, upper))
        }
        func isAbove(_ a: Int, _ b: Int) -> Bool { bounds[a].lower > bounds[b].upper }
        let all = layers.indices
        guard all.contains(where: { a in all.contains { isAbove(a, $0) } }) else {
            self = .flat
            return
        }
        let last = layers.count - 1
        let lowest = all.min { layers[$0].estimate.value < layers[$1].estimate.value } ?? 0
        let isInside = lowest > 0 && lowest < last
        let falls = !(0...lowest).contains { later in (0..<later).contains { isAbove(later, $0) } }
        let rises = !(lowest...last).contains { later in (lowest..<later).contains { isAbove($0, later) } }
        let isU = isInside && isAbove(0, lowest) && isAbove(last, lowest) && falls && rises
        self = isU ? .u(minimum: layers[lowest].layer) : .notU
    }
}
