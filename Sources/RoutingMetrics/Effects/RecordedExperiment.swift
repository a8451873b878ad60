import FileFormats
import Foundation
import Traces

/// A finished experiment, read back from its folder.
public struct RecordedExperiment: Sendable {
    /// SHA-256 of the model's weights, in hexadecimal.
    public let model: String
    public let plan: ExperimentPlan
    public let result: ExperimentResult

    /// What `plan.json` says beside the plan.
    private struct Plan: Decodable {
        var model: String
        var plan: ExperimentPlan
    }

    /// Whether a folder holds an experiment, finished or not, rather than a trace.
    public static func isThere(_ folder: URL) -> Bool {
        FileManager.default.fileExists(atPath: folder.appending(path: "plan.json").path)
    }

    /// - Throws: an error that names the file which is missing or cannot be understood.
    public init(folder: URL) throws(FileError) {
        let plan: Plan = try Self.decode(folder.appending(path: "plan.json"))
        let resultFile = folder.appending(path: "result.json")
        guard FileManager.default.fileExists(atPath: resultFile.path) else {
            throw FileError(
                .missing, area: .trace, file: resultFile.path, problem: "is not there: the experiment is not finished",
                hint: "continue it with --resume")
        }
        model = plan.model
        self.plan = plan.plan
        result = try Self.decode(resultFile)
    }

    /// An experiment that stands beside a trace of the same model.
    /// - Throws: as `init(folder:)`, and an experiment of another model.
    public init(folder: URL, beside trace: Trace) throws(FileError) {
        try self.init(folder: folder)
        guard model == trace.manifest.model.sha256 else {
            throw FileError(
                .mismatch, area: .trace, file: folder.appending(path: "plan.json").path, field: "field model",
                expected: "the trace's model \(trace.manifest.model.sha256)", found: model)
        }
    }

    private static func decode<Value: Decodable>(_ file: URL) throws(FileError) -> Value {
        let data: Data
        do throws(FileError) { data = try FileContents.read(file) } catch { throw FileError.trace(error) }
        return try TraceCoding.decode(Value.self, from: data, file: file.path)
    }
}
