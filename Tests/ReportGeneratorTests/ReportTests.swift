import Crypto
import FileFormats
import Foundation
import ReportGenerator
import RoutingMetrics
import TestSupport
import Testing
import Traces

/// The report of a trace with planted routing (Tests/Fixtures/report/make_trace.py).
@Suite struct ReportTests {
    static let trace = Fixtures.folder.appending(path: "report/trace")

    private func report() throws -> Report {
        let trace = try Trace(folder: Self.trace)
        return Report(trace: trace, metrics: try ReportMetrics(trace))
    }

    private func temporaryFolder() -> URL {
        FileManager.default.temporaryDirectory.appending(path: "moescope-report-\(UUID().uuidString)")
    }

    @Test func findingsNameWhatWasPlanted() throws {
        let claims = try report().findingTexts
        #expect(claims.count == 4)
        // The planted preference is strongest in the middle layer, where expert (group + 2) mod 8 takes every first choice.
        #expect(claims[0].contains("In layer 2, a token's set of 2 experts tells 1.77 of the 2.32 bits"))
        #expect(claims[1].contains("of layer 2. It receives 50 % (95 % interval"))
        #expect(claims[2].contains("have the same first expert"))
    }

    @Test func tablesAreWrittenWithTheirDescription() throws {
        let folder = temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        try report().writeTables(to: folder)
        let package = try #require(
            JSONSerialization.jsonObject(with: Data(contentsOf: folder.appending(path: "datapackage.json")))
                as? [String: Any])
        let resources = try #require(package["resources"] as? [[String: Any]])
        #expect(resources.count >= 10)
        let settings = try #require(package["settings"] as? [String: Any])
        #expect(settings["seed"] as? String == "20250101" && settings["permutations"] as? Int == 1999)
        #expect((package["sources"] as? [Any])?.count == 3 && package["licenses"] != nil)
        let metrics = try #require(package["metrics"] as? [[String: Any]])
        #expect(metrics.allSatisfy { !(($0["formula"] as? String) ?? "").isEmpty && $0["source"] != nil })
        for resource in resources {
            let path = try #require(resource["path"] as? String)
            let text = String(decoding: try Data(contentsOf: folder.appending(path: path)), as: UTF8.self)
            let data = try Data(contentsOf: folder.appending(path: path))
            #expect(resource["hash"] as? String == "sha256:" + SHA256.hash(data: data).hex)
            #expect(resource["bytes"] as? Int == data.count)
            let schema = try #require(resource["schema"] as? [String: Any])
            let fields = try #require(schema["fields"] as? [[String: Any]])
            let names = fields.compactMap { $0["name"] as? String }
            #expect(text.hasPrefix(names.joined(separator: ",") + "\r\n"), "\(path)")
            #expect(fields.allSatisfy { !(($0["description"] as? String) ?? "").isEmpty }, "\(path)")
        }
        let load = String(decoding: try Data(contentsOf: folder.appending(path: "load.csv")), as: UTF8.self)
        // 5 layers of 8 experts below one header, each line ended by CR LF.
        #expect(load.components(separatedBy: "\r\n").count == 5 * 8 + 2)
    }

    @Test func pageAsksNothingOfAnyNetwork() throws {
        let folder = temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let page = folder.appending(path: "index.html")
        try report().writePage(to: page, tables: folder.appending(path: "csv"))
        let text = String(decoding: try Data(contentsOf: page), as: UTF8.self)
        #expect(text.contains("default-src 'none'"))
        #expect(!text.contains("unsafe-inline") && !text.contains("unsafe-eval"))
        #expect(!text.contains("src=\"http") && !text.contains("<link"))
        #expect(text.contains("href=\"csv/load.csv\""))
    }

    @Test func theSameTraceMakesTheSameBytes() throws {
        let folder = temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let (one, two) = (folder.appending(path: "1.html"), folder.appending(path: "2.html"))
        try report().writePage(to: one, tables: nil)
        try report().writePage(to: two, tables: nil)
        #expect(try Data(contentsOf: one) == Data(contentsOf: two))
    }

    @Test func aFolderThatCannotBeMadeIsNamed() throws {
        let file = temporaryFolder()
        try Data("a file".utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let error = #expect(throws: ReportError.self) {
            try report().writeTables(to: file.appending(path: "csv"))
        }
        #expect(error?.description.contains(file.lastPathComponent) == true)
    }
}
