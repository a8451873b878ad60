import FileFormats
import Foundation
import Testing
import Traces

/// Traces whose files say what cannot be: opening or reading them names file and field.
@Suite struct HostileTraceTests {
    private func trace(_ folder: URL) throws {
        let run = SmallRun()
        let writer = try TraceWriter(creating: folder, manifest: run.manifest)
        for number in 0..<3 { try writer.append(run.shard(number)) }
        try writer.finish()
    }

    private func complaint(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "nothing"
        } catch {
            return "\(error)"
        }
    }

    /// What replaces what, in which file, and what is said then. The trace has 3 shards of 8, 5 and 8 tokens.
    static let lies: [(file: String, old: String, new: String, said: String)] = [
        ("manifest.json", "\"vocab_size\" : 100", "\"vocab_size\" : -1", "field model.vocab_size: expected 0 to"),
        ("manifest.json", "\"layers\" : 3", "\"layers\" : -3", "field model.layers: expected 1 to"),
        (
            "manifest.json", "\"layers\" : 3", "\"layers\" : 2",
            "field capture.layers: expected rising layers from 0 to 1"
        ),
        ("manifest.json", "\"experts\" : 4", "\"experts\" : 20000", "field model.experts: expected 1 to 4096"),
        ("manifest.json", "\"experts_per_token\" : 2", "\"experts_per_token\" : 5", "expected 1 to 4, found 5"),
        ("manifest.json", "\"heads\" : 2", "\"heads\" : -1", "field model.heads"),
        ("manifest.json", "\"heads\" : 2", "\"heads\" : 1", "field capture.attention_pattern: expected [layer, head]"),
        ("manifest.json", "\"documents\" : 2", "\"documents\" : 9223372036854775807", "field shards[0].documents"),
        ("manifest.json", "\"tokens\" : 8", "\"tokens\" : 9223372036854775807", "field shards[0].tokens"),
        ("manifest.json", "\"tokens\" : 8", "\"tokens\" : -8", "field shards[0].tokens"),
        ("manifest.json", "shards/000001", "../000001", "field shards[1].file: expected \"shards/000001.safetensors\""),
        ("documents.jsonl", "\"tokens\":5", "\"tokens\":9223372036854775807", "line 2, field tokens: expected 1 to 5"),
        ("documents.jsonl", "\"tokens\":5", "\"tokens\":4", "documents of shard 0, field tokens: expected 8, found 7"),
        ("documents.jsonl", "\"first_row\":3", "\"first_row\":-3", "line 2, field first_row: expected 3"),
    ]

    @Test func numbersThatCannotBeAreNamed() throws {
        for lie in Self.lies {
            try withTemporaryFolder { folder in
                try trace(folder)
                let file = folder.appending(path: lie.file)
                let text = try String(contentsOf: file, encoding: .utf8)
                let place = try #require(text.range(of: lie.old), "\(lie.old)")
                try Data(text.replacingCharacters(in: place, with: lie.new).utf8).write(to: file)
                let said = complaint { _ = try Trace(folder: folder) }
                #expect(said.contains(lie.file) && said.contains(lie.said), "\(lie.new): \(said)")
            }
        }
    }

    /// Patterns of a document that the trace does not have.
    @Test func patternsOfNoDocumentAreNamed() throws {
        try withTemporaryFolder { folder in
            try trace(folder)
            let file = folder.appending(path: "attention/000001.safetensors")
            var data = try Data(contentsOf: file)
            let name = try #require(data.range(of: Data("document.2.".utf8)))
            data.replaceSubrange(name, with: Data("document.9.".utf8))
            try data.write(to: file)
            let said = complaint { _ = try Trace(folder: folder) }
            #expect(said.contains("attention/000001.safetensors: tensor document.9.layer.2.head.1"), "\(said)")
        }
    }

    /// Whoever reads a shard reads what was written: every byte of it is hashed, once.
    @Test func aChangedShardIsNoticedWhereItIsRead() throws {
        try withTemporaryFolder { folder in
            try trace(folder)
            let opened = try Trace(folder: folder)
            #expect(try opened.shard(1).rowCount == 5)
            #expect(try opened.shard(1).rowCount == 5)
            let file = folder.appending(path: "shards/000001.safetensors")
            var data = try Data(contentsOf: file)
            data[data.count - 1] ^= 1
            // Another file in the same place, as a copy over it makes.
            try FileManager.default.removeItem(at: file)
            try data.write(to: file)
            for trace in [opened, try Trace(folder: folder)] {
                #expect(try trace.shard(0).rowCount == 8)
                let said = complaint { _ = try trace.shard(1) }
                #expect(said.contains("000001.safetensors: sha256: the file is damaged or was changed"), "\(said)")
            }
        }
    }

    /// A shard that was written like this has the right hash; its values are looked at all the same.
    @Test func valuesThatCannotBeAreNoticedWhereTheyAreRead() throws {
        try withTemporaryFolder { folder in
            let run = SmallRun()
            let writer = try TraceWriter(creating: folder, manifest: run.manifest)
            let shard = run.shard(0)
            shard.tokens[2] = 100
            try writer.append(shard)
            let opened = try Trace(folder: folder)
            for _ in 0..<2 {
                let said = complaint { _ = try opened.shard(0) }
                #expect(said.contains("tensor token, row 2: expected 0 to 99, found 100"), "\(said)")
            }
        }
    }

    /// The largest number in F16 is 65504; what rounds to more would be stored as infinite.
    @Test func logitsBeyondF16AreNotWritten() throws {
        try withTemporaryFolder { folder in
            let run = SmallRun(logits: .f16)
            let writer = try TraceWriter(creating: folder, manifest: run.manifest)
            let shard = run.shard(0)
            shard.routerLogits(layerIndex: 1)[4 * 3 + 2] = 65_519
            try writer.append(shard)
            let larger = run.shard(1)
            larger.routerLogits(layerIndex: 1)[4 * 3 + 2] = -65_520
            let said = complaint { try writer.append(larger) }
            #expect(said.contains("000001.safetensors: tensor router_logits, layer 2, row 3"), "\(said)")
            #expect(said.contains("found -65520") && said.contains("router_logits_f16"), "\(said)")
            #expect(try Trace.verify(folder) == [])
        }
    }

    @Test func hashesAreRememberedUntilTheFileChanges() throws {
        try withTemporaryFolder { folder in
            let file = folder.appending(path: "f")
            try Data("abc".utf8).write(to: file)
            // FIPS 180-2, appendix B.1.
            let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            #expect(try FileHashes.rememberedSHA256(of: [file]) == abc)
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSince1970: 1e9)], ofItemAtPath: file.path)
            #expect(try FileHashes.rememberedSHA256(of: [file]) == abc)
            try Data("abd".utf8).write(to: file)
            #expect(try FileHashes.rememberedSHA256(of: [file]) != abc)
        }
    }
}
