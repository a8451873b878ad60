import Crypto
import FileFormats
import Foundation

/// A trace made of documents of others: several traces joined, or some documents of one.
///
/// Values are copied as they are stored; shards are packed anew, as large as a run makes them. Memory is that of one such shard.
public struct TraceCopy {
    /// Documents of one trace, by index, in the order in which they are copied.
    struct Part {
        var trace: Trace
        var documents: [Int]
    }

    let parts: [Part]
    public private(set) var manifest: TraceManifest

    /// Says what corpus the traces are pieces of.
    public mutating func nameCorpus(_ source: String, sha256: String) {
        manifest.corpus.source = source
        manifest.corpus.sha256 = sha256
    }

    public var documents: Int { parts.reduce(0) { $0 + $1.documents.count } }

    /// All documents of several complete traces, one trace after the other.
    ///
    /// - Throws: `mismatch` naming the first field of model, tokenizer, capture, interventions or precision in which two of them
    ///   differ, or the document that is in two of them; `unsupported` for a trace that is not complete.
    public static func merge(_ traces: [Trace]) throws(FileError) -> TraceCopy {
        precondition(!traces.isEmpty)
        let first = traces[0]
        for trace in traces {
            guard trace.manifest.status == .complete else {
                throw FileError.trace(
                    .unsupported, file: trace.url.path, expected: "a complete trace", found: "a partial one",
                    hint: "finish it with --resume, or take what is there with `moescope subset`")
            }
            guard let difference = first.manifest.identityDifference(trace.manifest) else { continue }
            throw FileError.trace(
                .mismatch, file: trace.folder.manifest.path, field: "field \(difference.field)",
                expected: "\(difference.mine), as in \(first.url.path)", found: difference.theirs,
                hint: "only traces of the same model, tokenizer, capture and precision can be joined")
        }
        try checkIDs(traces)
        let vocabularies = try traces.mapThrowing { (trace) throws(FileError) in try trace.vocabulary() }
        if let place = vocabularies.firstIndex(where: { $0 != vocabularies[0] }) {
            throw FileError.trace(
                .mismatch, file: traces[place].folder.file(TraceVocabulary.fileName).path,
                problem: "the pieces of the tokens differ from those of \(first.url.path)")
        }
        let parts = traces.map { Part(trace: $0, documents: Array($0.documents.indices)) }
        return try TraceCopy(parts, kind: .merged)
    }

    /// Some documents of a trace, in its order.
    /// - Parameter documents: indices, rising; at least one.
    public static func subset(_ trace: Trace, documents: [Int]) throws(FileError) -> TraceCopy {
        guard !documents.isEmpty else {
            throw FileError.trace(.mismatch, file: trace.url.path, problem: "no document of the trace is chosen")
        }
        return try TraceCopy([Part(trace: trace, documents: documents)], kind: .subset)
    }

    private init(_ parts: [Part], kind: TraceManifest.Provenance.Kind) throws(FileError) {
        self.parts = parts
        var manifest = parts[0].trace.manifest
        let manifests = parts.map(\.trace.manifest)
        manifest.status = .partial
        manifest.shards = []
        manifest.files = nil
        manifest.manifestSHA256 = nil
        manifest.compute.isa = Self.distinct(manifests.map(\.compute.isa)).joined(separator: ", ")
        manifest.compute.version = Self.distinct(manifests.map(\.compute.version)).joined(separator: ", ")
        manifest.compute.threads = manifests.map(\.compute.threads).max() ?? 0
        let chosen = parts.flatMap { part in part.documents.map { part.trace.documents[$0] } }
        let hashes = manifests.map(\.corpus.sha256)
        manifest.corpus = TraceManifest.Corpus(
            source: Self.distinct(manifests.map(\.corpus.source)).joined(separator: " + "),
            // Parts of one corpus are joined to that corpus; other ones are named by all their hashes.
            sha256: Self.distinct(hashes).count == 1
                ? hashes[0] : SHA256.hash(data: Data(hashes.joined(separator: "\n").utf8)).hex,
            documents: chosen.count, tokens: chosen.reduce(0) { $0 + $1.tokens },
            groups: chosen.reduce(into: [:]) { $0[$1.group, default: 0] += 1 },
            tokensSHA256: try Self.tokensHash(parts))
        manifest.provenance = TraceManifest.Provenance(
            kind: kind, format: manifests[0].provenance?.format,
            sources: parts.map { part in
                TraceManifest.Provenance.Source(
                    name: part.trace.url.lastPathComponent, documents: part.documents.count,
                    tokens: part.documents.reduce(0) { $0 + part.trace.documents[$1].tokens },
                    sha256: part.trace.manifest.manifestSHA256)
            })
        self.manifest = manifest
    }

