import FileFormats
import Foundation

/// A trace on disk, opened for reading: the manifest and the documents in memory, shards mapped one at a time.
///
/// A trace that is still being written, or was interrupted, can be opened too: it ends at the last complete shard.
public struct Trace: Sendable {
    public let url: URL
    public let manifest: TraceManifest
    public let layout: TraceLayout
    /// The documents of the complete shards, in order.
    public let documents: [TraceDocument]
    /// The first document of each shard.
    let firstDocuments: [Int]
    let folder: TraceFolder
    /// Whether `documents.jsonl` is other than it was written; found at opening.
    let documentsProblem: FileError?
    let checked = CheckedFiles()

    /// Opens a folder and checks manifest, documents and every file's header (names, types, shapes, file sizes) against
    /// each other, and the hashes of manifest and documents. A shard's hash and values are checked when it is first asked for.
    /// - Throws: `missing` where there is no manifest; `unsupported` for a later version; `malformed`, `truncated` or
    ///   `mismatch` naming file and field.
    public init(folder url: URL) throws(FileError) {
        let read = try Self.parseManifest(TraceFolder(url: url))
        if let problem = read.problem { throw problem }
        try self.init(opening: url, manifest: read.manifest)
        if let documentsProblem { throw documentsProblem }
        for shard in manifest.shards {
            if let problem = try patternProblems(shard).first { throw problem }
        }
    }

    /// As `init(folder:)`, with a manifest that was read, but files of attention patterns are not looked at, and what the hash of
    /// the documents says is only kept.
    init(opening url: URL, manifest: TraceManifest) throws(FileError) {
        let folder = TraceFolder(url: url)
        self.url = url
        self.folder = folder
        self.manifest = manifest
        layout = TraceLayout(manifest)
        var first = 0
        firstDocuments = manifest.shards.map { shard in
            defer { first += shard.documents }
            return first
        }
        let data = try folder.contents(folder.documents, hint: "the trace is incomplete")
        documents = try Self.readDocuments(data, file: folder.documents.path, manifest: manifest)
        documentsProblem = manifest.files?[TraceFolder.documentsName]?.problem(
            data, file: folder.documents.path, grows: manifest.status == .partial)
        for index in manifest.shards.indices { _ = try openShard(index) }
    }

    /// Maps a shard. The first time, its hash is compared with the manifest's and its values are checked, so that whoever
    /// reads it can rely on both; later it is cheap: nothing but its header is read before it is used.
    /// - Throws: `mismatch` where the file is damaged or holds a value that cannot be.
    public func shard(_ index: Int) throws(FileError) -> MappedShard {
        let entry = manifest.shards[index]
        let file = try checkedFile(entry.file, sha256: entry.sha256)
        try MappedShard.check(file, layout: layout, rows: entry.tokens)
        let shard = try MappedShard(trace: self, index: index, file: file)
        try checked.once("values of \(entry.file)", folder.file(entry.file)) { () throws(FileError) in
            if let problem = shard.valueProblem(manifest) { throw problem }
        }
        return shard
    }

    /// A shard of which only the header was checked.
    func uncheckedShard(_ index: Int) throws(FileError) -> MappedShard {
        try MappedShard(trace: self, index: index, file: try openShard(index))
    }

    public var shardCount: Int { manifest.shards.count }

    /// The pattern of one head over one document, [t, t] row-major, rows are queries; nil where it was not captured.
    /// - Parameter layer: the model's layer number.
    public func attentionPattern(document: Int, layer: Int, head: Int) throws(FileError) -> [Float]? {
        guard documents.indices.contains(document),
            let attention = manifest.shards[documents[document].shard].attention
        else { return nil }
        let file = try checkedFile(attention.file, sha256: attention.sha256)
        guard let tensor = file[TracePattern.name(document: document, layer: layer, head: head)] else { return nil }
        let t = documents[document].tokens
        guard tensor.dtype == .f16, tensor.shape == [t, t] else {
            throw FileError.trace(
                .mismatch, file: file.url.path, field: "tensor \(tensor.name)", expected: "F16 [\(t), \(t)]",
                found: "\(tensor.dtype.rawValue) \(tensor.shape)")
        }
        return withExtendedLifetime(tensor) {
            [Float](unsafeUninitializedCapacity: t * t) { buffer, count in
                HalfConversion.decode(
                    tensor.bytes.bindMemory(to: UInt16.self),
                    into: UnsafeMutableBufferPointer(rebasing: buffer[0..<t * t]))
                count = t * t
            }
        }
    }

    /// [document, layer, head] of every captured pattern, in order.
    public func attentionPatterns() throws(FileError) -> [(document: Int, layer: Int, head: Int)] {
        var result: [(document: Int, layer: Int, head: Int)] = []
        for shard in manifest.shards {
            guard let attention = shard.attention else { continue }
            let file = try checkedFile(attention.file, sha256: attention.sha256)
            result += file.tensors.compactMap { TracePattern.place($0.name) }
        }
        return result.sorted { ($0.document, $0.layer, $0.head) < ($1.document, $1.layer, $1.head) }
    }

