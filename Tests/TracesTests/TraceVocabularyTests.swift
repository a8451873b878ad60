import Foundation
import FileFormats
import Testing
import Traces

@Suite struct TraceVocabularyTests {
    /// A corpus of token ids has no tokenizer; its vocabulary is written as the model's tokenizer writes it all the same.
    @Test func vocabularySaysHowItsPiecesAreWritten() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "moescope-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let run = SmallRun()
        let writer = try TraceWriter(creating: folder, manifest: run.manifest)
        try writer.writeVocabulary(TraceVocabulary(pieces: ["Ġder", nil], kind: .byteLevelBPE))
        for number in 0..<3 { try writer.append(run.shard(number)) }
        try writer.finish()
        let trace = try Trace(folder: folder)
        #expect(trace.manifest.tokenizer.kind == "none")
        #expect(try trace.tokenText()?.alone(0) == "␣der")
        // Older vocabularies do not say it: then the manifest's tokenizer counts.
        try TraceFiles.forgetHashes(folder)
        try Data(#"{"format":"moescope-vocabulary","pieces":["▁der"]}"#.utf8).write(
            to: folder.appending(path: "vocabulary.json"))
        #expect(try Trace(folder: folder).tokenText()?.alone(0) == "␣der")
    }
}
