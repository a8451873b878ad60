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
        #expect(Set(peaks.keys) == ["memoryRead", "f32", "bf16", "amx", "int16", "int8"] && (peaks["f32"] ?? 0) > 0)
    }

    /// MOESCOPE_ISA chooses among what the processor can run, and says what that is.
    @Test func theInstructionSetIsSaidAndCanBeChosen() throws {
        let arguments = ["bench", model, "-p", "4", "-n", "0", "--repeat", "1", "--json"]
        let twin = try Moescope.run(arguments: arguments, environment: ["MOESCOPE_ISA": "amx-twin"])
        if twin.status == 0 {
            let object = try JSONSerialization.jsonObject(with: Data(twin.output.utf8)) as? [String: Any]
            #expect(object?["isa"] as? String == "amx-twin")
        } else {
            #expect(twin.errors.contains("scalar"))
        }
        let wrong = try Moescope.run(arguments: arguments, environment: ["MOESCOPE_ISA": "avx3"])
        #expect(wrong.status != 0 && wrong.errors.contains("MOESCOPE_ISA") && wrong.errors.contains("\"avx3\""))
        let precise = try Moescope.run(
            arguments: arguments + ["--precision", "precise"], environment: ["MOESCOPE_ISA": "scalar"])
        #expect(precise.status != 0 && (precise.errors.contains("AMX") || precise.errors.contains("neon")))
    }

    @Test func errorsNameTheOption() throws {
        let capture = try Moescope.run("bench", model, "-p", "4", "-n", "0", "--capture", "everything")
        #expect(capture.status != 0 && capture.errors.contains("\"everything\""))
        let nothing = try Moescope.run("bench", model, "-p", "0", "-n", "0")
        #expect(nothing.status != 0 && nothing.errors.contains("-p, -n"))
    }
}
