/// Why a model cannot run what it was asked to.
public enum ModelError: Error, Equatable, CustomStringConvertible {
    case tokenOutOfRange(token: Int32, row: Int, vocabularySize: Int)
    case contextExceeded(document: Int, tokens: Int, contextLength: Int)
    case unsupported(String)
    /// Values that are no finite numbers came up; what made them so.
    case notFinite(String)

    public var description: String {
        switch self {
        case .tokenOutOfRange(let token, let row, let size):
            "token \(token) in row \(row): expected 0 to \(size - 1), the model's vocabulary"
        case .contextExceeded(let document, let tokens, let length):
            "document \(document) has \(tokens) tokens; the model's context is \(length). "
                + "Shorten it (--max-tokens) or split it"
        case .unsupported(let what), .notFinite(let what): what
        }
    }
}
