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
    public init(folder: URL) throws(ExperimentError) {
        let plan: Plan = try Self.decode(folder.appending(path: "plan.json"))
        let resultFile = folder.appending(path: "result.json")
        guard FileManager.default.fileExists(atPath: resultFile.path) else {
            throw ExperimentError(
                file: resultFile.path, reason: "is not there: the experiment is not finished; continue it with --resume"
            )
        }
        model = plan.model
        self.plan = plan.plan
        result = try Self.decode(resultFile)
    }

    private static func decode<Value: Decodable>(_ file: URL) throws(ExperimentError) -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(contentsOf: file))
        } catch let error as DecodingError {
            throw ExperimentError(file: file.path, reason: ExperimentPlan.describe(error))
        } catch {
            throw ExperimentError(file: file.path, reason: "cannot be read: \(TraceFolder.reason(error))")
        }
    }
}
