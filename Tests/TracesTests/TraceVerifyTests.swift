import FileFormats
import Foundation
import Tensors
import TestSupport
import Testing
import Traces

/// Damage of every kind is named: which file, which field.
@Suite struct TraceVerifyTests {
    private func damaged(_ damage: (URL) throws -> Void) throws -> [String] {
        try withTemporaryFolder { folder in
            let run = SmallRun()
            let writer = try TraceWriter(creating: folder, manifest: run.manifest)
            for number in 0..<3 { try writer.append(run.shard(number)) }
            try writer.finish()
            try damage(folder)
            do {
                return try Trace.verify(folder).map(\.description)
            } catch {
                return ["\(error)"]
            }
        }
    }

    private func edit(_ url: URL, _ change: (inout Data) -> Void) throws {
        var data = try Data(contentsOf: url)
        change(&data)
        try data.write(to: url)
    }

    @Test func damageIsNamed() throws {
        let shard = "shards/000001.safetensors"
        let cases: [(expected: [String], damage: (URL) throws -> Void)] = [
            (["000001.safetensors: tensor", "truncat"], { try edit($0.appending(path: shard)) { $0.removeLast(20) } }),
            (
                ["000001.safetensors: sha256"],
                { try edit($0.appending(path: shard)) { $0[$0.count - 1] ^= 1 } }
            ),
            (
                ["000001.safetensors", "No such file"],
                { try FileManager.default.removeItem(at: $0.appending(path: shard)) }
            ),
            (
                ["manifest.json: field version: expected 1 to 2, found 9"],
                {
                    try edit($0.appending(path: "manifest.json")) {
                        $0 = Data(
                            String(decoding: $0, as: UTF8.self).replacing("\"version\" : 2", with: "\"version\" : 9")
                                .utf8)
                    }
                }
            ),
            (
                ["manifest.json: field model.experts", "Int"],
                {
                    try edit($0.appending(path: "manifest.json")) {
                        $0 = Data(
                            String(decoding: $0, as: UTF8.self).replacing(
                                "\"experts\" : 4", with: "\"experts\" : \"4\""
                            ).utf8)
                    }
                }
            ),
            (
                ["000000.safetensors: tensor router_logits: expected F32 [2, 8, 5]", "found F32 [2, 8, 4]"],
                {
                    try edit($0.appending(path: "manifest.json")) {
                        $0 = Data(
                            String(decoding: $0, as: UTF8.self).replacing("\"experts\" : 4", with: "\"experts\" : 5")
                                .utf8)
                    }
                }
            ),
            (
                ["documents.jsonl: expected 6 lines"],
                {
                    try edit($0.appending(path: "documents.jsonl")) {
                        $0 = $0.split(separator: 10).dropLast().reduce(into: Data()) { $0 += $1 + [10] }
                    }
                }
            ),
            (
                ["documents.jsonl: line 4, field cluster: expected String"],
                {
                    try edit($0.appending(path: "documents.jsonl")) {
                        $0 = Data(String(decoding: $0, as: UTF8.self).replacing("\"manual\"", with: "7").utf8)
                    }
                }
            ),
            (
                ["attention/000002.safetensors: sha256"],
                { try edit($0.appending(path: "attention/000002.safetensors")) { $0[$0.count - 1] ^= 1 } }
            ),
            (
                ["shards/stray.safetensors: the manifest does not list it"],
                { try Data().write(to: $0.appending(path: "shards/stray.safetensors")) }
            ),
            (
                ["manifest.json: not valid JSON"],
                { try edit($0.appending(path: "manifest.json")) { $0.removeLast(30) } }
            ),
        ]
        for (expected, damage) in cases {
            let problems = try damaged(damage)
            let text = problems.joined(separator: "\n")
            for part in expected {
                let isNamed = part == "truncat" ? text.contains("bytes of data") : text.contains(part)
                #expect(isNamed, "\(part) not in: \(text)")
            }
        }
        #expect(try damaged { _ in } == [])
    }

