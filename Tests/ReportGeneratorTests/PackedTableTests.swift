import FileFormats
import Foundation
import ReportGenerator
import RoutingMetrics
import Testing

/// What the page's scripts get of a table.
struct PackedTableTests {
    private func table(_ rows: Int) -> MetricTable {
        MetricTable(
            name: "t", title: "t",
            columns: [
                MetricColumn("layer", .integer, "l"), MetricColumn("group", .text, "g"),
                MetricColumn("share", .real, "s"), MetricColumn("tokens", .integer, "n"),
                MetricColumn("unused", .real, "u"),
            ],
            rows: (0..<rows).map {
                [
                    .integer($0 / 1000), .text("group \($0 % 3)"), $0 % 7 == 0 ? .missing : .real(Double($0) / 7),
                    .integer($0 * 3), .real(0),
                ]
            })
    }

    private let readers = ["datum.layer == layer", "group", "share", "tokens"]

    @Test func aSmallTableIsRows() throws {
        let json = PackedTable(table(10), namedIn: readers).json
        #expect(json.object?["columns"] == ["layer", "group", "share", "tokens"])
        #expect(json.object?["rows"]?.array?[8] == [0, "group 2", 1.1429, 24])
        #expect(json.object?["count"] == nil)
    }

    @Test func aLargeTableIsArrays() throws {
        let count = PackedTable.mostRows + 1
        let json = try #require(PackedTable(table(count), namedIn: readers).json.object)
        #expect(json["count"] == .int(count) && json["rows"] == nil)
        #expect(json["columns"] == ["layer", "group", "share", "tokens"])
        func bytes(_ name: String, _ kind: String) throws -> Data {
            let column = try #require(json["packed"]?.object?[name]?.object)
            #expect(column["kind"]?.string == kind)
            let text = try #require(column["data"]?.string)
            return try #require(Data(base64Encoded: text))
        }
        #expect(try Array(bytes("layer", "u8")) == (0..<count).map { UInt8($0 / 1000) })
        #expect(try Array(bytes("group", "u8")) == (0..<count).map { UInt8($0 % 3) })
        #expect(json["packed"]?.object?["group"]?.object?["texts"] == ["group 0", "group 1", "group 2"])
        let tokens = try bytes("tokens", "u16")
        #expect(tokens.count == 2 * count && tokens[600] == 132 && tokens[601] == 3, "900 is 3·256 + 132")
        let shares = try bytes("share", "f16")
        for row in [1, 8, 999, count - 1] {
            let bits = UInt16(shares[2 * row]) | UInt16(shares[2 * row + 1]) << 8
            let value = Double(Float16(bitPattern: bits))
            #expect(row % 7 == 0 ? value.isNaN : abs(value - Double(row) / 7) <= Double(row) / 7 / 2048)
        }
    }
}
