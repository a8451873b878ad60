import FileFormats
import Foundation

/// A trace that is written under a temporary name beside its own, and gets its name when it is whole and sound: whatever goes wrong
/// before that, nothing half-written is left.
///
/// The temporary folder is `.NAME.PROCESS.tmp`; what a killed writer left of it is removed by the next one of the same name. From
/// one thread at a time.
public final class StagedTrace {
    public let writer: TraceWriter
    private let target: URL
    private let folder: URL
    private var isDone = false

    /// - Parameters:
    ///   - target: the trace's folder: nothing may be there, or an empty folder.
    ///   - manifest: as for `TraceWriter`.
    /// - Throws: `unwritable` where something is there, or the system refuses.
    public init(at target: URL, manifest: TraceManifest) throws(FileError) {
        let present = TraceFolder(url: target)
        let kind = RegularFile.kind(target)
        guard kind == nil || kind == S_IFDIR && present.names(in: "").isEmpty else {
            throw FileError.trace(
                .unwritable, file: target.path,
                problem: kind == S_IFDIR ? "the folder is not empty" : "something is there already",
                hint: "choose another --output")
        }
        self.target = target
        let parent = URL(filePath: NSString(string: target.path).deletingLastPathComponent, directoryHint: .isDirectory)
        do throws(FileError) { try DurableFolder.make(parent) } catch { throw FileError.trace(error) }
        let name = ".\(target.lastPathComponent)"
        Self.removeLeftovers(of: name, in: parent)
        var folder = parent.appending(path: "\(name).\(getpid()).tmp", directoryHint: .isDirectory)
        var number = 1
        while mkdir(folder.path, 0o777) != 0 {
            guard errno == EEXIST, number < 10_000 else {
                throw FileError.trace(.unwritable, file: target.path, problem: String(cString: strerror(errno)))
            }
            folder = parent.appending(path: "\(name).\(getpid())-\(number).tmp", directoryHint: .isDirectory)
            number += 1
        }
        self.folder = folder
        do throws(FileError) { writer = try TraceWriter(creating: folder, manifest: manifest) } catch {
            try? FileManager.default.removeItem(at: folder)
            throw Self.renamed(error, from: folder.path, to: target.path)
        }
    }

    /// Completes the trace, reads every value of it back, and gives it its name.
    /// - Throws: a value that cannot be, a document too few or too many, or `unwritable` where something has come to be at that place.
    public func commit() throws(FileError) {
        do throws(FileError) {
            try writer.finish()
            let trace = try Trace(folder: folder)
            for index in 0..<trace.shardCount { _ = try trace.shard(index) }
        } catch {
            // The place that the user knows, not the temporary one.
            throw Self.renamed(error, from: folder.path, to: target.path)
        }
        guard rename(folder.path, target.path) == 0 else {
            throw FileError.trace(
                .unwritable, file: target.path, problem: String(cString: strerror(errno)),
                hint: "choose another --output")
        }
        isDone = true
        DurableFolder.flush(target.deletingLastPathComponent())
    }

    private static func renamed(_ error: FileError, from old: String, to new: String) -> FileError {
        var error = error
        error.file = error.file.replacing(old.hasSuffix("/") ? String(old.dropLast()) : old, with: new)
        return error
    }

    deinit {
        guard !isDone else { return }
        writer.release()
        try? FileManager.default.removeItem(at: folder)
    }

    /// Removes temporary folders of this name that nobody writes in: their lock is free.
    private static func removeLeftovers(of name: String, in parent: URL) {
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: parent.path)) ?? []
        where TemporaryFiles.target(of: entry) == name {
            let folder = parent.appending(path: entry, directoryHint: .isDirectory)
            guard RegularFile.kind(folder) == S_IFDIR, let lock = try? FolderLock(folder) else { continue }
            try? FileManager.default.removeItem(at: folder)
            withExtendedLifetime(lock) {}
        }
    }
}
