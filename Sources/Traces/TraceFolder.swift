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
        let target = name.isEmpty ? url : url.appending(path: name)
        do {
            try FileManager.default.createDirectory(at: target, withIntermediateDirectories: true)
        } catch {
            throw FileError.trace(
                .unwritable, file: target.path, problem: "the folder cannot be made: \(Self.reason(error))",
                hint: "choose another --output")
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
            case Self.documentsName: (try? Data(contentsOf: documents))?.isEmpty ?? false
            case Self.shardsName, Self.attentionName: names(in: name).isEmpty
            default: name.hasPrefix(Self.manifestName + ".") && name.hasSuffix(".tmp")
            }
        }
    }

    func remove(_ path: String) throws(FileError) {
        do {
            try FileManager.default.removeItem(at: file(path))
        } catch {
            throw FileError.trace(
                .unwritable, file: file(path).path, problem: "cannot be removed: \(Self.reason(error))")
        }
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
        do throws(FileError) {
            var writer = try AtomicFileWriter(target)
            let result = data.withUnsafeBytes { bytes in
                Result { () throws(FileError) -> Void in try writer.write(bytes) }
            }
            try result.get()
            _ = try writer.finish()
        } catch {
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
