/// Numbers as a tidy table: one row per observation, every column named, typed and defined. The one form from which CSV,
/// the page, the command line and Python take what they show.
public struct MetricTable: Codable, Sendable, Equatable {
    /// File-name safe: "load", "load-layers".
    public var name: String
    public var title: String
    public var columns: [MetricColumn]
    /// One cell per column in every row.
    public var rows: [[MetricCell]]

    /// - Precondition: every row has one cell per column.
    public init(name: String, title: String, columns: [MetricColumn], rows: [[MetricCell]]) {
        precondition(rows.allSatisfy { $0.count == columns.count }, "\(name): a row does not fit the columns")
        self.name = name
        self.title = title
        self.columns = columns
        self.rows = rows
    }
}

public struct MetricColumn: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable {
        case integer
        case real
        case text
    }

    public var name: String
    public var kind: Kind
    /// "bits", "nats", "tokens"; empty for a pure number.
    public var unit: String
    public var definition: String

    public init(_ name: String, _ kind: Kind, unit: String = "", _ definition: String) {
        self.name = name
        self.kind = kind
        self.unit = unit
        self.definition = definition
    }

    /// Value and bounds of an `Estimate`: NAME, NAME_lower, NAME_upper.
    /// - Parameter all: what the bounds hold for at once, as "layers"; nil: each holds by itself.
    static func estimate(
        _ name: String, unit: String = "", _ definition: String, forAll all: String? = nil
    ) -> [MetricColumn] {
        let scope = all.map { "; the intervals hold for all \($0) at once" } ?? ""
        return [
            MetricColumn(name, .real, unit: unit, definition),
            MetricColumn(name + "_lower", .real, unit: unit, "lower bound of the interval of \(name)" + scope),
            MetricColumn(name + "_upper", .real, unit: unit, "upper bound of the interval of \(name)" + scope),
        ]
    }

    /// Whether this is a bound of intervals that hold at once.
    package var isForAll: Bool { definition.hasSuffix(" at once") }

    static let layer = MetricColumn("layer", .integer, "layer of the model, from 0")
    static let expert = MetricColumn("expert", .integer, "expert, from 0")
    static let group = MetricColumn("group", .text, "group of documents")
    static let documents = MetricColumn("documents", .integer, unit: "documents", "documents counted")
    static let tokens = MetricColumn("tokens", .integer, unit: "tokens", "tokens counted")
    static let pValue = MetricColumn("p_value", .real, "permutation p-value: group labels permuted over documents")
    static let adjustedP = MetricColumn(
        "p_adjusted", .real, "p-value for all tests of this table together (max-T and Bonferroni)")
    static let qValue = MetricColumn("q_value", .real, "Benjamini–Hochberg q-value over the rows of this table")
    static let note = MetricColumn("note", .text, "why a value or an interval is missing")
}

public enum MetricCell: Sendable, Equatable {
    case integer(Int)
    case real(Double)
    case text(String)
    case missing

    static func optional(_ value: Double?) -> MetricCell { value.map(MetricCell.real) ?? .missing }
    static func optional(_ value: Int?) -> MetricCell { value.map(MetricCell.integer) ?? .missing }
    static func optional(_ value: String?) -> MetricCell { value.map(MetricCell.text) ?? .missing }

    /// As a terminal shows it; empty where missing or not a number.
    public var text: String {
        switch self {
        case .integer(let value): String(value)
        case .real(let value): value.isFinite ? "\(value)" : ""
        case .text(let value): value
        case .missing: ""
        }
    }
}

extension MetricCell: Codable {
    public init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .missing
        } else if let integer = try? value.decode(Int.self) {
            self = .integer(integer)
        } else if let real = try? value.decode(Double.self) {
            self = .real(real)
        } else {
            self = .text(try value.decode(String.self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .integer(let value): try container.encode(value)
        case .real(let value) where value.isFinite: try container.encode(value)
        case .text(let value): try container.encode(value)
        case .real, .missing: try container.encodeNil()
        }
    }
}
