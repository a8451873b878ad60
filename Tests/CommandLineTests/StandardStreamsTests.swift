import Foundation
import TestSupport
import Testing

/// Results that cannot be written are an error of every command that has some.
struct StandardStreamsTests {
    private static let trace = Fixtures.folder.appending(path: "routing-trace").path
    private static let model = Fixtures.polyglot.path

    static let commands: [[String]] = [
        ["--version"], ["--help"], ["trace", "--help"], ["hooks"], ["hooks", "--json"], ["verify", trace],
        ["inspect", model], ["inspect", model, "--json"], ["memory", model], ["memory", model, "--json"],
        ["metrics", "--list"], ["metrics", trace, "load", "--bootstrap", "2", "--permutations", "2"],
        ["metrics", trace, "load", "--json", "--bootstrap", "2", "--permutations", "2"],
        ["metrics", trace, "load", "--csv", "--bootstrap", "2", "--permutations", "2"],
        ["compare", trace, trace, "--bootstrap", "2", "--permutations", "2"],
        ["generate", model, "--prompt", "Der", "--max-tokens", "1"],
        ["generate", model, "--prompt", "Der", "--max-tokens", "1", "--json"],
        ["report", trace, "--bootstrap", "2", "--permutations", "2"], ["calibrate", "--list"],
        ["calibrate", "--traces", "1", "--scenario", "iid", "--permutations", "19", "--bootstrap", "19"],
    ]

    @Test(arguments: commands)
    func aFullDeviceIsAnError(arguments: [String]) throws {
        let result = try Moescope.run(through: "exec \"$0\" \"$@\" > /dev/full", arguments)
        #expect(result.status == 1, "\(arguments): \(result.status)")
        #expect(
            result.errorLines == ["Error: standard output: No space left on device; the output is not complete"],
            "\(result.errors)")
    }

    /// Commands that write files as well.
    @Test(arguments: [
        ["quantize", model, "--type", "Q8_0", "--output", "FOLDER/m.gguf"],
        ["importance", model, "--corpus", "FOLDER/c.jsonl", "--output", "FOLDER/i.gguf"],
        ["report", trace, "--bootstrap", "2", "--permutations", "2", "--csv", "FOLDER/tables"],
        [
            "experiment", "top-k", model, "--corpus", "FOLDER/c.jsonl", "--output", "FOLDER/e", "--counts", "1",
            "--bootstrap", "2", "--permutations", "2",
        ],
    ])
    func aFullDeviceIsAnErrorBesideFiles(arguments: [String]) throws {
        let folder = try Moescope.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let lines = (0..<8).map {
            "{\"id\": \"\($0)\", \"group\": \"\($0 % 2)\", \"text\": \"Der Rauch steigt auf.\"}\n"
        }
        try Data(lines.joined().utf8).write(to: folder.appending(path: "c.jsonl"))
        let result = try Moescope.run(
            through: "exec \"$0\" \"$@\" > /dev/full", arguments.map { $0.replacing("FOLDER", with: folder.path) })
        #expect(result.status == 1, "\(arguments): \(result.status)")
        #expect(
            result.errorLines == ["Error: standard output: No space left on device; the output is not complete"],
            "\(result.errors)")
    }

    /// Control characters of a name are shown on standard error, and steer no terminal.
    @Test func controlCharactersAreShown() throws {
        let result = try Moescope.run("verify", "/nowhere/\u{1B}[31mred\u{7}\u{202E}\u{9B}2J")
        #expect(result.status == 1)
        #expect(
            result.errors.contains(#"/nowhere/\x1b[31mred\x07\u{202e}\x9b2J/manifest.json: no such file"#),
            "\(result.errors)")
        #expect(!result.errors.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
    }

    @Test(arguments: [["hooks"], ["metrics", "--list"], ["--version"]])
    func aClosedDescriptorIsAnError(arguments: [String]) throws {
        let result = try Moescope.run(through: "exec \"$0\" \"$@\" >&-", arguments)
        #expect(result.status == 1)
        #expect(
            result.errorLines == ["Error: standard output: Bad file descriptor; the output is not complete"],
            "\(result.errors)")
        // What is said on a closed standard error is lost, and nothing else.
        #expect(try Moescope.run(through: "exec \"$0\" \"$@\" 2>&-", arguments).status == 0)
        #expect(try Moescope.run(through: "exec \"$0\" \"$@\" <&-", arguments).status == 0)
    }

    /// 512 bytes may be written; the rest is refused, and said to be missing.
    @Test func aFileThatMayNotGrowIsAnError() throws {
        let folder = try Moescope.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "hooks.json").path
        let result = try Moescope.run(
            through: "ulimit -f 1; exec \"$0\" \"$@\" > '\(file)'", ["hooks", "--json"])
        #expect(result.status == 1)
        #expect(result.errorLines == ["Error: standard output: File too large; the output is not complete"])
    }

    @Test func commandsPrintThroughOneDoor() throws {
        let sources = Fixtures.repository.appending(path: "Sources/CommandLineTool")
        let names = try FileManager.default.subpathsOfDirectory(atPath: sources.path).filter { $0.hasSuffix(".swift") }
        #expect(names.count > 20)
        for name in names where !name.hasSuffix("StandardStreams.swift") {
            let text = try String(contentsOf: sources.appending(path: name), encoding: .utf8)
            for door in ["FileHandle.standardOutput", "FileHandle.standardError", "fputs(", "Swift.print("] {
                #expect(!text.contains(door), "\(name): \(door)")
            }
        }
    }
}
