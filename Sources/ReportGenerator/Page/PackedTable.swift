import FileFormats
import Foundation
import RoutingMetrics

/// A table as the page's scripts read it: columns that some figure names, rows as JSON, or, where they are many, packed arrays.
///
/// A packed table is {"columns", "count", "packed": {column: {"kind", "data", "texts"}}}: base64 of little-endian numbers, one a row. Texts are
/// places in a list of their own. Reals are half-precision floats, three significant digits: what a picture shows. The CSV files have
/// all digits of all columns.
package struct PackedTable {
    let table: MetricTable
    /// Places of the columns that are there.
    let kept: [Int]

    /// Tables with more rows are packed.
    package static let mostRows = 4000

    /// - Parameter texts: of the specifications that read it; a column that none of them names stays out.
    package init(_ table: MetricTable, namedIn texts: [String]) {
        self.table = table
        kept = table.columns.indices.filter { place in
            texts.contains { $0.contains(table.columns[place].name) }
        }
    }

    package var json: JSON {
        guard table.rows.count > Self.mostRows else { return rowsJSON }
        var packed: JSONObject = [:]
        for place in kept {
            guard let column = Self.packed(table.rows.lazy.map { $0[place] }) else { return rowsJSON }
            packed[table.columns[place].name] = column
        }
        return ["columns": names, "count": .int(table.rows.count), "packed": .object(packed)]
    }

    private var names: JSON { .array(kept.map { .string(table.columns[$0].name) }) }

    /// Numbers to five significant digits.
    private var rowsJSON: JSON {
        ["columns": names, "rows": .array(table.rows.map { row in .array(kept.map { row[$0].json }) })]
    }

    /// - Returns: nil where a column holds what no packed array does: numbers too large, texts beside numbers, integers with gaps.
    private static func packed(_ cells: some Collection<MetricCell>) -> JSON? {
        var texts: [String: Int] = [:]
        var order: [String] = []
        var integers: [Int] = []
        var reals: [Float] = []
        for cell in cells {
            switch cell {
            case .text(let text):
                if texts[text] == nil {
                    texts[text] = order.count
                    order.append(text)
                }
                integers.append(texts[text] ?? 0)
            case .integer(let number): integers.append(number)
            case .real(let number): reals.append(Float(number))
            case .missing: reals.append(.nan)
            }
        }
        if reals.count == cells.count {
            guard reals.allSatisfy({ !$0.isFinite || abs($0) < 60_000 }) else { return nil }
            return array("f16", reals.map { Float16($0).bitPattern })
        }
        guard reals.isEmpty, order.isEmpty || texts.count == order.count, integers.allSatisfy({ $0 >= 0 }) else {
            return nil
        }
        // Texts beside integers would be taken for one another.
        if !order.isEmpty, cells.contains(where: { if case .text = $0 { false } else { true } }) { return nil }
        let most = integers.max() ?? 0
        guard most <= Int(UInt32.max) else { return nil }
        let list: JSON? = order.isEmpty ? nil : .array(order.map { .string($0) })
        if most < 1 << 8 { return array("u8", integers.map { UInt8($0) }, list) }
        if most < 1 << 16 { return array("u16", integers.map { UInt16($0) }, list) }
        return array("u32", integers.map { UInt32($0) }, list)
    }

    private static func array(_ kind: String, _ values: [some FixedWidthInteger], _ texts: JSON? = nil) -> JSON {
        let bytes = values.map(\.littleEndian).withUnsafeBytes { Data($0) }
        var members: JSONObject = ["kind": .string(kind), "data": .string(bytes.base64EncodedString())]
        members["texts"] = texts
        return .object(members)
    }
}
