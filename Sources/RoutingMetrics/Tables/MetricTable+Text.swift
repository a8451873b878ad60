import Foundation

extension MetricTable {
    /// Aligned columns for a terminal. Bounds are folded into their value: `0.312 [0.290, 0.335]`.
    /// - Parameter limit: rows shown at most; a last line says how many were left out.
    public func text(limit: Int = .max) -> String {
        let names = Set(columns.map(\.name))
        let shown = columns.indices.filter { index in
            let name = columns[index].name
            for bound in ["_lower", "_upper"] where name.hasSuffix(bound) {
                if names.contains(String(name.dropLast(bound.count))) { return false }
            }
            // A column of notes that says nothing takes no room.
            return rows.contains { $0[index] != .missing }
        }
        var lines = [
            shown.map {
                columns[$0].name
                    + (columns[$0].unit.isEmpty || columns[$0].unit == columns[$0].name ? "" : " (\(columns[$0].unit))")
            }
        ]
        for row in rows.prefix(limit) { lines.append(shown.map { Self.cell(row, $0, columns) }) }
        let widths = shown.indices.map { place in lines.map { $0[place].count }.max() ?? 0 }
        var text = title + "\n"
        for line in lines {
            let cells = shown.indices.map { place in
                let padding = String(repeating: " ", count: widths[place] - line[place].count)
                return columns[shown[place]].kind == .text ? line[place] + padding : padding + line[place]
            }
            let line = "  " + cells.joined(separator: "  ")
            text += line[..<(line.lastIndex { $0 != " " }.map(line.index(after:)) ?? line.startIndex)] + "\n"
        }
        if rows.count > limit { text += "  … \(rows.count - limit) more rows (--csv shows all)\n" }
        return text
    }

    private static func cell(_ row: [MetricCell], _ index: Int, _ columns: [MetricColumn]) -> String {
        guard case .real(let value) = row[index] else { return row[index].text }
        let name = columns[index].name
        var text = number(value)
        if index + 2 < columns.count, columns[index + 1].name == name + "_lower",
            case .real(let lower) = row[index + 1], case .real(let upper) = row[index + 2]
        {
            text += " [\(number(lower)), \(number(upper))]"
        }
        return text
    }

    private static func number(_ value: Double) -> String {
        guard value.isFinite else { return "" }
        if value == 0 { return "0" }
        let size = abs(value)
        let format = size >= 1000 ? "%.0f" : size >= 0.001 ? "%.4g" : "%.1e"
        return String(format: format, value)
    }
}
