/// Why a checkpoint cannot be read or written: which file, which field or tensor of it, what was expected and found,
/// and what to do. Its description is one line.
public struct CheckpointError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Reason: String, Sendable {
        /// The operating system refused to open, read or map it.
        case unreadable
        /// The operating system refused to create, write or rename it.
        case unwritable
        /// The file ends before what it announces.
        case truncated
        /// Not the format it should be.
        case malformed
        /// A file, field or tensor that must be there is not.
        case missing
        /// A shape, type or value differs from what the rest of the checkpoint says.
        case mismatch
        /// Well formed, but nothing this program knows.
        case unsupported
    }

    public var reason: Reason
    /// Path of the file or folder.
    public var file: String
    /// The field or tensor: "field num_local_experts", "tensor model.norm.weight".
    public var subject: String?
    /// What is wrong, where expected and found do not say it already.
    public var problem: String?
    public var expected: String?
    public var found: String?
    /// What to do about it.
    public var hint: String?

    public init(
        _ reason: Reason, file: String, subject: String? = nil, problem: String? = nil, expected: String? = nil,
        found: String? = nil, hint: String? = nil
    ) {
        self.reason = reason
        self.file = file
        self.subject = subject
        self.problem = problem
        self.expected = expected
        self.found = found
        self.hint = hint
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
        let place = [file, subject].compactMap { $0 }.joined(separator: ": ")
        let text = "\(place): \(parts.joined(separator: "; "))"
        return (hint.map { "\(text) (\($0))" } ?? text).replacing("\n", with: " ")
    }
}
