import Checkpoints
import Tracing
import FileFormats
import Foundation
import MoEModel
import TestSupport
import Testing
import Traces

/// Waves that are put on disk while the next one computes.
@Suite struct TraceRunTests {
    let run: TraceRun
    let folder = FileManager.default.temporaryDirectory.appending(path: "trace-run-\(UUID().uuidString)")

    init() throws {
        let model = try Model(
            try Checkpoint.open(Fixtures.folder.appending(path: "parity/grouped")), precision: .exact, threads: 1)
        let documents = (0..<6).map { index in
            Corpus.Document(id: "\(index)", group: "", content: .tokens([1, 2, Int32(index)]))
        }
        var options = TraceOptions()
        options.waveTokens = 3
        run = try TraceRun(
            model: model, tokenizer: nil, corpus: Corpus(source: "test", documents: documents), options: options,
            version: "0")
    }

    private struct Enough: Error {}

    @Test func aStoppedRunHasEveryWaveItCounted() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        #expect(throws: Enough.self) {
            try run.run(into: folder) { if $0.documents == 4 { throw Enough() } }
        }
        #expect(try Trace(folder: folder).manifest.documents == 4)
        var counted: [Int] = []
        try run.run(into: folder, resume: true) { counted.append($0.documents) }
        #expect(counted == [4, 5, 6])
        let manifest = try Trace(folder: folder).manifest
        #expect(manifest.status == .complete && manifest.shards.map(\.tokens) == [3, 3, 3, 3, 3, 3])
    }

    @Test func aWaveThatCannotBeWrittenStopsTheRun() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var waves = 0
        #expect(throws: FileError.self) {
            try run.run(into: folder) { state in
                // Before the first wave, when nothing is being written.
                if state.documents == 0 { try FileManager.default.removeItem(at: folder.appending(path: "shards")) }
                waves = state.documents
            }
        }
        // The first wave cannot be written while the second computes, and there is no third.
        #expect(waves == 1)
    }
}
