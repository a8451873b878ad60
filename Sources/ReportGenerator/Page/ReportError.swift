/// Why a report could not be made: what it was about, and what to do.
public enum ReportError: Error, CustomStringConvertible {
    case cannotWrite(path: String, reason: String)
    case template(name: String, reason: String)
    case unknownDocument(String, file: String)
    case figuresNeedPython(reason: String)

    public var description: String {
        switch self {
        case .cannotWrite(let path, let reason): "\(path): cannot be written: \(reason)"
        case .template(let name, let reason): "Reports/Templates/\(name): \(reason)"
        case .unknownDocument(let id, let file): "--documents: no document has the id '\(id)' in \(file)"
        case .figuresNeedPython(let reason):
            "--figures needs vl-convert-python, which the set-up puts into .venv (Scripts/setup demo): \(reason)"
        }
    }
}
