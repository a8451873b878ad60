import FileFormats
import Foundation

/// Several metrics of one trace as one JSON object: the sample, then each metric's definition and values by its name.
public struct MetricReport: Encodable {
    public var sample: MetricSample
    public var results: [any MetricValues]

    public init(sample: MetricSample, results: [any MetricValues]) {
        self.sample = sample
        self.results = results
    }

    /// Sorted keys, two spaces; a number that is not finite is null in tables and never occurs elsewhere.
    public func json() throws -> String { try prettyJSON() }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(sample, forKey: Key(stringValue: "sample"))
        var metrics = container.nestedContainer(keyedBy: Key.self, forKey: Key(stringValue: "metrics"))
        for result in results {
            let definition = type(of: result).definition
            var metric = metrics.nestedContainer(keyedBy: Key.self, forKey: Key(stringValue: definition.name))
            try metric.encode(definition, forKey: Key(stringValue: "definition"))
            try metric.encode(result.tables, forKey: Key(stringValue: "tables"))
        }
    }
}
