import FileFormats
import Foundation
import Tensors
import Traces

extension MetricInput {
    /// Opens every shard in turn, for what the first pass does not count because one metric alone needs it.
    /// - Throws: a shard that cannot be read, as an error of the metric.
    func forEachShard(_ metric: String, _ body: (MappedShard) -> Void) throws(MetricError) {
        do throws(FileError) {
            for index in 0..<trace.shardCount { body(try trace.shard(index)) }
        } catch {
            throw MetricError(metric, error)
        }
        try Self.checkReadable(trace, metric)
    }

    /// Throws if a part of a trace could not be read since it was opened, because a file was cut short or its disk failed: to be
    /// asked before anything that was counted is given out.
    package static func checkReadable(_ trace: Trace, _ metric: String) throws(MetricError) {
        do throws(FileError) { try trace.checkReadable() } catch { throw MetricError(metric, error) }
    }

    /// The counted rows of a document in its shard.
    func rows(_ document: TraceDocument) -> Range<Int> { settings.rows(document) }

    /// Chooses every n-th counted document of each group: evenly spread, with the groups in proportion.
    /// - Returns: for each document of the trace, whether it is chosen.
    func everyNth(_ stride: Int) -> [Bool] {
        var seen = [Int](repeating: 0, count: groups.count)
        return groupOf.indices.map { document in
            guard tokens[document] > 0 else { return false }
            seen[groupOf[document]] += 1
            return (seen[groupOf[document]] - 1) % stride == 0
        }
    }

    /// Runs a piece of work per layer on all threads, and gives the results in order.
    /// - Parameter body: gets the layer's place, the layer, and settings for what it computes: where there is a layer for every thread, one
    ///   thread works on each.
    func perLayer<Result>(_ body: @Sendable (Int, LayerCounts, MetricSettings) -> Result) -> [Result] {
        var results = [Result?](repeating: nil, count: layers.count)
        let threads = settings.threads ?? ProcessInfo.processInfo.activeProcessorCount
        var inside = settings
        if layers.count >= threads { inside.threads = 1 }
        let own = inside
        results.withUnsafeMutableBufferPointer { buffer in
            nonisolated(unsafe) let places = buffer
            Parallel.forEach(layers.count, threads: settings.threads) { places[$0] = body($0, layers[$0], own) }
        }
        return results.compactMap(\.self)
    }
}
