import Checkpoints

/// Why a trace cannot be written, continued or read: which file, which field of it, what was expected and found, and
/// what to do. Its description is one line.
public struct TraceError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Reason: String, Sendable {
        /// No trace is there, or a file that it lists is gone.
        case missing
        /// The operating system refused to read it.
        case unreadable
        /// The operating system refused to create, write or rename it.
        case unwritable
        /// A file ends before what it announces.
        case truncated
        /// Not the format it should be.
        case malformed
        /// Two parts of the trace, or a trace and what should continue it, disagree.
        case mismatch
        /// Well formed, but nothing this program knows.
        case unsupported
    }

    public var reason: Reason
    /// Path of the file or folder.
    public var file: String
    /// The field, line or tensor: "field version", "line 12", "tensor router_logits".
    public var field: String?
    public var problem: String?
    public var expected: String?
    public var found: String?
    /// What to do about it.
    public var hint: String?

    public init(
        _ reason: Reason, file: String, field: String? = nil, problem: String? = nil, expected: String? = nil,
        found: String? = nil, hint: String? = nil
    ) {
        self.reason = reason
        self.file = file
        self.field = field
        self.problem = problem
        self.expected = expected
        self.found = found
        self.hint = hint
    }

    /// An error of the safetensors layer, as one of a trace.
    init(_ error: CheckpointError) {
        let reason: Reason =
            switch error.reason {
            case .unreadable: .unreadable
            case .unwritable: .unwritable
            case .truncated: .truncated
            case .malformed: .malformed
            case .missing: .missing
            case .mismatch: .mismatch
            case .unsupported: .unsupported
            }
        self.init(
            reason, file: error.file, field: error.subject, problem: error.problem, expected: error.expected,
            found: error.found, hint: error.hint)
    }

    public var description: String {
        var parts: [String] = []
        if let problem { parts.append(problem) }
        switch (expected, found) {
        case (let expected?, let found?): parts.append("expected \(expected), found \(found)")
        case (let expected?, nil): parts.append("expected \(expected)")
        case (nil, let found?): parts.append("found \(found)")
        case (nil, nil): break
        }
        if parts.isEmpty { parts.append(reason.rawValue) }
        let place = [file, field].compactMap { $0 }.joined(separator: ": ")
        let text = "\(place): \(parts.joined(separator: "; "))"
        return (hint.map { "\(text) (\($0))" } ?? text).replacing("\n", with: " ")
    }
}
