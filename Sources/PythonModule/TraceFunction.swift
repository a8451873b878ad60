import CPython
import Tracing
import Foundation
import Hooks
import MoEModel
import Traces

/// `_moescope.trace`: a corpus through a model, onto disk.
enum TraceFunction {
    /// What Python says of a trace, as JSON.
    private struct Request: Decodable {
        var router_logits: TraceManifest.Capture.LogitFormat?
        var attention_summary: Bool
        var predicted: Bool
        var speculative: Bool
        var attention_pattern: [[Int]]
        var layers: [Int]?
        var max_tokens: Int?
        var wave_tokens: Int?
        var interventions: [Intervention]
        var resume: Bool

        func options() throws(PythonError) -> TraceOptions {
            var options = TraceOptions()
            options.routerLogits = router_logits
            options.attentionSummary = attention_summary
            options.predicted = predicted
            options.speculative = speculative ? TraceOptions.speculativeDistances : []
            for pair in attention_pattern {
                guard pair.count == 2 else { throw .value("attention_pattern: expected [layer, head], found \(pair)") }
                options.patterns.append((layer: pair[0], head: pair[1]))
            }
            options.layers = layers
            options.maximumTokens = max_tokens
            if let wave_tokens { options.waveTokens = wave_tokens }
            for (name, value) in [("max_tokens", max_tokens), ("wave_tokens", wave_tokens)] {
                if let value, value < 1 { throw .value("\(name): expected at least 1, found \(value)") }
            }
            options.interventions = interventions
            return options
        }
    }

    /// `trace(model, corpus path or None, documents or None, output, request as JSON, progress or None) -> None`
    ///
    /// `progress(documents, all documents, tokens, all tokens)` is called after every wave.
    static func run(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 6...6)
        let loaded = try types.model.payload(of: try arguments[0])
        let corpus = try CorpusArgument(path: try arguments[1], documents: try arguments[2])
        let output = URL(fileURLWithPath: try FromPython.string(try arguments[3], "output"), isDirectory: true)
        let request = try FromPython.json(Request.self, try arguments[4], "options")
        let options = try request.options()
        let progress = moescope_is_none(try arguments[5]) != 0 ? nil : try arguments[5]
        try loaded.pass { interpreter in
            let run = try TraceRun(
                model: loaded.model, tokenizer: loaded.tokenizer,
                corpus: try corpus.read(loaded.loaded, maximumTokens: options.maximumTokens), options: options,
                version: ModuleFunctions.version)
            try run.run(
                into: output, resume: request.resume,
                progress: { state in
                    guard let progress else { return }
                    let counts = [state.documents, state.totalDocuments, state.tokens, state.totalTokens]
                    try interpreter.locked { () throws(PythonError) in try progress.called(with: counts) }
                },
                isCancelled: { interpreter.isInterrupted })
        }
        return ToPython.none()
    }
}
