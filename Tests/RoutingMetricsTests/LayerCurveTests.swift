import RoutingMetrics
import Testing

/// What may be said about a curve over the layers, on made-up curves: values, and half the width of every interval.
@Suite struct LayerCurveTests {
    private func curve(_ values: [Double], _ half: Double, from first: Int = 0) -> LayerCurve {
        LayerCurve(
            values.enumerated().map { (first + $0, Estimate($1, lower: $1 - half, upper: $1 + half)) })
    }

    @Test func aU() {
        #expect(curve([0.6, 0.4, 0.2, 0.3, 0.5], 0.02) == .u(minimum: 2))
        // Layers are called by the model's numbers, not by their place.
        #expect(curve([0.6, 0.2, 0.5], 0.02, from: 3) == .u(minimum: 4))
    }

    @Test func noU() {
        // The built-in model's divergence of parallel texts: rises steeply after its minimum, then falls again.
        #expect(curve([0.329, 0.250, 0.493, 0.454, 0.438, 0.433], 0.01) == .notU)
        // An inverted U.
        #expect(curve([0.2, 0.4, 0.6, 0.4, 0.2], 0.02) == .notU)
        // A bump on the way down.
        #expect(curve([0.6, 0.3, 0.5, 0.2, 0.6], 0.02) == .notU)
        // The right end does not rise beyond the intervals.
        #expect(curve([0.6, 0.4, 0.2, 0.21, 0.22], 0.02) == .notU)
        // A small step against the course, every one within the intervals, adds up to more than they allow.
        #expect(curve([0.6, 0.2, 0.8, 0.77, 0.74, 0.71], 0.02) == .notU)
    }

    @Test func flat() {
        #expect(curve([0.31, 0.30, 0.29, 0.30, 0.31], 0.02) == .flat)
        #expect(curve([0.3, 0.3, 0.3], 0) == .flat)
    }

    @Test func monotone() {
        #expect(curve([0.6, 0.5, 0.4, 0.3], 0.02) == .notU)
        #expect(curve([0.3, 0.4, 0.5, 0.6], 0.02) == .notU)
    }

    @Test func oneAndTwoLayersHaveNoInside() {
        #expect(curve([], 0.02) == .tooFewLayers)
        #expect(curve([0.4], 0.02) == .tooFewLayers)
        #expect(curve([0.6, 0.2], 0.02) == .tooFewLayers)
    }

    /// A U whose sides go against their course by less than the intervals is a U; with narrower intervals it is none.
    @Test func noise() {
        let values = [0.60, 0.50, 0.52, 0.30, 0.31, 0.29, 0.33, 0.45, 0.44, 0.55]
        #expect(curve(values, 0.03) == .u(minimum: 5))
        #expect(curve(values, 0.004) == .notU)
        // Intervals as wide as the curve hide it.
        #expect(curve(values, 0.2) == .flat)
    }

    @Test func withoutIntervalsNothingIsSaid() {
        #expect(LayerCurve([0.6, 0.2, 0.5].enumerated().map { ($0, Estimate($1)) }) == .noIntervals)
    }
}
