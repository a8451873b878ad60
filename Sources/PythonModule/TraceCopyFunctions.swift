import CPython
import Foundation
import Traces

/// `_moescope.merge` and `_moescope.subset`: traces made of documents of others.
enum TraceCopyFunctions {
    /// `merge(paths, output, source or None, sha256 or None)`: the last two name the corpus, where the traces are pieces of one.
    static func merge(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 4...4)
        let paths = try FromPython.list(try arguments[0], "traces") { (object) throws(PythonError) in
            try FromPython.string(object, "traces")
        }
        guard !paths.isEmpty else { throw .value("traces: expected at least one") }
        let output = URL(fileURLWithPath: try FromPython.string(try arguments[1], "output"), isDirectory: true)
        let source = try FromPython.optional(try arguments[2]) { (object) throws(PythonError) in
            try FromPython.string(object, "source")
        }
        let sha256 = try FromPython.optional(try arguments[3]) { (object) throws(PythonError) in
            try FromPython.string(object, "sha256")
        }
        try ReleasedInterpreter.run { interpreter in
            let traces = try paths.map { try Trace(folder: URL(fileURLWithPath: $0, isDirectory: true)) }
            var copy = try TraceCopy.merge(traces)
            if let source, let sha256 { copy.nameCorpus(source, sha256: sha256) }
            try copy.write(to: output, isCancelled: { interpreter.isInterrupted })
        }
        return ToPython.none()
    }

    /// `subset(trace, documents, output)`
    static func subset(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 3...3)
        let trace = try types.trace.payload(of: try arguments[0]).trace
        let documents = Set(try FromPython.ints(try arguments[1], "documents")).sorted()
        for index in [documents.first, documents.last].compactMap(\.self) where !trace.documents.indices.contains(index)
        {
            throw .value("documents: expected indices from 0 to \(trace.documents.count - 1), found \(index)")
        }
        let output = URL(fileURLWithPath: try FromPython.string(try arguments[2], "output"), isDirectory: true)
        try ReleasedInterpreter.run { interpreter in
            try TraceCopy.subset(trace, documents: documents).write(
                to: output, isCancelled: { interpreter.isInterrupted })
        }
        return ToPython.none()
    }
}
