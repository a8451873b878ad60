/// What a metric is, in words: `moescope metrics --list`, and the notes under a figure.
public struct MetricDefinition: Codable, Sendable, Equatable {
    /// As commands, files and Python call it: "domain-share".
    public var name: String
    public var title: String
    public var formula: String
    /// Where the definition comes from.
    public var source: String

    public init(name: String, title: String, formula: String, source: String) {
        self.name = name
        self.title = title
        self.formula = formula
        self.source = source
    }
}

/// The computed values of one metric: typed for Swift, `Codable` for JSON, tables for everything else.
public protocol MetricValues: Codable, Sendable {
    static var definition: MetricDefinition { get }
    var sample: MetricSample { get }
    /// One or more; the first has the metric's name.
    var tables: [MetricTable] { get }
}

/// A metric of one trace.
public protocol MetricResult: MetricValues {
    /// Computes it from counts; the same input gives the same bits, whatever the number of threads.
    /// - Throws: what the metric needs and the trace does not have, and how to trace it.
    static func compute(_ input: MetricInput) throws(MetricError) -> Self
}
