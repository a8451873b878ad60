import FileFormats
import Foundation
import Tensors

/// Writes a trace shard by shard.
///
/// Order of every `append`: shard (temporary name, flush, rename), patterns, lines of `documents.jsonl` (flush), manifest
/// (temporary name, flush, rename). What the manifest lists is therefore always whole; killed at any instant, the
/// trace loses at most the shard in flight, and `init(resuming:)` removes what that left behind. A trace resumed at
/// `completedDocuments` with the same shards is the same bytes as an uninterrupted one, but for the two times.
/// One writer at a time: a second one of the same folder is refused. From one thread at a time.
public final class TraceWriter {
    public private(set) var manifest: TraceManifest
    public let layout: TraceLayout
    let folder: TraceFolder
    /// Held until the trace is complete, or the writer is gone.
    private var lock: FolderLock?
    private let now: () -> Date

    /// Starts a new trace.
    /// - Parameter manifest: everything but status, shards and times, which are the writer's.
    /// - Throws: `unwritable` where the folder holds anything already, or cannot be made.
    public convenience init(
        creating url: URL, manifest: TraceManifest, now: @escaping () -> Date = { Date() }
    ) throws(FileError) {
        try self.init(starting: TraceFolder(url: url), manifest: manifest, now: now)
    }

    private static func checkIsUnused(_ folder: TraceFolder) throws(FileError) {
        guard !folder.isUnused else { return }
        let present = folder.names(in: "")
        throw FileError.trace(
            .unwritable, file: folder.url.path,
            problem: "the folder is not empty (\(present.prefix(3).joined(separator: ", ")))",
            hint: present.contains(TraceFolder.manifestName)
                ? "continue the trace there with --resume, or choose another --output" : "choose another --output")
    }

    private init(starting folder: TraceFolder, manifest: TraceManifest, now: @escaping () -> Date) throws(FileError) {
        self.folder = folder
        self.now = now
        layout = TraceLayout(manifest)
        self.manifest = manifest
        self.manifest.status = .partial
        self.manifest.shards = []
        self.manifest.created = Self.time(now())
        self.manifest.updated = self.manifest.created
        try self.manifest.check(file: folder.manifest.path)
        try Self.checkIsUnused(folder)
        try folder.makeFolder("")
        lock = try FolderLock(folder.url)
        // Another writer may have been here between the first look and the lock.
        try Self.checkIsUnused(folder)
        for name in folder.names(in: "") where name.hasSuffix(".tmp") { try folder.remove(name) }
        try folder.makeFolder(TraceFolder.shardsName)
        if !manifest.capture.attentionPattern.isEmpty { try folder.makeFolder(TraceFolder.attentionName) }
        try folder.write(Data(), to: folder.documents)
        try writeManifest()
    }

    /// Continues a trace, or starts it where the folder is empty or missing.
    ///
    /// Removes what an interrupted run left: temporary files, files no manifest lists, lines of unlisted documents.
    /// - Parameter manifest: what the run would start with; model, tokenizer, capture, interventions, precision, corpus
    ///   and MoEScope's version must equal what the folder says, so that both halves are one trace.
    /// - Throws: `mismatch` naming the field that differs; whatever opening the finished shards finds.
    public convenience init(
        resuming url: URL, manifest: TraceManifest, now: @escaping () -> Date = { Date() }
    ) throws(FileError) {
        let folder = TraceFolder(url: url)
        if folder.isUnused {
            try self.init(starting: folder, manifest: manifest, now: now)
        } else {
            try self.init(continuing: folder, manifest: manifest, now: now)
        }
    }

    private init(
        continuing folder: TraceFolder, manifest wanted: TraceManifest, now: @escaping () -> Date
    ) throws(FileError) {
        self.folder = folder
        self.now = now
        layout = TraceLayout(wanted)
        // Before the lock, which would be a file in a folder that is no trace.
        _ = try Trace.readManifest(folder)
        lock = try FolderLock(folder.url)
        manifest = try Trace.readManifest(folder)
        try Self.check(wanted, continues: manifest, file: folder.manifest.path)
        try removeLeftovers()
        // Opening checks that what the manifest calls complete is there.
        _ = try Trace(folder: folder.url)
    }

    /// Documents that need not be traced again: the next one to append is this number.
    public var completedDocuments: Int { manifest.documents }
    public var completedTokens: Int { manifest.tokens }
    /// Whether `finish` has been called, in this run or an earlier one.
    public var isComplete: Bool { manifest.status == .complete }

    /// Adds the next shard: all or nothing.
    /// - Precondition: the shard has this trace's layout and at least one document; the trace is not complete.
    public func append(_ shard: TraceShard) throws(FileError) {
        precondition(shard.layout == layout && !shard.documents.isEmpty && !isComplete)
        let number = manifest.shards.count
        var documents = shard.documents
        var row = 0
        for i in documents.indices {
            documents[i].index = completedDocuments + i
            documents[i].shard = number
            documents[i].firstRow = row
            row += documents[i].tokens
        }
        let file = TraceFolder.shardFile(number)
        if let problem = shard.halfProblem(file: folder.file(file).path) { throw problem }
        var entry = TraceManifest.Shard(file: file, tokens: shard.rowCount, documents: documents.count, sha256: "")
        do throws(FileError) {
            let url = folder.file(file)
            entry.sha256 = try SafetensorsFile.write(shard.entries(documents), to: url).sha256
            if !shard.patterns.isEmpty {
                let file = TraceFolder.attentionFile(number)
                let url = folder.file(file)
                let written = try SafetensorsFile.write(shard.patternEntries(documents), to: url)
                entry.attention = .init(file: file, sha256: written.sha256)
            }
        } catch {
            throw FileError.trace(error)
        }
        try appendLines(documents)
        manifest.shards.append(entry)
        manifest.updated = Self.time(now())
        try writeManifest()
    }

    /// Declares the trace complete.
    /// - Throws: `mismatch` where documents or tokens are not as many as the manifest's corpus has.
    public func finish() throws(FileError) {
        guard manifest.documents == manifest.corpus.documents, manifest.tokens == manifest.corpus.tokens else {
            throw FileError.trace(
                .mismatch, file: folder.manifest.path, field: "field corpus",
                expected: "\(manifest.corpus.documents) documents, \(manifest.corpus.tokens) tokens",
                found: "\(manifest.documents) documents, \(manifest.tokens) tokens in the shards")
        }
        defer { lock = nil }
        guard !isComplete else { return }
        manifest.status = .complete
        manifest.updated = Self.time(now())
        try writeManifest()
    }

    private func writeManifest() throws(FileError) {
        try folder.write(try TraceCoding.manifest(manifest, file: folder.manifest.path), to: folder.manifest)
    }

    private func appendLines(_ documents: [TraceDocument]) throws(FileError) {
        let path = folder.documents.path
        let data = try TraceCoding.lines(documents, file: path)
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.refused(path) }
        defer { close(descriptor) }
        var offset = 0
        while offset < data.count {
            let written = data.withUnsafeBytes { bytes in
                Foundation.write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw Self.refused(path)
            }
            offset += written
        }
        guard fsync(descriptor) == 0 else { throw Self.refused(path) }
    }

    static func refused(_ path: String) -> FileError {
        FileError.trace(.unwritable, file: path, problem: String(cString: strerror(errno)))
    }

    private static func time(_ date: Date) -> String { date.formatted(.iso8601) }
}
