import ArgumentParser
import FileFormats
import Foundation
import Hooks

struct HooksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hooks",
        abstract: "List the places in the forward pass that can be seen and changed.",
        discussion: """
            Per-layer points are written blocks.3.router_logits; the bare name, or blocks.*.router_logits, means \
            every layer.

            Examples:
              moescope hooks
              moescope hooks --aliases
              moescope hooks --json
            """)

    @Flag(help: "Also list the names that other tools use and that are accepted here.")
    var aliases = false

    @Flag(help: "Print JSON.")
    var json = false

    private struct Entry: Encodable {
        struct Alias: Encodable {
            let tool: String
            let name: String
            let remark: String?
        }
        let name: String
        let shape: String
        let type: String
        let editable: Bool
        let summary: String
        let aliases: [Alias]
    }

    func run() throws {
        let entries = HookSite.allCases.map { site in
            Entry(
                name: site.isPerLayer ? "blocks.{l}.\(site.rawValue)" : site.rawValue, shape: site.shape,
                type: site.elementName, editable: site.isEditable, summary: site.summary,
                aliases: HookAlias.all.filter { $0.site == site }.map {
                    Entry.Alias(tool: $0.tool, name: $0.name, remark: $0.remark)
                })
        }
        if json {
            try print(entries.prettyJSON())
            return
        }
        try print(
            "T token rows · D hidden · H query heads · G key/value heads · d head size · E experts · K experts per token"
        )
        try print("V vocabulary · t tokens of one document · layers count from 0 · * cannot be edited\n")
        for entry in entries {
            let name = (entry.name + (entry.editable ? "" : " *")).padding(toLength: 28, withPad: " ", startingAt: 0)
            try print(
                name + (entry.shape + " " + entry.type).padding(toLength: 24, withPad: " ", startingAt: 0)
                    + entry.summary)
            guard aliases else { continue }
            for alias in entry.aliases {
                try print("    \(alias.tool): \(alias.name)" + (alias.remark.map { " (\($0))" } ?? ""))
            }
        }
        if !aliases {
            try print("\nNames of TransformerLens, Hugging Face and llama.cpp are accepted: moescope hooks --aliases")
        }
    }
}
