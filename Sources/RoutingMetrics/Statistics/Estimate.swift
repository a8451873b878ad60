/// A number with its interval.
public struct Estimate: Codable, Sendable, Equatable {
    /// The value that the documents as they are give.
    public var value: Double
    /// Bounds of the interval at the settings' level; nil where there are too few documents for one.
    public var lower: Double?
    public var upper: Double?

    public init(_ value: Double, lower: Double? = nil, upper: Double? = nil) {
        self.value = value
        self.lower = lower
        self.upper = upper
    }

    /// Value and bounds cut at what the quantity can be.
    func cut(to range: ClosedRange<Double>) -> Estimate {
        func cut(_ number: Double) -> Double {
            number.isNaN ? number : min(max(number, range.lowerBound), range.upperBound)
        }
        return Estimate(cut(value), lower: lower.map(cut), upper: upper.map(cut))
    }

    /// A share's interval, at least as wide as that of independent tokens (Wilson 1927): where a rare thing happened in no document, or in
    /// one, resampled documents tell nothing of how rare it is.
    package func widened(toTokens count: Int, level: Double) -> Estimate {
        guard let lower, let upper, count > 0 else { return self }
        let z = normalQuantile((1 + level) / 2)
        let n = Double(count)
        let center = (value + z * z / (2 * n)) / (1 + z * z / n)
        let reach = z / (1 + z * z / n) * (value * (1 - value) / n + z * z / (4 * n * n)).squareRoot()
        return Estimate(value, lower: min(lower, max(0, center - reach)), upper: max(upper, min(1, center + reach)))
    }

    var cells: [MetricCell] { [.real(value), .optional(lower), .optional(upper)] }
}

extension Optional where Wrapped == Estimate {
    var cells: [MetricCell] { self?.cells ?? [.missing, .missing, .missing] }
}