    @Test func impossibleValuesAreNamed() throws {
        try withTemporaryFolder { folder in
            let run = SmallRun()
            let writer = try TraceWriter(creating: folder, manifest: run.manifest)
            let shard = run.shard(0)
            shard.expertIndices(layerIndex: 1)[3] = 9
            try writer.append(shard)
            let problems = try Trace.verify(folder).map(\.description)
            #expect(
                problems.count == 1
                    && problems[0].contains("tensor expert_indices, layer 2, row 1: expected 0 to 3, found 9"))
        }
    }

    @Test func noTraceIsSaid() throws {
        #expect { try Trace(folder: URL(filePath: "/nonexistent/trace")) } throws: {
            "\($0)".contains("/nonexistent/trace/manifest.json: no such file")
        }
    }

    /// The fixture was written by Python's safetensors from the format's description.
    @Test func aTraceWrittenByPythonIsSound() throws {
        #expect(try Trace.verify(Fixtures.folder.appending(path: "routing-trace")) == [])
    }

    private func whole(_ folder: URL) throws {
        let run = SmallRun()
        let writer = try TraceWriter(creating: folder, manifest: run.manifest)
        try writer.writeVocabulary(TraceVocabulary(pieces: ["Ġder", nil, "x"], kind: .byteLevelBPE))
        for number in 0..<3 { try writer.append(run.shard(number)) }
        try writer.finish()
        #expect(try Trace.verify(folder) == [])
    }

    /// Reads all that a trace has.
    private func readEverything(_ folder: URL) throws {
        let trace = try Trace(folder: folder)
        for index in 0..<trace.shardCount { _ = try trace.shard(index) }
        _ = try trace.vocabulary()
        _ = try trace.attentionPatterns()
    }

    /// One bit flipped anywhere is noticed by verify, and by whoever reads the file.
    @Test func everyFlippedBitIsNoticed() throws {
        try withTemporaryFolder { folder in
            try whole(folder)
            var generator = SeededGenerator(state: 16)
            let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter { $0.contains(".") }
            #expect(names.count == 9)
            for name in names {
                let file = folder.appending(path: name)
                let sound = try Data(contentsOf: file)
                for _ in 0..<40 {
                    var data = sound
                    let (byte, bit) = (
                        Int.random(in: 0..<data.count, using: &generator), UInt8.random(in: 0..<8, using: &generator)
                    )
                    data[byte] ^= 1 << bit
                    try data.write(to: file)
                    let found = (try? Trace.verify(folder).map(\.description)) ?? ["\(name)"]
                    #expect(found.contains { $0.contains(name) }, "\(name), byte \(byte), bit \(bit): \(found)")
                    #expect(throws: FileError.self, "\(name), byte \(byte), bit \(bit)") { try readEverything(folder) }
                }
                try sound.write(to: file)
            }
            #expect(try Trace.verify(folder) == [])
            try readEverything(folder)
        }
    }

    @Test func fieldsThatNobodyKnowsAreNamed() throws {
        try withTemporaryFolder { folder in
            try whole(folder)
            try TraceFiles.forgetHashes(folder) { manifest in
                manifest["noise"] = 1
                var model = manifest["model"] as? [String: Any] ?? [:]
                model["expert"] = ["a": 1]
                manifest["model"] = model
            }
            let said = try Trace.verify(folder).map(\.description).joined(separator: "\n")
            #expect(said.contains("manifest.json: field noise: no such field is known"))
            #expect(said.contains("manifest.json: field model.expert: no such field is known"))
            // Readers take what they know: a later version may say more.
            try readEverything(folder)
        }
    }

    /// Traces from before there were these hashes.
    @Test func withoutHashesATraceIsReadAsBefore() throws {
        try withTemporaryFolder { folder in
            try whole(folder)
            try TraceFiles.forgetHashes(folder)
            #expect(try Trace.verify(folder) == [])
            try readEverything(folder)
            let run = SmallRun()
            #expect(try TraceWriter(resuming: folder, manifest: run.manifest).isComplete)
        }
    }

    @Test func whatFollowsACompleteTracesDocumentsIsNamed() throws {
        try withTemporaryFolder { folder in
            try whole(folder)
            try edit(folder.appending(path: "documents.jsonl")) { $0 += Data("{}\n".utf8) }
            #expect(
                try Trace.verify(folder).map(\.description).joined().contains("documents.jsonl: the file is damaged"))
            #expect(throws: FileError.self) { try Trace(folder: folder) }
        }
    }
}

/// Changes to the files of a written trace.
enum TraceFiles {
    /// Takes out what newer manifests say of files, so that the trace is one of before.
    static func forgetHashes(_ folder: URL, and change: (inout [String: Any]) -> Void = { _ in }) throws {
        let file = folder.appending(path: "manifest.json")
        var manifest = try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any] ?? [:]
        manifest["files"] = nil
        manifest["manifest_sha256"] = nil
        change(&manifest)
        try JSONSerialization.data(withJSONObject: manifest).write(to: file)
    }
}
