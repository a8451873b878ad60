import Traces

extension MetricInput {
    /// Opens every shard in turn.
    /// - Throws: a shard that cannot be read, as an error of the metric.
    func forEachShard(_ metric: String, _ body: (MappedShard) -> Void) throws(MetricError) {
        do throws(TraceError) {
            for index in 0..<trace.shardCount { body(try trace.shard(index)) }
        } catch {
            throw MetricError(metric, error.description)
        }
    }

    /// The counted rows of a document in its shard.
    func rows(_ document: TraceDocument) -> Range<Int> { settings.rows(document) }

    /// Runs a piece of work per layer on all threads, and gives the results in order.
    func perLayer<Result>(_ body: @Sendable (LayerCounts) -> Result) -> [Result] {
        var results = [Result?](repeating: nil, count: layers.count)
        results.withUnsafeMutableBufferPointer { buffer in
            nonisolated(unsafe) let places = buffer
            Parallel.forEach(layers.count, threads: settings.threads) { places[$0] = body(layers[$0]) }
        }
        return results.compactMap(\.self)
    }
}
