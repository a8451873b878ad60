import Foundation
import TestSupport
import Testing

/// `moescope metrics` and `moescope compare` on the synthetic trace.
struct MetricsCommandTests {
    let trace = Fixtures.folder.appending(path: "routing-trace").path
    let other = Fixtures.folder.appending(path: "routing-trace/other").path
    let few = ["--bootstrap", "20", "--permutations", "20"]

    @Test func everyMetricIsListedAndPrinted() throws {
        let list = try Moescope.run("metrics", "--list", "--json")
        struct Definition: Decodable { let name, formula, source: String }
        let definitions = try JSONDecoder().decode([Definition].self, from: Data(list.output.utf8))
        #expect(definitions.count >= 21 && definitions.allSatisfy { !$0.formula.isEmpty && !$0.source.isEmpty })
        let names = definitions.map(\.name)
        #expect(names.contains("speculation") && names.contains("agreement") && names.contains("saturation"))
        let report = try Moescope.run(arguments: ["metrics", trace, "--minimum-count", "5", "--json"] + few)
        #expect(report.status == 0 && report.errorLines.isEmpty, "\(report.errors)")
        // The first line of progress comes before anything is counted.
        #expect(report.errors.hasPrefix("metrics: 0 % · 0/23 steps · counting\n"), "\(report.errors)")
        let json = try #require(try JSONSerialization.jsonObject(with: Data(report.output.utf8)) as? [String: Any])
        let metrics = try #require(json["metrics"] as? [String: Any])
        #expect(Set(metrics.keys) == Set(names).subtracting(["agreement", "saturation"]))
        let one = try Moescope.run(arguments: ["metrics", trace, "coactivation", "--adjacent-ranks", "--csv"] + few)
        #expect(one.output.hasPrefix("layer,expert,other,together,count,share,"))
        #expect(try Moescope.run("metrics", "--list", "loads").status != 0)
    }

    @Test func comparesTwoAndMore() throws {
        let two = try Moescope.run(arguments: ["compare", trace, other, "--csv"] + few)
        #expect(
            two.status == 0 && two.output.contains("# agreement-margins\n") && two.output.contains("# agreement-nll\n"))
        let more = try Moescope.run(arguments: ["compare", other, trace, other, "--csv"] + few)
        #expect(more.status == 0 && more.output.hasPrefix("# saturation\nplace,trace,layer,tokens,overlap,"))
        // The first of three is the last: it agrees with itself.
        #expect(more.output.contains("\n0,other,0,"))
        let text = try Moescope.run(arguments: ["compare", trace, other] + few)
        #expect(text.output.contains("20 bootstraps over documents") && text.output.contains("seed"))
    }

    /// Expert 2 becomes 254 of 8 in a few rows: the shard is not the one that was written, and no number is made of it.
    @Test func aDamagedShardStopsEveryReader() throws {
        let folder = try Moescope.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let copy = folder.appending(path: "trace")
        try FileManager.default.copyItem(atPath: trace, toPath: copy.path)
        let shard = copy.appending(path: "shards/000000.safetensors")
        var data = try Data(contentsOf: shard)
        data[data.count - 40] ^= 0xFC
        try data.write(to: shard)
        let page = folder.appending(path: "r.html").path
        for arguments in [
            ["metrics", copy.path, "load", "--json"], ["metrics", copy.path], ["report", copy.path],
            ["report", copy.path, "--html", page], ["compare", trace, copy.path],
        ] {
            let result = try Moescope.run(arguments: arguments + (arguments[0] == "report" ? [] : few))
            #expect(result.status == 1 && result.output.isEmpty, "\(arguments): \(result.status)")
            #expect(
                result.errorLines.count == 1
                    && result.errors.contains("000000.safetensors: sha256: the file is damaged or was changed")
                    && result.errors.contains("moescope verify"), "\(result.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: page))
    }

    @Test func whatCannotBeComparedIsSaid() throws {
        #expect(try Moescope.run("compare", trace).errors.contains("two traces or more"))
        let foreign = Fixtures.folder.appending(path: "report/trace").path
        let refused = try Moescope.run("compare", trace, foreign)
        #expect(refused.status != 0 && refused.errors.contains("expected"))
        let named = try Moescope.run("metrics", trace, "saturation")
        #expect(named.status != 0 && named.errors.contains("moescope compare"))
    }
}
