import Foundation
import Testing

struct HooksCommandTests {
    @Test func listsEveryPointAndAlias() throws {
        let plain = try Moescope.run("hooks")
        #expect(plain.status == 0 && plain.output.contains("blocks.{l}.router_logits"))
        let aliases = try Moescope.run("hooks", "--aliases")
        #expect(aliases.output.contains("TransformerLens: attn.hook_pattern"))
        let json = try Moescope.run("hooks", "--json")
        let entries = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [[String: Any]]
        #expect(entries?.count == 32)
        #expect(entries?.filter { $0["editable"] as? Bool == false }.count == 2)
    }

    @Test func everyCommandHasExamples() throws {
        for name in ["trace", "report", "inspect", "hooks", "generate", "bench", "memory"] {
            let help = try Moescope.run(name, "--help")
            #expect(help.status == 0 && help.output.contains("moescope \(name)"), "\(name)")
        }
    }
}
