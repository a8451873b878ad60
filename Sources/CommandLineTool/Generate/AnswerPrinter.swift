import Foundation

/// Writes text to standard output as it comes, coloured by expert on a terminal.
final class AnswerPrinter {
    private let isSilent: Bool
    private let colors: Bool
    private var shown: Set<Int> = []

    /// - Parameter isSilent: for machines: nothing is written.
    init(isSilent: Bool) {
        self.isSilent = isSilent
        colors = isatty(STDOUT_FILENO) != 0 && ProcessInfo.processInfo.environment["NO_COLOR"] == nil
    }

    /// - Throws: `StandardOutputError`, as `finish`.
    func show(_ text: String, expert: Int?) throws(StandardOutputError) {
        guard !isSilent else { return }
        guard let expert, colors else { return try write(text) }
        shown.insert(expert)
        try print(Self.colored(StandardStreams.visible(text), expert), terminator: "", isStyled: true)
    }

    /// Ends the line, and says which colour is which expert.
    func finish(layer: Int?) throws(StandardOutputError) {
        guard !isSilent else { return }
        try write("\n")
        guard let layer, !shown.isEmpty else { return }
        let names = shown.sorted().map { Self.colored("■ \($0)", $0) }
        try print("layer \(layer), first expert: \(names.joined(separator: "  "))", isStyled: true)
        shown = []
    }

    private static func colored(_ text: String, _ expert: Int) -> String {
        let palette = [203, 75, 114, 221, 141, 215, 80, 211, 156, 99, 178, 38, 168, 70, 250, 130]
        return "\u{1B}[38;5;\(palette[expert % palette.count])m\(text)\u{1B}[0m"
    }

    private func write(_ text: String) throws(StandardOutputError) { try print(text, terminator: "") }
}
