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

    var cells: [MetricCell] { [.real(value), .optional(lower), .optional(upper)] }
}

extension Optional where Wrapped == Estimate {
    var cells: [MetricCell] { self?.cells ?? [.missing, .missing, .missing] }
}
