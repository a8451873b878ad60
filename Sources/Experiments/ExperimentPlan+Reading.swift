import Foundation
import Hooks
import RoutingMetrics
import Traces

extension ExperimentPlan {
    /// Reads a plan file.
    /// - Throws: `ExperimentError` naming file and field.
    public static func read(_ url: URL) throws(ExperimentError) -> ExperimentPlan {
        let plan: ExperimentPlan
        do {
            plan = try JSONDecoder().decode(ExperimentPlan.self, from: Data(contentsOf: url))
        } catch let error as DecodingError {
            throw ExperimentError(file: url.path, reason: describe(error))
        } catch {
            throw ExperimentError(file: url.path, reason: "cannot be read: \(TraceFolder.reason(error))")
        }
        guard Set(plan.arms.map(\.name)).count == plan.arms.count else {
            throw ExperimentError(file: url.path, reason: "field arms: two arms have one name")
        }
        for arm in plan.arms {
            guard !arm.name.isEmpty, arm.name != ExperimentRun.baseline else {
                throw ExperimentError(
                    file: url.path, reason: "field arms: a name is expected, other than \"\(ExperimentRun.baseline)\"")
            }
        }
        if let split = plan.split,
            let twice = Dictionary(grouping: split.choosing + split.scored, by: \.self)
                .first(where: { $0.value.count > 1 || $0.key < 0 })
        {
            throw ExperimentError(
                file: url.path, reason: "field split: document \(twice.key) is negative, or there more than once")
        }
        return plan
    }

    static func describe(_ error: DecodingError) -> String {
        func path(_ context: DecodingError.Context) -> String {
            context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
        }
        return switch error {
        case .keyNotFound(let key, let context): "field \(path(context)) has no \"\(key.stringValue)\""
        case .typeMismatch(let type, let context): "field \(path(context)): expected \(type)"
        case .valueNotFound(let type, let context): "field \(path(context)): expected \(type), found null"
        case .dataCorrupted(let context):
            context.codingPath.isEmpty ? "not valid JSON" : "field \(path(context)): \(context.debugDescription)"
        @unknown default: "\(error)"
        }
    }
}

/// Why an experiment cannot start or go on. Its description is one line.
public struct ExperimentError: Error, Sendable, Equatable, CustomStringConvertible {
    public var file: String
    public var reason: String

    public init(file: String, reason: String) {
        self.file = file
        self.reason = reason
    }

    public var description: String { file.isEmpty ? reason : "\(file): \(reason)" }
}
