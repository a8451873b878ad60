import CPython
import FileFormats
import Foundation
import Synchronization
import Traces

/// A trace that Python writes, shard by shard; nothing is left of it where it is not committed.
///
/// Its calls take turns: a lock is held while one writes without the interpreter's.
final class OpenTraceWriter: @unchecked Sendable {
    private let lock = NSLock()
    private var staged: StagedTrace?
    let layout: TraceLayout
    private var hash = TokensHash()
    private var groups: [String: Int] = [:]

    init(_ staged: StagedTrace) {
        self.staged = staged
        layout = staged.writer.layout
    }

    /// Runs `body` while nobody else writes.
    /// - Throws: where the writer is closed.
    func using<R>(_ body: (StagedTrace) throws -> R) throws -> R {
        try lock.withLock {
            guard let staged else { throw PythonError.value("the trace is written, or was given up") }
            return try body(staged)
        }
    }

    func append(_ shard: TraceShard) throws {
        try using { staged in
            try staged.writer.append(shard)
            var row = 0
            for document in shard.documents {
                groups[document.group, default: 0] += 1
                if layout.hasTokens { hash.add(shard.tokens[row..<row + document.tokens]) }
                row += document.tokens
            }
        }
    }

    /// Says what the documents were, now that all are there, and gives the trace its name.
    func commit(source: String, sha256: String, provenance: TraceManifest.Provenance?) throws {
        try using { staged in
            let manifest = staged.writer.manifest
            staged.writer.describe(
                corpus: TraceManifest.Corpus(
                    source: source, sha256: sha256, documents: manifest.documents, tokens: manifest.tokens,
                    groups: groups, tokensSHA256: layout.hasTokens ? hash.finalized() : nil),
                provenance: provenance)
            try staged.commit()
            self.staged = nil
        }
    }

    func abandon() { lock.withLock { staged = nil } }
}

/// The native side of `moescope.writing`.
enum TraceWriterObject {
    static func makeType() throws(PythonError) -> NativeType<OpenTraceWriter> {
        try NativeType(
            name: "moescope._TraceWriter", doc: "A trace being written. Use moescope.writing.",
            methods: [
                MethodEntry("append", "append(documents as JSON, [(column, buffer)]): one shard.") {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        let writer = try types.traceWriter.payload(of: object)
                        let arguments = try Arguments(arguments, count, expected: 2...2)
                        try TraceWriterObject.append(writer, try arguments[0], try arguments[1])
                        return ToPython.none()
                    }
                },
                MethodEntry("vocabulary", "vocabulary(JSON): the text of every token id.") { object, arguments, count in
                    answering { () throws(PythonError) in
                        let writer = try types.traceWriter.payload(of: object)
                        let arguments = try Arguments(arguments, count, expected: 1...1)
                        let text = try FromPython.string(try arguments[0], "vocabulary")
                        try translating {
                            let vocabulary = try TraceCoding.decode(
                                TraceVocabulary.self, from: Data(text.utf8), file: "vocabulary", allowsLongMarks: true)
                            try writer.using { try $0.writer.writeVocabulary(vocabulary) }
                        }
                        return ToPython.none()
                    }
                },
                MethodEntry("commit", "commit(source, sha256, provenance as JSON or None)") {
                    object, arguments, count in
                    answering { () throws(PythonError) in
                        let writer = try types.traceWriter.payload(of: object)
                        let arguments = try Arguments(arguments, count, expected: 3...3)
                        let source = try FromPython.string(try arguments[0], "source")
                        let sha256 = try FromPython.string(try arguments[1], "sha256")
                        let provenance = try FromPython.optional(try arguments[2]) { (object) throws(PythonError) in
                            try FromPython.json(TraceManifest.Provenance.self, object, "provenance")
                        }
                        try ReleasedInterpreter.run { _ in
                            try writer.commit(source: source, sha256: sha256, provenance: provenance)
                        }
                        return ToPython.none()
                    }
                },
                MethodEntry("abandon", "abandon(): leaves nothing.") { object, _, _ in
                    answering { () throws(PythonError) in
                        let writer = try types.traceWriter.payload(of: object)
                        try ReleasedInterpreter.run { _ in writer.abandon() }
                        return ToPython.none()
                    }
                },
            ])
    }

    /// `_moescope.write_trace(output, manifest as JSON) -> _TraceWriter`
    static func open(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 2...2)
        let output = URL(
            fileURLWithPath: try FromPython.string(try arguments[0], "output"), isDirectory: true)
        var manifest = try FromPython.json(TraceManifest.self, try arguments[1], "manifest")
        manifest.shards = []
        manifest.files = nil
        manifest.manifestSHA256 = nil
        let staged = try translating { OpenTraceWriter(try StagedTrace(at: output, manifest: manifest)) }
        return try types.traceWriter.make(staged).release()
    }

    private static func append(
        _ writer: OpenTraceWriter, _ documents: PythonObject, _ columns: PythonObject
    ) throws(PythonError) {
        let documents = try FromPython.json([TraceDocument].self, documents, "documents")
        guard !documents.isEmpty, let rows = rowCount(documents) else {
            throw .value("documents: expected at least one, and at least one token in each")
        }
        let layout = writer.layout
        let shard = TraceShard(layout: layout, documents: documents)
        var missing = Set(layout.columns.map(\.name)).subtracting(TraceColumn.derived)
        let names = try FromPython.list(columns, "columns") { (pair) throws(PythonError) -> String in
            let key = try PythonReference(PySequence_GetItem(pair, 0))
            let values = try PythonReference(PySequence_GetItem(pair, 1))
            let name = try FromPython.string(key.object, "column")
            guard let column = layout.column(name), !TraceColumn.derived.contains(name) else {
                throw .value("column \(name): the trace has no such column")
            }
            var view = Py_buffer()
            guard PyObject_GetBuffer(values.object, &view, Int32(MoescopeBufferRowMajor)) == 0 else { throw .raised }
            defer { PyBuffer_Release(&view) }
            guard shard.fill(column, from: UnsafeRawBufferPointer(start: view.buf, count: view.len)) else {
                throw .value(
                    "column \(name): expected \(column.dtype(layout).rawValue) \(column.shape(layout, rows: rows)), "
                        + "\(rows * column.bytesPerToken(layout)) bytes, found \(view.len) bytes")
            }
            return name
        }
        missing.subtract(names)
        if let name = missing.sorted().first { throw .value("column \(name): expected values, found none") }
        try ReleasedInterpreter.run { _ in try writer.append(shard) }
    }

    /// nil where a document has no token, or they are too many to be counted.
    private static func rowCount(_ documents: [TraceDocument]) -> Int? {
        var rows = 0
        for document in documents {
            guard 1...Int(Int32.max) ~= document.tokens else { return nil }
            rows += document.tokens
        }
        return rows
    }
}
