import RoutingMetrics

extension TableStorage {
    /// A metric's table as Python and Arrow see it; a real number that is not finite is a missing value, as in CSV.
    convenience init(_ table: MetricTable, notes: [(key: String, value: String)]) {
        let columns = table.columns.enumerated().map { index, column in
            let cells = table.rows.map { $0[index] }
            let values: Values =
                switch column.kind {
                case .integer: .ints(cells.map(\.asInteger))
                case .real: .floats(cells.map(\.asReal))
                case .text: .strings(cells.map(\.asText))
                }
            return Column(name: column.name, values: values)
        }
        self.init(name: table.name, columns: columns, notes: notes)
    }

    /// The same values as a metric's table, for the writer of CSV.
    var metricTable: MetricTable {
        MetricTable(
            name: name, title: name,
            columns: columns.map { column in
                let kind: MetricColumn.Kind =
                    switch column.values {
                    case .ints: .integer
                    case .floats: .real
                    case .strings, .bools: .text
                    }
                return MetricColumn(column.name, kind, "")
            },
            rows: (0..<rowCount).map { row in columns.map { $0.values.cell(row) } })
    }
}

extension TableStorage.Values {
    fileprivate func cell(_ row: Int) -> MetricCell {
        switch self {
        case .ints(let values): values[row].map(MetricCell.integer) ?? .missing
        case .floats(let values): values[row].map(MetricCell.real) ?? .missing
        case .strings(let values): values[row].map(MetricCell.text) ?? .missing
        case .bools(let values): values[row].map { .text($0 ? "True" : "False") } ?? .missing
        }
    }
}

extension MetricCell {
    fileprivate var asInteger: Int? {
        if case .integer(let value) = self { return value }
        return nil
    }

    fileprivate var asReal: Double? {
        switch self {
        case .real(let value): value.isFinite ? value : nil
        case .integer(let value): Double(value)
        case .text, .missing: nil
        }
    }

    fileprivate var asText: String? {
        switch self {
        case .text(let value): value
        case .integer, .real: text
        case .missing: nil
        }
    }
}
