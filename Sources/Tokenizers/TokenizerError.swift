/// Why a tokenizer cannot be read: which file, which part of it, what was expected and found. One line.
public struct TokenizerError: Error, Sendable, Equatable, CustomStringConvertible {
    public var file: String
    /// The field or piece, where there is one.
    public var subject: String?
    public var problem: String
    public var hint: String?

    public init(file: String, subject: String? = nil, problem: String, hint: String? = nil) {
        self.file = file
        self.subject = subject
        self.problem = problem
        self.hint = hint
    }

    public var description: String {
        let text = "\([file, subject].compactMap { $0 }.joined(separator: ": ")): \(problem)"
        return (hint.map { "\(text) (\($0))" } ?? text).replacing("\n", with: " ")
    }
}
