import Foundation
import RoutingMetrics

/// Numbers as a reader wants them: few digits, grouped thousands, no locale.
package enum Prose {
    /// 371204 → "371,204".
    package static func count(_ value: Int) -> String {
        let digits = String(abs(value))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0 && (digits.count - index) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return (value < 0 ? "−" : "") + text
    }

    /// Two decimals where that says enough, otherwise two significant digits.
    static func number(_ value: Double) -> String {
        guard value.isFinite else { return "–" }
        let magnitude = abs(value)
        let text: String
        if magnitude >= 100 {
            text = magnitude < 1e15 ? count(Int(magnitude.rounded())) : String(format: "%.1e", magnitude)
        } else if magnitude >= 10 {
            text = String(format: "%.1f", magnitude)
        } else if magnitude == 0 {
            return "0"
        } else if magnitude >= 0.095 {
            text = String(format: "%.2f", magnitude)
        } else if magnitude >= 0.00095 {
            text = String(format: "%.\(magnitude >= 0.0095 ? 3 : 4)f", magnitude)
        } else {
            return "0.000"
        }
        return (value < 0 ? "−" : "") + text
    }

    /// 0.4312 → "43 %", 0.0312 → "3.1 %".
    static func percent(_ share: Double) -> String {
        guard share.isFinite else { return "–" }
        let value = 100 * share
        if abs(value) >= 19.95 || value == 0 { return String(format: "%.0f %%", value) }
        return String(format: abs(value) >= 0.095 ? "%.1f %%" : "%.2f %%", value)
    }

    /// "p < 0.001", "p = 0.03".
    static func probability(_ p: Double, symbol: String = "p") -> String {
        guard p.isFinite else { return "\(symbol) unknown" }
        return p < 0.001 ? "\(symbol) < 0.001" : "\(symbol) = \(String(format: p < 0.1 ? "%.3f" : "%.2f", p))"
    }

    /// " (95 % interval 0.49 to 0.55)", nothing where there is none.
    static func interval(_ estimate: Estimate) -> String {
        guard let low = estimate.lower, let high = estimate.upper else { return "" }
        return " (95 % interval \(number(low)) to \(number(high)))"
    }

    /// "; 95 % interval 0.49 to 0.55 bits", for use inside parentheses.
    static func interval(_ estimate: Estimate, unit: String) -> String {
        guard let low = estimate.lower, let high = estimate.upper else { return "" }
        return "; 95 % interval \(number(low)) to \(number(high)) \(unit)"
    }

    static func percentInterval(_ estimate: Estimate) -> String {
        guard let low = estimate.lower, let high = estimate.upper else { return "" }
        return " (95 % interval \(percent(low)) to \(percent(high)))"
    }

    /// As `number`, with an exponent where that would say 0.000.
    private static func small(_ value: Double) -> String {
        abs(value) >= 0.00095 || !value.isFinite ? number(value) : String(format: "%.1e", value)
    }

    static func cell(_ value: MetricCell) -> String {
        switch value {
        case .text(let text): text
        case .integer(let number): count(number)
        case .real(let number): number == number.rounded() && abs(number) < 1e6 ? count(Int(number)) : small(number)
        case .missing: "–"
        }
    }

    /// "German, French and Italian".
    static func list(_ words: [String]) -> String {
        guard words.count > 1, let last = words.last else { return words.first ?? "" }
        return words.dropLast().joined(separator: ", ") + " and " + last
    }

    /// 1 → "1 layer", 1200 → "1,200 layers".
    package static func plural(_ count: Int, _ one: String, _ many: String? = nil) -> String {
        "\(Self.count(count)) \(count == 1 ? one : many ?? one + "s")"
    }
}
