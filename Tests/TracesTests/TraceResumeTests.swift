import Foundation
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
}
