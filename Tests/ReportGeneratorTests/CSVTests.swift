import Foundation
import ReportGenerator
import RoutingMetrics
import Testing

/// RFC 4180, and cells that a spreadsheet would run.
@Suite struct CSVTests {
    private func cell(_ text: String) -> String {
        let table = MetricTable(
            name: "t", title: "t", columns: [MetricColumn("text", .text, "a text")], rows: [[.text(text)]])
        return String(String(decoding: table.csvFile(), as: UTF8.self).dropFirst("text\r\n".count).dropLast(1))
    }

    @Test(arguments: [
        ("plain", "plain"), ("a,b", "\"a,b\""), ("say \"hi\"", "\"say \"\"hi\"\"\""), ("two\nlines", "\"two\nlines\""),
        ("", "\"\""), ("▁Straße", "▁Straße"),
    ])
    func quotesWhereNeeded(text: String, expected: String) {
        #expect(cell(text) == expected)
    }

    @Test(arguments: [
        ("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"),
        ("'quoted", "''quoted"), ("\t=1", "'\t=1"), ("\r=1", "\"'\r=1\""),
    ])
    func formulasAreTextAndReadBack(text: String, expected: String) {
        #expect(cell(text) == expected)
    }

    @Test func numbersReadBackExactly() {
        let values = [0.1, 1.0 / 3, -2.5e-12, 1e300, 0]
        let table = MetricTable(
            name: "t", title: "t", columns: [MetricColumn("x", .real, "a number")], rows: values.map { [.real($0)] })
        let lines = String(decoding: table.csvFile(), as: UTF8.self).components(separatedBy: "\r\n")
        #expect(lines.dropFirst().dropLast().compactMap(Double.init) == values)
    }

    @Test func whatIsNotANumberIsEmpty() {
        let table = MetricTable(
            name: "t", title: "t", columns: [MetricColumn("a", .real, "a"), MetricColumn("b", .integer, "b")],
            rows: [[.real(.nan), .missing], [.real(.infinity), .integer(-3)]])
        #expect(String(decoding: table.csvFile(), as: UTF8.self) == "a,b\r\n,\r\n,-3\r\n")
    }
}