    func openFile(_ path: String) throws(FileError) -> SafetensorsFile {
        do throws(FileError) {
            return try SafetensorsFile(folder.file(path))
        } catch {
            throw FileError.trace(error)
        }
    }

    /// Throws if a part of this trace could not be read since it was opened, because a file was cut short or its disk failed.
    package func checkReadable() throws(FileError) {
        guard MappedFile.faultCount > 0 else { return }
        var files: [URL] = []
        for shard in manifest.shards {
            files.append(folder.file(shard.file))
            if let attention = shard.attention { files.append(folder.file(attention.file)) }
        }
        do throws(FileError) { try MappedFile.check(files) } catch { throw FileError.trace(error) }
    }

    private func openShard(_ index: Int) throws(FileError) -> SafetensorsFile {
        let file = try openFile(manifest.shards[index].file)
        try MappedShard.check(file, layout: layout, rows: manifest.shards[index].tokens)
        return file
    }

    /// - Throws: also `mismatch` where the manifest is not as it was written.
    static func readManifest(_ folder: TraceFolder) throws(FileError) -> TraceManifest {
        let read = try parseManifest(folder)
        if let problem = read.problem { throw problem }
        return read.manifest
    }

    /// The manifest, its bytes, and what is wrong with its hash.
    static func parseManifest(
        _ folder: TraceFolder
    ) throws(FileError) -> (manifest: TraceManifest, data: Data, problem: FileError?) {
        let path = folder.manifest.path
        let data = try folder.contents(folder.manifest, hint: "a trace is a folder made by `moescope trace`")
        // Format and version first: a later version may have fields that this one cannot read.
        struct Head: Decodable {
            let format: String
            let version: Int
        }
        let head = try TraceCoding.decode(Head.self, from: data, file: path)
        guard head.format == TraceManifest.formatName else {
            throw FileError.trace(
                .malformed, file: path, field: "field format", expected: "\"\(TraceManifest.formatName)\"",
                found: "\"\(head.format)\"")
        }
        guard TraceManifest.readableVersions ~= head.version else {
            throw FileError.trace(
                .unsupported, file: path, field: "field version",
                expected: "\(TraceManifest.readableVersions.lowerBound) to \(TraceManifest.currentVersion)",
                found: "\(head.version)", hint: "a newer MoEScope reads it")
        }
        let manifest = try TraceCoding.decode(TraceManifest.self, from: data, file: path)
        try manifest.check(file: path)
        return (manifest, data, ManifestHash.problem(data, manifest, file: path))
    }

    private static func readDocuments(
        _ data: Data, file path: String, manifest: TraceManifest
    ) throws(FileError) -> [TraceDocument] {
        var documents: [TraceDocument] = []
        var row = 0
        var shard = 0
        var inShard = 0
        func expect(_ field: String, _ expected: Int, _ found: Int, _ place: String) throws(FileError) {
            guard expected == found else {
                throw FileError.trace(
                    .mismatch, file: path, field: "\(place), field \(field)", expected: "\(expected)",
                    found: "\(found)")
            }
        }
        for (number, line) in data.split(separator: UInt8(ascii: "\n")).enumerated() {
            // Lines past the manifest belong to a shard in flight.
            guard number < manifest.documents else { break }
            let place = "line \(number + 1)"
            let document = try TraceCoding.decode(TraceDocument.self, from: line, file: path, place: place)
            while shard < manifest.shards.count, inShard == manifest.shards[shard].documents {
                try expect("tokens", manifest.shards[shard].tokens, row, "documents of shard \(shard)")
                shard += 1
                inShard = 0
                row = 0
            }
            try expect("index", number, document.index, place)
            try expect("shard", shard, document.shard, place)
            try expect("first_row", row, document.firstRow, place)
            guard document.tokens > 0, document.tokens <= manifest.shards[shard].tokens - row else {
                throw FileError.trace(
                    .mismatch, file: path, field: "\(place), field tokens",
                    expected: "1 to \(manifest.shards[shard].tokens - row), the rows left in shard \(shard)",
                    found: "\(document.tokens)")
            }
            if let prompt = document.promptTokens, !(0...document.tokens ~= prompt) {
                throw FileError.trace(
                    .mismatch, file: path, field: "\(place), field prompt_tokens",
                    expected: "0 to \(document.tokens)", found: "\(prompt)")
            }
            row += document.tokens
            inShard += 1
            documents.append(document)
        }
        guard documents.count == manifest.documents else {
            throw FileError.trace(
                .truncated, file: path, expected: "\(manifest.documents) lines, as the manifest says",
                found: "\(documents.count)")
        }
        if shard < manifest.shards.count {
            try expect("tokens", manifest.shards[shard].tokens, row, "documents of shard \(shard)")
        }
        return documents
    }
}
