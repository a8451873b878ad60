import Traces

/// What a trace may lack: a run of this program records all of it, an imported record may not.
enum RecordedPart {
    case tokens
    case weights
    /// Which of a token's experts has the largest weight.
    case order

    func isRecorded(_ layout: TraceLayout) -> Bool {
        switch self {
        case .tokens: layout.hasTokens
        case .weights: layout.hasWeights
        case .order: layout.hasChoiceOrder
        }
    }

    var words: String {
        switch self {
        case .tokens: "token ids"
        case .weights: "the experts' weights"
        case .order: "the order of a token's experts"
        }
    }
}

extension MetricInput {
    /// - Throws: the first part that the metric needs and the trace does not have.
    func need(_ parts: RecordedPart..., for metric: String) throws(MetricError) {
        try Self.need(parts, of: trace, for: metric)
    }

    static func need(_ parts: [RecordedPart], of trace: Trace, for metric: String) throws(MetricError) {
        for part in parts where !part.isRecorded(trace.layout) {
            throw MetricError(
                metric, "this metric needs \(part.words), which the trace \(trace.url.path) does not have",
                hint: trace.manifest.provenance?.format.map { "the record was imported from \($0)" })
        }
    }
}
