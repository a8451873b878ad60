import Foundation
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

    @Test(arguments: ["\u{ff1d}1+1", "\u{ff0b}1", "\u{ff0d}1", "\u{ff20}a"])
    func fullWidthFormsToo(text: String) {
        #expect(cell(text) == "'" + text)
    }

    /// A column may be called what a corpus calls a group.
    @Test func columnNamesAreTextToo() {
        let table = MetricTable(
            name: "t", title: "t", columns: [MetricColumn("=cmd|'/C calc'!A0", .real, "a group's values")],
            rows: [[.real(-0.5)]])
        #expect(String(decoding: table.csvFile(), as: UTF8.self) == "'=cmd|'/C calc'!A0\r\n-0.5\r\n")
    }

    /// Files end lines as RFC 4180 says; standard output ends them as other programs read them. Nothing else differs.
    @Test func filesAndStreamsDifferInTheirLineEndsOnly() {
        let table = MetricTable(
            name: "t", title: "t", columns: [MetricColumn("g", .text, "a group"), MetricColumn("n", .integer, "n")],
            rows: [[.text("=1"), .integer(-1)], [.text("two\r\nlines"), .missing]])
        #expect(table.csv == "g,n\n'=1,-1\n\"two\r\nlines\",\n")
        #expect(table.csvText(.file) == "g,n\r\n'=1,-1\r\n\"two\r\nlines\",\r\n")
    }

    @Test func aCallersOwnInfinitiesAreSpelled() {
        let table = MetricTable(
            name: "t", title: "t", columns: [MetricColumn("a", .real, "a")],
            rows: [[.real(.nan)], [.real(.infinity)], [.real(-.infinity)], [.missing]])
        #expect(table.csvText(.stream, spellsNonFinite: true) == "a\nnan\ninf\n-inf\n\n")
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
