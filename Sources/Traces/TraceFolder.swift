import FileFormats
import Foundation

/// Where the files of a trace are.
package struct TraceFolder: Sendable {
    let url: URL

    static let manifestName = "manifest.json"
    static let documentsName = "documents.jsonl"
    static let shardsName = "shards"
    static let attentionName = "attention"

    var manifest: URL { url.appending(path: Self.manifestName) }
    var documents: URL { url.appending(path: Self.documentsName) }

    /// "shards/000007.safetensors"
    static func shardFile(_ index: Int) -> String { "\(shardsName)/\(numbered(index))" }
    static func attentionFile(_ index: Int) -> String { "\(attentionName)/\(numbered(index))" }

    private static func numbered(_ index: Int) -> String {
        let digits = String(index)
        return String(repeating: "0", count: max(0, 6 - digits.count)) + digits + ".safetensors"
    }

    func file(_ path: String) -> URL { url.appending(path: path) }

    func makeFolder(_ name: String) throws(FileError) {
        do throws(FileError) { try DurableFolder.make(name.isEmpty ? url : url.appending(path: name)) } catch {
            var error = FileError.trace(error)
            error.hint = "choose another --output"
            throw error
        }
    }

    /// Names in a subfolder ("" for the trace's own), sorted, without a writer's lock; empty where there is none.
    func names(in subfolder: String) -> [String] {
        let target = subfolder.isEmpty ? url : url.appending(path: subfolder)
        return ((try? FileManager.default.contentsOfDirectory(atPath: target.path)) ?? [])
            .filter { $0 != FolderLock.fileName }.sorted()
    }

    /// Whether a new trace may begin here: nothing is there, or only what a writer leaves that was stopped before its first
    /// manifest was written.
    var isUnused: Bool {
        names(in: "").allSatisfy { name in
            switch name {
            case Self.documentsName: kind(name) == S_IFREG && (try? Data(contentsOf: documents))?.isEmpty ?? false
            case Self.shardsName, Self.attentionName: kind(name) == S_IFDIR && names(in: name).isEmpty
            default: isLeftover(name)
            }
        }
    }

    /// Whether a name at the top is that of a temporary file of this writer.
    func isLeftover(_ name: String) -> Bool {
        guard let target = TemporaryFiles.target(of: name) else { return false }
        return [Self.manifestName, Self.documentsName, TraceVocabulary.fileName].contains(target)
    }

    /// `S_IFREG`, `S_IFDIR`, `S_IFLNK`, … of what has this name itself, links not followed; nil where nothing has it.
    func kind(_ path: String) -> UInt32? { RegularFile.kind(file(path)) }

    /// A writer works in the folder itself: what a link leads to may be somebody else's.
    /// - Throws: `unwritable` naming a link, or what else stands where a file or folder of the trace belongs.
    func refuseLinks() throws(FileError) {
        let names = [
            Self.shardsName, Self.attentionName, Self.manifestName, Self.documentsName, TraceVocabulary.fileName,
        ]
        for (index, name) in names.enumerated() {
            guard let kind = kind(name), kind != (index < 2 ? S_IFDIR : S_IFREG) else { continue }
            throw FileError.trace(
                .unwritable, file: file(name).path,
                expected: index < 2 ? "a folder of the trace" : "a file of the trace",
                found: kind == S_IFLNK ? "a link, and what it leads to may be another's" : "something else",
                hint: "put the \(index < 2 ? "folder" : "file") itself there, or choose another --output")
        }
    }

    /// Removes a regular file of the folder; anything else of that name stays.
    func remove(_ path: String) throws(FileError) {
        guard kind(path) == S_IFREG, unlink(file(path).path) != 0, errno != ENOENT else { return }
        throw FileError.trace(
            .unwritable, file: file(path).path, problem: "cannot be removed: \(String(cString: strerror(errno)))")
    }

    func contents(_ target: URL, hint: String) throws(FileError) -> Data {
        do throws(FileError) {
            return try FileContents.read(target)
        } catch {
            throw FileError.trace(error.reason, file: target.path, problem: error.problem, hint: hint)
        }
    }

    /// Replaces a file whole: temporary name, flush, rename.
    func write(_ data: Data, to target: URL) throws(FileError) {
        do throws(FileError) { try AtomicFileWriter.write(data, to: target, in: .ownFolder) } catch {
            throw FileError.trace(error)
        }
    }

    /// What the system says, without the wrapping that Foundation puts around it.
    package static func reason(_ error: any Error) -> String {
        let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
        if let underlying, underlying.domain == NSPOSIXErrorDomain {
            return String(cString: strerror(Int32(underlying.code)))
        }
        return (error as NSError).localizedDescription
    }
}
