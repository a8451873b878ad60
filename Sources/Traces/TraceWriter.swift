import Crypto
import FileFormats
import Foundation
import Tensors

/// Writes a trace shard by shard.
///
/// Order of every `append`: shard (temporary name, flush, rename), patterns, lines of `documents.jsonl` (flush), manifest
/// (temporary name, flush, rename). What the manifest lists is therefore always whole; killed at any instant, the
/// trace loses at most the shard in flight, and `init(resuming:)` removes what that left behind, by the names that a writer gives and
/// never through a link. The manifest holds the hashes of all other files, and its own. A trace resumed at
/// `completedDocuments` with the same shards is the same bytes as an uninterrupted one, but for the two times.
/// One writer at a time: a second one of the same folder is refused. From one thread at a time.
public final class TraceWriter {
    public private(set) var manifest: TraceManifest
    public let layout: TraceLayout
    let folder: TraceFolder
    /// Held until the trace is complete, or the writer is gone.
    private var lock: FolderLock?
    private let now: () -> Date
    /// Hash and number of the bytes of `documents.jsonl` that the manifest answers for.
    private var lines = (hash: SHA256(), bytes: 0)

    /// Starts a new trace.
    /// - Parameter manifest: everything but status, shards, files and times, which are the writer's.
    /// - Throws: `unwritable` where the folder holds anything already, cannot be made, or another process writes there.
    public convenience init(
        creating url: URL, manifest: TraceManifest, now: @escaping () -> Date = { Date() }
    ) throws(FileError) {
        try self.init(TraceFolder(url: url), manifest: manifest, resumes: false, now: now)
    }

    /// Continues a trace, or starts it where the folder is empty or missing, or a writer was stopped in it before its first
    /// manifest.
    ///
    /// Removes what an interrupted run left: its temporary files, its shard in flight, lines of unlisted documents.
    /// - Parameter manifest: what the run would start with; model, tokenizer, capture, interventions, precision, corpus
    ///   and MoEScope's version must equal what the folder says, so that both halves are one trace.
    /// - Throws: `mismatch` naming the field that differs; whatever opening the finished shards finds. Nothing is changed then.
    public convenience init(
        resuming url: URL, manifest: TraceManifest, now: @escaping () -> Date = { Date() }
    ) throws(FileError) {
        try self.init(TraceFolder(url: url), manifest: manifest, resumes: true, now: now)
    }

    private init(
        _ folder: TraceFolder, manifest wanted: TraceManifest, resumes: Bool, now: @escaping () -> Date
    ) throws(FileError) {
        self.folder = folder
        self.now = now
        layout = TraceLayout(wanted)
        manifest = wanted
        try wanted.check(file: folder.manifest.path)
        // Before the lock, which would be a file in a folder that is no trace.
        _ = try Self.isContinued(folder, resumes: resumes)
        try folder.refuseLinks()
        try folder.makeFolder("")
        lock = try FolderLock(folder.url)
        // Another writer may have been here between the first look and the lock.
        if try Self.isContinued(folder, resumes: resumes) {
            try proceed(wanted)
        } else {
            try begin()
        }
    }

    /// Whether there is a trace to go on with, rather than one to begin.
    private static func isContinued(_ folder: TraceFolder, resumes: Bool) throws(FileError) -> Bool {
        guard !folder.isUnused else { return false }
        if resumes {
            _ = try Trace.readManifest(folder)
            return true
        }
        let present = folder.names(in: "")
        throw FileError.trace(
            .unwritable, file: folder.url.path,
            problem: "the folder is not empty (\(present.prefix(3).joined(separator: ", ")))",
            hint: present.contains(TraceFolder.manifestName)
                ? "continue the trace there with --resume, or choose another --output" : "choose another --output")
    }

    private func begin() throws(FileError) {
        manifest.status = .partial
        manifest.shards = []
        manifest.created = Self.time(now())
        manifest.updated = manifest.created
        try removeTemporaryFiles()
        try folder.makeFolder(TraceFolder.shardsName)
        if !manifest.capture.attentionPattern.isEmpty { try folder.makeFolder(TraceFolder.attentionName) }
        try folder.write(Data(), to: folder.documents)
        manifest.files = [:]
        recordLines()
        try writeManifest()
    }

    private func proceed(_ wanted: TraceManifest) throws(FileError) {
        manifest = try Trace.readManifest(folder)
        try Self.check(wanted, continues: manifest, file: folder.manifest.path)
        // Opening checks that what the manifest calls complete is there, and that the lines are those that were written.
        _ = try Trace(folder: folder.url)
        let listed = try listedLines()
        lines.hash.update(data: listed)
        lines.bytes = listed.count
        guard !isComplete else { return }
        try removeLeftovers()
        guard truncate(folder.documents.path, off_t(lines.bytes)) == 0 else {
            throw Self.refused(folder.documents.path)
        }
        // A trace that an older version began gets its hashes with the next shard.
        manifest.files = manifest.files ?? [:]
        recordLines()
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
            entry.sha256 = try SafetensorsFile.write(shard.entries(documents), to: url, in: .ownFolder).sha256
            if !shard.patterns.isEmpty {
                let file = TraceFolder.attentionFile(number)
                let url = folder.file(file)
                let written = try SafetensorsFile.write(
                    shard.patternEntries(documents), to: url, in: .ownFolder)
                entry.attention = .init(file: file, sha256: written.sha256)
            }
        } catch {
            throw FileError.trace(error)
        }
        try appendLines(documents)
        recordLines()
        manifest.shards.append(entry)
        manifest.updated = Self.time(now())
        try writeManifest()
    }

    /// Says what the corpus was, and where it comes from, for a writer that learns it from the documents. Written with the next shard,
    /// or by `finish`.
    package func describe(corpus: TraceManifest.Corpus, provenance: TraceManifest.Provenance?) {
        manifest.corpus = corpus
        manifest.provenance = provenance
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

    /// Lets go of the folder, also while somebody still holds this object; nothing may be written afterwards.
    public func release() { lock = nil }

    private func writeManifest() throws(FileError) {
        try folder.write(try TraceCoding.manifest(manifest, file: folder.manifest.path), to: folder.manifest)
    }

    /// Lists a file that has been written.
    func record(_ file: TraceManifest.RecordedFile, as name: String) throws(FileError) {
        manifest.files?[name] = file
        try writeManifest()
    }

    private func recordLines() {
        manifest.files?[TraceFolder.documentsName] = .init(bytes: lines.bytes, sha256: lines.hash.finalize().hex)
    }

    /// Writes where the listed lines end, over what a failed attempt may have left there.
    private func appendLines(_ documents: [TraceDocument]) throws(FileError) {
        let path = folder.documents.path
        let data = try TraceCoding.lines(documents, file: path)
        let descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw Self.refused(path) }
        defer { close(descriptor) }
        guard ftruncate(descriptor, off_t(lines.bytes)) == 0 else { throw Self.refused(path) }
        var offset = 0
        while offset < data.count {
            let written = data.withUnsafeBytes { bytes in
                pwrite(
                    descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset, off_t(lines.bytes + offset)
                )
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw Self.refused(path)
            }
            offset += written
        }
        guard fsync(descriptor) == 0 else { throw Self.refused(path) }
        lines.hash.update(data: data)
        lines.bytes += data.count
    }

    static func refused(_ path: String) -> FileError {
        FileError.trace(.unwritable, file: path, problem: String(cString: strerror(errno)))
    }

    private static func time(_ date: Date) -> String { date.formatted(.iso8601) }
}
