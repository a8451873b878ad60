import Foundation
import RoutingMetrics

extension MetricTable {
    /// {"columns": […], "rows": [[…], …]}, numbers to five significant digits: what figures are drawn from.
    func json() -> JSON {
        [
            "columns": .array(columns.map { .string($0.name) }),
            "rows": .array(rows.map { row in .array(row.map(\.json)) }),
        ]
    }

    /// The same as a list of objects, for programs that draw figures outside a browser.
    func records() -> JSON {
        .array(
            rows.map { row in
                .object(zip(columns, row).map { JSON.Member($0.name, $1.json) })
            })
    }
}

extension MetricCell {
    fileprivate var json: JSON {
        switch self {
        case .integer(let number): .integer(number)
        case .real(let number): .number(number.rounded(significant: 5))
        case .text(let text): .string(text)
        case .missing: .null
        }
    }
}

extension Double {
    /// Rounded to so many significant decimal digits.
    func rounded(significant digits: Int) -> Double {
        guard self != 0, isFinite else { return self }
        return Double(String(format: "%.\(digits)g", self)) ?? self
    }
}
