import Foundation
import Hooks
import RouterPolicies
import Testing
import Traces

@Suite struct TraceResumeTests {
    private let fixed: () -> Date = { Date(timeIntervalSince1970: 0) }

    private func contents(_ folder: URL) throws -> [String: Data] {
        var result: [String: Data] = [:]
        let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
        for name in names {
            let url = folder.appending(path: name)
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder)
            if !isFolder.boolValue { result[name] = try Data(contentsOf: url) }
        }
        return result
    }

    /// Interrupted after any shard, with every kind of leftover, a resumed trace is the uninterrupted one byte for byte.
    @Test(arguments: 0...3)
    func resumedEqualsUninterrupted(shards: Int) throws {
        let run = SmallRun()
        let whole = try withTemporaryFolder { folder in
            let writer = try TraceWriter(creating: folder, manifest: run.manifest, now: fixed)
            for number in 0..<3 { try writer.append(run.shard(number)) }
            try writer.finish()
            return try contents(folder)
        }
        try withTemporaryFolder { folder in
            do {
                let writer = try TraceWriter(creating: folder, manifest: run.manifest, now: fixed)
                for number in 0..<shards { try writer.append(run.shard(number)) }
            }
            // A crash after the next shard was renamed and its lines were written, but before the manifest was, and in
            // the middle of the one after.
            let junk = Data("junk".utf8)
            try junk.write(to: folder.appending(path: "shards/00000\(shards).safetensors"))
            try junk.write(to: folder.appending(path: "attention/00000\(shards).safetensors"))
            try junk.write(to: folder.appending(path: "shards/000009.safetensors.123.tmp"))
            try junk.write(to: folder.appending(path: "manifest.json.123.tmp"))
            let lines = try FileHandle(forWritingTo: folder.appending(path: "documents.jsonl"))
            try lines.seekToEnd()
            try lines.write(contentsOf: Data("{\"index\": 4}\n{\"ind".utf8))
            try lines.close()
            #expect(try Trace(folder: folder).documents.count == 2 * shards)

            let writer = try TraceWriter(resuming: folder, manifest: run.manifest, now: fixed)
            #expect(writer.completedDocuments == 2 * shards && !writer.isComplete)
            #expect(try Trace(folder: folder).manifest.status == .partial)
            for number in shards..<3 { try writer.append(run.shard(number)) }
            try writer.finish()
            #expect(try contents(folder) == whole)
        }
    }

    @Test func otherSettingsAreRefusedByName() throws {
        try withTemporaryFolder { folder in
            let run = SmallRun()
            do {
                let writer = try TraceWriter(resuming: folder.appending(path: "new"), manifest: run.manifest)
                try writer.append(run.shard(0))
            }
            var other = run.manifest
            other.compute.precision = "fast"
            #expect {
                try TraceWriter(resuming: folder.appending(path: "new"), manifest: other)
            } throws: {
                "\($0)".contains("manifest.json: field compute.precision: expected fast, found exact")
            }
            // Threads change nothing in a trace.
            other = run.manifest
            other.compute.threads = 7
            #expect(try TraceWriter(resuming: folder.appending(path: "new"), manifest: other).completedDocuments == 2)
            #expect {
                try TraceWriter(creating: folder.appending(path: "new"), manifest: run.manifest)
            } throws: {
                "\($0)".contains("--resume")
            }
        }
    }

    @Test func anUnfinishedCorpusIsNotComplete() throws {
        try withTemporaryFolder { folder in
            let run = SmallRun()
            let writer = try TraceWriter(creating: folder.appending(path: "a"), manifest: run.manifest)
            try writer.append(run.shard(0))
            #expect { try writer.finish() } throws: { "\($0)".contains("expected 6 documents") }
            #expect(try Trace(folder: folder.appending(path: "a")).manifest.status == .partial)
        }
    }

    /// Names that this writer does not give are somebody's.
    @Test func filesOfSomebodyElseStay() throws {
        try withTemporaryFolder { folder in
            let run = SmallRun()
            do {
                let writer = try TraceWriter(creating: folder, manifest: run.manifest)
                try writer.append(run.shard(0))
            }
            let theirs = [
                "notes.tmp", "model.safetensors", "shards/mine.safetensors", "shards/000007.safetensors",
                "shards/000001.safetensors.tmp", "shards/x.tmp", "attention/mine.safetensors", "manifest.json.old.tmp",
            ]
            let ours = [
                "shards/000001.safetensors", "shards/000001.safetensors.4711.tmp",
                "attention/000001.safetensors.4711-1.tmp",
                "documents.jsonl.4711.tmp", "vocabulary.json.4711.tmp", "manifest.json.4711.tmp",
            ]
            for name in theirs + ours { try Data("mine".utf8).write(to: folder.appending(path: name)) }
            // Ours by name, but a link: what it leads to is not touched.
            let elsewhere = folder.appending(path: "elsewhere")
            try Data("mine".utf8).write(to: elsewhere)
            let link = folder.appending(path: "shards/000002.safetensors.4711.tmp")
            try FileManager.default.createSymbolicLink(at: link, withDestinationURL: elsewhere)
            let writer = try TraceWriter(resuming: folder, manifest: run.manifest)
            for name in theirs + ["elsewhere"] {
                #expect(try Data(contentsOf: folder.appending(path: name)) == Data("mine".utf8), "\(name)")
            }
            for name in ours {
                #expect(!FileManager.default.fileExists(atPath: folder.appending(path: name).path), "\(name)")
            }
            for number in 1..<3 { try writer.append(run.shard(number)) }
            try writer.finish()
            #expect(try Trace(folder: folder).manifest.status == .complete)
        }
    }

    /// Nothing is changed through a link: neither the shards that it leads to nor the trace.
    @Test(arguments: ["shards", "attention", "documents.jsonl"])
    func linksAreRefused(name: String) throws {
        try withTemporaryFolder { parent in
            let run = SmallRun()
            let folder = parent.appending(path: "t")
            do {
                let writer = try TraceWriter(creating: folder, manifest: run.manifest)
                try writer.append(run.shard(0))
            }
            let theirs = parent.appending(path: "theirs")
            try FileManager.default.moveItem(at: folder.appending(path: name), to: theirs)
            try FileManager.default.createSymbolicLink(
                at: folder.appending(path: name), withDestinationURL: theirs)
            if name == "shards" {
                try Data("mine".utf8).write(to: theirs.appending(path: "000001.safetensors"))
            }
            let before = try contents(parent)
            #expect {
                _ = try TraceWriter(resuming: folder, manifest: run.manifest)
            } throws: {
                "\($0)".contains("t/\(name): expected a f") && "\($0)".contains("found a link")
            }
            #expect(try contents(parent) == before)
        }
    }

    @Test func everySettingOfTheModelIsCompared() throws {
        try withTemporaryFolder { folder in
            var run = SmallRun()
            run.manifest.model.config = ["attention.rotary.theta": "10000", "norm.kind": "rms"]
            run.manifest.corpus.tokensSHA256 = "d"
            do { try TraceWriter(creating: folder, manifest: run.manifest).append(run.shard(0)) }
            #expect(try TraceWriter(resuming: folder, manifest: run.manifest).completedDocuments == 2)
            func said(_ change: (inout TraceManifest) -> Void) -> String {
                var other = run.manifest
                change(&other)
                do {
                    _ = try TraceWriter(resuming: folder, manifest: other)
                    return ""
                } catch {
                    return "\(error)"
                }
            }
            let theta = said { $0.model.config?["attention.rotary.theta"] = "500000" }
            #expect(
                theta.contains("manifest.json: field model.config.attention.rotary.theta: expected 500000, found 10000")
            )
            let norm = said { $0.model.config?["norm.kind"] = nil }
            #expect(norm.contains("config.norm.kind: expected nothing, found rms"))
            #expect(said { $0.model.sha256 = "z" }.contains("field model.sha256: expected z, found a"))
            #expect(said { $0.tokenizer.sha256 = "z" }.contains("field tokenizer"))
            #expect(said { $0.corpus.tokensSHA256 = "z" }.contains("field corpus.tokens_sha256"))
            #expect(said { $0.interventions = [Intervention(.topK(1))] }.contains("field interventions"))
            #expect(said { $0.model.router = .softmax(expertsPerToken: 2, normalizes: false) }.contains("field model"))
        }
    }
}
