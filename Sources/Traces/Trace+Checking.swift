import FileFormats
import Foundation
import Synchronization

/// Which files of an opened trace have been checked against the manifest, so that each is read for it once.
final class CheckedFiles: Sendable {
    private let files = Mutex<[String: FileIdentity]>([:])
    /// Held while a file is checked, so that a second thread waits instead of checking it too.
    private let locks = Mutex<[String: NSLock]>([:])

    /// Runs `check` unless it has succeeded for this file since the file last changed.
    func once(_ path: String, _ url: URL, _ check: () throws(FileError) -> Void) throws(FileError) {
        let identity = FileIdentity(url)
        if let identity, files.withLock({ $0[path] }) == identity { return }
        let lock = locks.withLock { locks in
            let lock = locks[path] ?? NSLock()
            locks[path] = lock
            return lock
        }
        lock.lock()
        defer { lock.unlock() }
        if let identity, files.withLock({ $0[path] }) == identity { return }
        try check()
        if let identity { files.withLock { $0[path] = identity } }
    }
}

extension Trace {
    /// Opens a file of the trace whose hash the manifest gives.
    /// - Throws: also `mismatch` where the file is not the one that was written: it is damaged, or was changed.
    func checkedFile(_ path: String, sha256 expected: String) throws(FileError) -> SafetensorsFile {
        let url = folder.file(path)
        try checked.once(path, url) { () throws(FileError) in
            var found: String
            do throws(FileError) {
                found = try FileHashes.rememberedSHA256(of: [url])
                // What was remembered may be wrong; what is said of a file is what was just read of it.
                if found != expected { found = try FileHashes.sha256(of: [url]) }
            } catch {
                throw FileError.trace(error)
            }
            guard found == expected else {
                throw FileError.trace(
                    .mismatch, file: url.path, field: "sha256", problem: "the file is damaged or was changed",
                    expected: expected, found: found,
                    hint: "`moescope verify \(folder.url.relativePath)` says what is wrong; trace again")
            }
        }
        return try openFile(path)
    }

    /// What is wrong with a file of attention patterns: names, types and shapes.
    func patternProblems(_ shard: TraceManifest.Shard) throws(FileError) -> [FileError] {
        guard let attention = shard.attention else { return [] }
        let file = try openFile(attention.file)
        return file.tensors.compactMap { tensor in
            guard let place = TracePattern.place(tensor.name), documents.indices.contains(place.document),
                0..<manifest.model.layers ~= place.layer, 0..<manifest.model.heads ~= place.head,
                manifest.shards[documents[place.document].shard].attention == attention
            else {
                return FileError.trace(
                    .malformed, file: file.url.path, field: "tensor \(tensor.name)",
                    expected: "document.{index}.layer.{l}.head.{h} of a document of this shard")
            }
            let t = documents[place.document].tokens
            guard tensor.dtype == .f16, tensor.shape == [t, t] else {
                return FileError.trace(
                    .mismatch, file: file.url.path, field: "tensor \(tensor.name)", expected: "F16 [\(t), \(t)]",
                    found: "\(tensor.dtype.rawValue) \(tensor.shape)")
            }
            return nil
        }
    }
}

extension TraceManifest.RecordedFile {
    /// What is wrong with a file's bytes; nil where they are those that were written.
    /// - Parameter grows: whether more may follow them.
    func problem(_ data: Data, file: String, grows: Bool = false) -> FileError? {
        guard data.count == bytes || grows && data.count > bytes else {
            return FileError.trace(
                data.count < bytes ? .truncated : .mismatch, file: file, problem: "the file is damaged or was changed",
                expected: "\(bytes) bytes, as the manifest says", found: "\(data.count)", hint: Self.hint)
        }
        let found = TraceManifest.RecordedFile(data.prefix(bytes)).sha256
        guard found != sha256 else { return nil }
        return FileError.trace(
            .mismatch, file: file, field: "sha256", problem: "the file is damaged or was changed", expected: sha256,
            found: found, hint: Self.hint)
    }

    private static let hint = "restore the file, or trace again"
}
