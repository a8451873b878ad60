import Foundation
import TestSupport
import Testing

/// What `moescope bench` says; never how fast it is.
struct BenchCommandTests {
    let model = Fixtures.folder.appending(path: "parity/grouped").path

    @Test func severalCapturesAreMeasuredInTurn() throws {
        let result = try Moescope.run(
            "bench", model, "-p", "6", "-n", "2", "--documents", "3", "--repeat", "2", "--record", "--json",
            "--capture",
            "none", "--capture", "router_logits,attention_pattern:0.*")
        #expect(result.status == 0, "\(result.errors)")
        let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        let output = try #require(object as? [String: Any])
        let captures = try #require(output["captures"] as? [[String: Any]])
        #expect(captures.compactMap { $0["capture"] as? String } == ["none", "router_logits,attention_pattern:0.*"])
        #expect(captures[0]["added_time"] as? Double == 0)
        for capture in captures {
            let speed = try #require(capture["speed"] as? [String: Any])
            #expect(speed["tokens"] as? Int == 18)
            #expect((speed["runs"] as? [Double])?.count == 2)
        }
        let decode = try #require(output["decode"] as? [String: Any])
        #expect(decode["tokens"] as? Int == 2)
        let peaks = try #require(output["peaks"] as? [String: Double])
        #expect(Set(peaks.keys) == ["memoryRead", "f32", "bf16", "int16", "int8"] && (peaks["f32"] ?? 0) > 0)
    }

    @Test func errorsNameTheOption() throws {
        let capture = try Moescope.run("bench", model, "-p", "4", "-n", "0", "--capture", "everything")
        #expect(capture.status != 0 && capture.errors.contains("\"everything\""))
        let nothing = try Moescope.run("bench", model, "-p", "0", "-n", "0")
        #expect(nothing.status != 0 && nothing.errors.contains("-p, -n"))
    }
}
