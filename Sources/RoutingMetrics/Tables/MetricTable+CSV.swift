import Foundation

/// The one writer of CSV: the page's tables, `metrics --csv`, `compare --csv`, the tables of an experiment, and Python's
/// `Table.to_csv` all come from here.
///
/// RFC 4180 text in UTF-8: a header line, then a line per row, quotes where a cell needs them. Numbers are in their shortest
/// form that reads back to the same value; a missing value is an empty field, and an empty text is `""`. Text (column names
/// included) that a spreadsheet would take for a formula, or that begins with an apostrophe, gets an apostrophe in front: a
/// spreadsheet then shows text, and a program gets the data back by dropping one leading apostrophe. Identifiers (token ids,
/// layers, experts, document numbers) are numbers and never touched.
extension MetricTable {
    /// What ends a line.
    public enum LineEnd: String, Sendable {
        /// CR LF, as RFC 4180 has it: for files.
        case file = "\r\n"
        /// LF: for standard output, where other programs read lines.
        case stream = "\n"
    }

    /// The table as a file.
    public func csvFile() -> Data { Data(csvText(.file).utf8) }

    /// The table for standard output, lines ended by LF.
    public var csv: String { csvText(.stream) }

    /// - Parameter spellsNonFinite: whether a number that is not finite is written as `nan`, `inf` or `-inf`. In a metric's
    ///   table such a number is a missing value; in a caller's own table it is data.
    public func csvText(_ lineEnd: LineEnd, spellsNonFinite: Bool = false) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity((rows.count + 1) * columns.count * 8)
        func line(_ cells: some Sequence<MetricCell>) {
            for (index, cell) in cells.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                switch cell {
                case .text(let text): Self.append(text: Self.spreadsheetSafe(text), to: &bytes)
                case .integer(let number): bytes.append(contentsOf: String(number).utf8)
                case .real(let number) where number.isFinite || spellsNonFinite:
                    bytes.append(contentsOf: "\(number)".utf8)
                case .real, .missing: break
                }
            }
            bytes.append(contentsOf: lineEnd.rawValue.utf8)
        }
        line(columns.map { .text($0.name) })
        for row in rows { line(row) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Characters at the start of a cell that make spreadsheets compute it: those of OWASP's list, their full-width forms,
    /// and the apostrophe, which has to survive being dropped.
    private static let unsafeStarts: Set<Unicode.Scalar> = [
        "=", "+", "-", "@", "\t", "\r", "\n", "'", "\u{ff1d}", "\u{ff0b}", "\u{ff0d}", "\u{ff20}",
    ]

    private static func spreadsheetSafe(_ text: String) -> String {
        guard let first = text.unicodeScalars.first, unsafeStarts.contains(first) else { return text }
        return "'" + text
    }

    private static func append(text: String, to bytes: inout [UInt8]) {
        let needsQuotes = text.utf8.contains {
            $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r")
        }
        // An empty text is not a missing value.
        guard needsQuotes || text.isEmpty else {
            bytes.append(contentsOf: text.utf8)
            return
        }
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            if byte == UInt8(ascii: "\"") { bytes.append(byte) }
            bytes.append(byte)
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
