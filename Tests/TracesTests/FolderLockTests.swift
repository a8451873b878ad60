import Foundation
import Testing
import Traces

/// One writer at a time, and folders that a writer was stopped in before anything was written.
@Suite struct FolderLockTests {
    private let lock = ".moescope.lock"

    private func refusal(_ body: () throws -> Void) -> String {
        do {
            try body()
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test func theSecondWriterIsToldWhoTheFirstIs() throws {
        try withTemporaryFolder { parent in
            let run = SmallRun()
            let folder = parent.appending(path: "t")
            var first: TraceWriter? = try TraceWriter(creating: folder, manifest: run.manifest)
            try first?.append(run.shard(0))
            let before = try Data(contentsOf: folder.appending(path: "manifest.json"))
            let said = refusal { _ = try TraceWriter(resuming: folder, manifest: run.manifest) }
            #expect(said.hasPrefix("\(folder.path): process \(getpid()) on "), "\(said)")
            #expect(said.contains(", since 2") && said.contains("is writing here") && said.contains("--output"))
            #expect(try Data(contentsOf: folder.appending(path: "manifest.json")) == before)
            first = nil
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: lock).path))

            let second = try TraceWriter(resuming: folder, manifest: run.manifest)
            for number in 1..<3 { try second.append(run.shard(number)) }
            try second.finish()
            #expect(try Trace.verify(folder) == [])
            // What is complete is nobody's.
            #expect(try TraceWriter(resuming: folder, manifest: run.manifest).isComplete)
        }
    }

    /// A lock file without a lock is what a killed writer leaves.
    @Test func aKilledWritersLockIsTakenOver() throws {
        try withTemporaryFolder { folder in
            let file = folder.appending(path: lock)
            try Data("elsewhere 1 2026-01-01T00:00:00Z\n".utf8).write(to: file)
            let writer = try TraceWriter(creating: folder, manifest: SmallRun().manifest)
            #expect(try String(contentsOf: file, encoding: .utf8).contains(" \(getpid()) "))
            withExtendedLifetime(writer) {}
        }
    }

    @Test func aFolderThatIsNoTraceIsLeftAlone() throws {
        try withTemporaryFolder { folder in
            try Data("mine".utf8).write(to: folder.appending(path: "notes.txt"))
            let manifest = SmallRun().manifest
            #expect(refusal { _ = try TraceWriter(resuming: folder, manifest: manifest) }.contains("manifest.json"))
            #expect(refusal { _ = try TraceWriter(creating: folder, manifest: manifest) }.contains("not empty"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["notes.txt"])
        }
    }

    /// Stopped before its first manifest, a trace has nothing to lose: it begins again.
    @Test(arguments: [false, true])
    func aHalfBornTraceBeginsAgain(resume: Bool) throws {
        try withTemporaryFolder { folder in
            for name in ["shards", "attention"] {
                try FileManager.default.createDirectory(
                    at: folder.appending(path: name), withIntermediateDirectories: true)
            }
            for name in ["documents.jsonl", "documents.jsonl.77.tmp", "manifest.json.77-2.tmp", lock] {
                try Data().write(to: folder.appending(path: name))
            }
            let run = SmallRun()
            let writer =
                try resume
                ? TraceWriter(resuming: folder, manifest: run.manifest)
                : TraceWriter(creating: folder, manifest: run.manifest)
            for number in 0..<3 { try writer.append(run.shard(number)) }
            try writer.finish()
            #expect(try Trace.verify(folder) == [])
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
            #expect(names == ["attention", "documents.jsonl", "manifest.json", "shards"])
        }
    }

    /// What looks like a leftover but is not one of this writer's is no reason to begin.
    @Test(arguments: ["notes.tmp", "manifest.json.x.tmp", "manifest.json.tmp", "shards/mine.safetensors"])
    func aFolderWithSomebodysFilesIsNotBegunIn(name: String) throws {
        try withTemporaryFolder { folder in
            let file = folder.appending(path: name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data("mine".utf8).write(to: file)
            let manifest = SmallRun().manifest
            #expect(refusal { _ = try TraceWriter(resuming: folder, manifest: manifest) }.contains("manifest.json"))
            #expect(refusal { _ = try TraceWriter(creating: folder, manifest: manifest) }.contains("not empty"))
            #expect(try Data(contentsOf: file) == Data("mine".utf8))
        }
    }
}
