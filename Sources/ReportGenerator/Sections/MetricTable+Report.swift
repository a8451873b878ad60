import Foundation
import FileFormats
import RoutingMetrics

extension MetricTable {
    /// A list of objects, numbers to five significant digits: for programs that draw figures outside a browser.
    func records() -> JSON {
        .array(
            rows.map { row in
                .object(JSONObject(zip(columns, row).map { ($0.name, $1.json) }))
            })
    }
}

extension MetricCell {
    /// Numbers to five significant digits.
    var json: JSON {
        switch self {
        case .integer(let number): .int(number)
        case .real(let number): .double(number.rounded(significant: 5))
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
