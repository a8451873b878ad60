import FileFormats
import Checkpoints
import Experiments
import Tracing
import Hooks
import MoEModel
import ReportGenerator
import RoutingMetrics
import Tokenizers
import Traces

extension PythonError {
    /// The exception a Python user expects for an error of the engine: a missing file is FileNotFoundError, a wrong
    /// argument ValueError, a damaged file its own kind.
    init(_ error: any Error) {
        switch error {
        case let error as PythonError: self = error
        // Stopped by Ctrl-C or a callback: the Python exception is set already.
        case is CancellationError: self = .raised
        case let error as HookError: self = .value(error.description)
        case let error as ModelError: self = .value(error.description)
        case let error as FileError:
            self =
                switch (error.reason, error.area) {
                case (.missing, _): .fileNotFound(error.description)
                case (_, .model): .checkpoint(error.description)
                case (_, .trace): .trace(error.description)
                }
        case let error as TokenizerError: self = .tokenizer(error.description)
        case let error as CorpusError: self = .value(error.description)
        case let error as ExperimentError: self = .value(error.description)
        case let error as MetricError: self = error.damage.map { PythonError($0) } ?? .value(error.description)
        case let error as ReportError: self = .os(error.description)
        default: self = .runtime("\(error)")
        }
    }
}

/// Runs what throws errors of the engine where only Python's are expected.
func translating<R>(_ body: () throws -> R) throws(PythonError) -> R {
    do {
        return try body()
    } catch {
        throw PythonError(error)
    }
}
