import ArgumentParser
import Foundation
import ReportGenerator
import Traces

extension TraceCopy {
    /// Writes the trace with a line of progress; Ctrl-C leaves nothing.
    func writeShowingProgress(to output: String, label: String) throws {
        let line = ProgressLine(label, unit: "documents")
        let before = InterruptFlag.install()
        defer { InterruptFlag.restore(before) }
        do {
            try write(
                to: URL(filePath: output), progress: { line.update($0, of: documents) },
                isCancelled: { InterruptFlag.isSet })
        } catch is CancellationError {
            line.finish()
            say("stopped; nothing is left of \(output)")
            throw ExitCode(InterruptFlag.exitCode)
        }
        line.finish()
        say(
            "\(output): complete, \(Prose.plural(documents, "document")), "
                + "\(Prose.plural(manifest.corpus.tokens, "token"))")
    }
}
