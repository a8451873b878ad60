/// Why a file cannot be read or written: which file, which field or tensor of it, what was expected and found, and what
/// to do. Every reader and writer of this program throws this one type; its description is one line.
public struct FileError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Reason: String, Sendable {
        /// The operating system refused to open, read or map it.
        case unreadable
        /// The operating system refused to create, write or rename it.
        case unwritable
        /// The file ends before what it announces.
        case truncated
        /// The file does not have the format it should have.
        case malformed
        /// A file, field or tensor that must be there is not.
        case missing
        /// A shape, type or value differs from what another part of the same model or trace says.
        case mismatch
        /// The file is well formed, but holds something that this program does not know.
        case unsupported
    }

    /// Which kind of thing the file belongs to. Python raises a different exception for each.
    public enum Area: Sendable {
        case model
        case trace
    }

    public var reason: Reason
    public var area: Area
    /// Path of the file or folder.
    public var file: String
    /// The field, line or tensor: "field num_local_experts", "line 12", "tensor model.norm.weight".
    public var field: String?
    /// What is wrong, where expected and found do not say it already.
    public var problem: String?
    public var expected: String?
    public var found: String?
    /// What to do about it.
    public var hint: String?

    public init(
        _ reason: Reason, area: Area = .model, file: String, field: String? = nil, problem: String? = nil,
        expected: String? = nil, found: String? = nil, hint: String? = nil
    ) {
        self.reason = reason
        self.area = area
        self.file = file
        self.field = field
        self.problem = problem
        self.expected = expected
        self.found = found
        self.hint = hint
    }

    /// An error about a file of a trace.
    public static func trace(
        _ reason: Reason, file: String, field: String? = nil, problem: String? = nil, expected: String? = nil,
        found: String? = nil, hint: String? = nil
    ) -> FileError {
        FileError(
            reason, area: .trace, file: file, field: field, problem: problem, expected: expected, found: found,
            hint: hint)
    }

    /// The same error, said of a file of a trace.
    public static func trace(_ error: FileError) -> FileError {
        var error = error
        error.area = .trace
        return error
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
