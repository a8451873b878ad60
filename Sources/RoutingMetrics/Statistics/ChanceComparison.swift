/// What is observed, held against what chance gives where documents are as they are: the same tokens in another order, the same load.
public struct ChanceComparison: Codable, Sendable, Equatable {
    /// What chance gives of what is observed, on average.
    public var expected: Double
    /// Observed over expected.
    public var ratio: Estimate
    /// Two-sided, whether observed and expected differ (`ChanceTest`); nil where there are too few documents to see their variance.
    public var pValue: Double?
    /// For all such tests of the metric together (Holm).
    public var adjustedP: Double?

    private var isFound: Bool { Verdict.isFound(adjustedP) }
    /// Whether more than chance gives was found.
    public var isAbove: Bool { isFound && ratio.value > 1 }
    /// Whether less than chance gives was found.
    public var isBelow: Bool { isFound && ratio.value < 1 }
}

extension Sequence where Element == ChanceComparison {
    /// Of those above chance, the place of the one whose interval ends highest above it. A value that only seems large for want of
    /// data is not chosen.
    package var strongest: Int? {
        enumerated().filter { $0.element.isAbove }
            .max { ($0.element.ratio.lower ?? 0) < ($1.element.ratio.lower ?? 0) }?.offset
    }
}

extension MetricColumn {
    /// The columns of a `ChanceComparison`. A p-value of this kind is about documents, not about groups: its column has another name.
    /// - Parameters:
    ///   - suffix: added to the names, where a table has several.
    ///   - observed: the column held against chance.
    ///   - chance: what chance is.
    ///   - all: what the intervals hold for at once.
    static func chance(
        _ suffix: String = "", of observed: String, _ chance: String, forAll all: String? = nil
    ) -> [MetricColumn] {
        [MetricColumn("chance_document" + suffix, .real, chance)]
            + estimate("ratio" + suffix, "\(observed) over chance_document\(suffix)", forAll: all) + [
                MetricColumn(
                    "p_chance" + suffix, .real,
                    "two-sided, over documents: do \(observed) and chance_document\(suffix) differ?"
                ),
                MetricColumn("p_adjusted" + suffix, .real, "p-value for all such tests of this table together (Holm)"),
            ]
    }
}

extension Optional where Wrapped == ChanceComparison {
    var cells: [MetricCell] {
        [.optional(self?.expected)] + (self?.ratio).cells + [.optional(self?.pValue), .optional(self?.adjustedP)]
    }
}
