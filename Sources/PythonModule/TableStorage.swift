/// Named columns of equal length, as metrics return them.
final class TableStorage: @unchecked Sendable {
    /// The values of a column; nil where there is none (Arrow's null).
    enum Values {
        case ints([Int?])
        case floats([Double?])
        case strings([String?])
        case bools([Bool?])

        var count: Int {
            switch self {
            case .ints(let values): values.count
            case .floats(let values): values.count
            case .strings(let values): values.count
            case .bools(let values): values.count
            }
        }
    }

    struct Column {
        let name: String
        let values: Values
    }

    /// What the table shows, for its `repr`.
    let name: String
    let columns: [Column]
    /// How the numbers came to be, for the table's Arrow metadata: definition, seeds, repetitions.
    let notes: [(key: String, value: String)]
    let rowCount: Int

    /// - Precondition: columns of equal length.
    init(name: String, columns: [Column], notes: [(key: String, value: String)] = []) {
        rowCount = columns.first?.values.count ?? 0
        precondition(columns.allSatisfy { [rowCount] in $0.values.count == rowCount })
        self.name = name
        self.columns = columns
        self.notes = notes
    }
}
