import Tracing
import Foundation
import MoEModel

extension BenchCommand {
    /// Prefill with one value of `--capture`.
    struct Captured: Encodable {
        let capture: String
        let speed: Speed
        /// Median over the runs of the time beside that of the first `--capture` in the same round, less 1.
        let added_time: Double
    }

    /// The same wave with every `--capture` in turn, round after round, so that what slows the machine slows all alike.
    func measurePrefill(_ engine: Model, _ peaks: MachinePeaks) throws -> [Captured] {
        var tokens = RandomTokens(vocabularySize: engine.config.vocabularySize)
        let batch = TokenBatch((0..<documents).map { _ in tokens.next(prefill) })
        let folder = FileManager.default.temporaryDirectory.appending(path: "moescope-bench-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let passes = try capture.enumerated().map { index, list in
            try pass(list, engine, batch, folder: folder.appending(path: "\(index)"))
        }
        var times = [[Double]](repeating: [], count: passes.count)
        for run in runs {
            for (index, pass) in passes.enumerated() {
                let time = try seconds(pass)
                if run > 0 { times[index].append(time) }
            }
        }

        let skipped = logprobs ? 0 : engine.checkpoint.tensors.output.count
        let operations = Double(2 * (engine.matrixParametersActive - skipped) * batch.rowCount)
        return times.enumerated().map { index, ofCapture in
            let ratios = zip(ofCapture, times[0]).map { $0 / $1 }.sorted()
            return Captured(
                capture: capture[index],
                speed: speed(
                    ofCapture, tokens: batch.rowCount, operations: operations,
                    weightBytes: Double(engine.checkpoint.weightBytes), of: engine, peaks),
                added_time: ratios[ratios.count / 2] - 1)
        }
    }

    /// One run: "none" is the forward pass without any hook, where a trace would keep the chosen experts.
    private func pass(
        _ list: String, _ engine: Model, _ batch: TokenBatch, folder: URL
    ) throws -> () throws -> Void {
        if list == "none" { return { _ = try engine.forward(batch, logprobs: logprobs) } }
        let recording = try BenchRecording(engine, TraceOptions(capture: list, config: engine.config), batch: batch)
        let writer = record ? try recording.writer(in: folder) : nil
        return { try recording.run(engine, logprobs: logprobs, writer: writer) }
    }
}