    /// Writes the trace; nothing is left of it where that fails.
    ///
    /// - Parameters:
    ///   - folder: nothing may be there, or an empty folder.
    ///   - progress: called after every shard with the documents written.
    ///   - isCancelled: asked between shards.
    /// - Throws: `unwritable`; whatever is wrong with a trace that is copied; `CancellationError`.
    public func write(
        to folder: URL, progress: (_ documents: Int) -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws {
        let staged = try StagedTrace(at: folder, manifest: manifest)
        if let vocabulary = try parts[0].trace.vocabulary() { try staged.writer.writeVocabulary(vocabulary) }
        let layout = staged.writer.layout
        let limit = min(Self.shardRows, max(1, Self.shardBytes / max(1, layout.bytesPerToken)))
        let places = parts.flatMap { part in part.documents.map { (part.trace, part.trace.documents[$0]) } }
        var opened: (trace: URL, shard: MappedShard)?
        for wave in Waves.pack(places.map(\.1.tokens), limit) {
            if isCancelled() { throw CancellationError() }
            let shard = TraceShard(layout: layout, documents: places[wave].map(\.1))
            var row = 0
            for (place, (trace, document)) in places[wave].enumerated() {
                let source: MappedShard
                if let opened, opened.trace == trace.url, opened.shard.index == document.shard {
                    source = opened.shard
                } else {
                    source = try trace.shard(document.shard)
                    opened = (trace.url, source)
                }
                shard.copy(document.rows, of: source, to: row)
                try copyPatterns(of: document, in: trace, to: shard, document: place)
                row += document.tokens
            }
            for part in parts { try part.trace.checkReadable() }
            try staged.writer.append(shard)
            progress(wave.upperBound)
        }
        try staged.commit()
    }

    /// Rows of a shard, as a run packs them, and the most bytes.
    private static let shardRows = 8192
    private static let shardBytes = 1 << 27

    private func copyPatterns(
        of document: TraceDocument, in trace: Trace, to shard: TraceShard, document place: Int
    ) throws(FileError) {
        for pair in manifest.capture.attentionPattern {
            guard let pattern = try trace.attentionPattern(document: document.index, layer: pair[0], head: pair[1])
            else { continue }
            pattern.withUnsafeBufferPointer { shard.addPattern($0, document: place, layer: pair[0], head: pair[1]) }
        }
    }

    /// A document of one id in two traces would be two documents of one id in the result.
    private static func checkIDs(_ traces: [Trace]) throws(FileError) {
        var owner: [String: Int] = [:]
        for (place, trace) in traces.enumerated() {
            for document in trace.documents {
                if let other = owner[document.id], other != place {
                    throw FileError.trace(
                        .mismatch, file: trace.folder.documents.path, field: "document \"\(document.id)\"",
                        problem: "\(traces[other].url.path) has a document of this id too",
                        hint: "leave it out of one of them with `moescope subset`")
                }
                owner[document.id] = place
            }
        }
    }

    private static func tokensHash(_ parts: [Part]) throws(FileError) -> String? {
        guard parts[0].trace.layout.hasTokens else { return nil }
        var hash = TokensHash()
        for part in parts {
            var opened: MappedShard?
            for index in part.documents {
                let document = part.trace.documents[index]
                let shard: MappedShard
                if let opened, opened.index == document.shard {
                    shard = opened
                } else {
                    shard = try part.trace.shard(document.shard)
                    opened = shard
                }
                hash.add(shard.token[document.rows])
            }
        }
        return hash.finalized()
    }

    private static func distinct(_ texts: [String]) -> [String] {
        var seen: Set<String> = []
        return texts.filter { seen.insert($0).inserted }
    }
}

extension Array {
    fileprivate func mapThrowing<Result, Failure: Error>(
        _ body: (Element) throws(Failure) -> Result
    ) throws(Failure) -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try body(element)) }
        return results
    }
}
