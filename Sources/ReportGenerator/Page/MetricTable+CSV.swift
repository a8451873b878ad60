import Foundation
import RoutingMetrics

extension MetricTable {
    /// RFC 4180 text in UTF-8: a header line, lines that end in CR LF, quotes where a cell needs them.
    ///
    /// Numbers are in their shortest form that reads back to the same value. A text cell that a spreadsheet would take for
    /// a formula (it begins with `=`, `+`, `-`, `@`, a tab or a carriage return), or that begins with an apostrophe, gets
    /// an apostrophe in front: a spreadsheet then shows text, and a program gets the data back by dropping one leading
    /// apostrophe. Identifiers (token ids, layers, experts, document numbers) are numbers and never touched.
    public func csvFile() -> Data {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(rows.count * columns.count * 8)
        for (index, column) in columns.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            Self.append(cell: column.name, to: &bytes)
        }
        bytes.append(contentsOf: "\r\n".utf8)
        for row in rows {
            for (index, value) in row.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                switch value {
                case .text(let text): Self.append(cell: Self.spreadsheetSafe(text), to: &bytes)
                case .integer(let number): bytes.append(contentsOf: String(number).utf8)
                case .real(let number) where number.isFinite: bytes.append(contentsOf: "\(number)".utf8)
                case .real, .missing: break
                }
            }
            bytes.append(contentsOf: "\r\n".utf8)
        }
        return Data(bytes)
    }

    static func spreadsheetSafe(_ text: String) -> String {
        guard let first = text.unicodeScalars.first else { return text }
        switch first {
        case "=", "+", "-", "@", "\t", "\r", "'": return "'" + text
        default: return text
        }
    }

    private static func append(cell: String, to bytes: inout [UInt8]) {
        let needsQuotes = cell.utf8.contains {
            $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r")
        }
        // An empty text is not a missing value.
        guard needsQuotes || cell.isEmpty else {
            bytes.append(contentsOf: cell.utf8)
            return
        }
        bytes.append(UInt8(ascii: "\""))
        for byte in cell.utf8 {
            if byte == UInt8(ascii: "\"") { bytes.append(byte) }
            bytes.append(byte)
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
