import Crypto
import FileFormats
import Foundation

extension TraceWriter {
    /// Every field that shapes the numbers must be the same on both sides of an interruption.
    static func check(
        _ wanted: TraceManifest, continues present: TraceManifest, file: String
    ) throws(FileError) {
        func differs(_ field: String, expected: String, found: String) -> FileError {
            FileError.trace(
                .mismatch, file: file, field: "field \(field)", expected: expected, found: found,
                hint: "--resume continues a run with the same settings; choose another --output for other ones")
        }
        func same<Value: Equatable>(_ field: String, _ path: KeyPath<TraceManifest, Value>) throws(FileError) {
            let (expected, found) = (wanted[keyPath: path], present[keyPath: path])
            guard expected == found else { throw differs(field, expected: "\(expected)", found: "\(found)") }
        }
        if let difference = wanted.identityDifference(present) {
            throw differs(difference.field, expected: difference.mine, found: difference.theirs)
        }
        try same("compute.isa", \.compute.isa)
        try same("compute.version", \.compute.version)
        try same("corpus.sha256", \.corpus.sha256)
        try same("corpus.documents", \.corpus.documents)
        try same("corpus.tokens", \.corpus.tokens)
        try same("corpus.tokens_sha256", \.corpus.tokensSHA256)
        try same("corpus", \.corpus)
    }

    /// Whether a name in `shards/` or `attention/` is one that this writer gives before the manifest lists it: that of the shard in
    /// flight, or a temporary one.
    /// - Parameter number: of the shard that comes next.
    static func isInFlight(_ name: String, shard number: Int) -> Bool {
        let flying = TraceFolder.shardFile(number).dropFirst(TraceFolder.shardsName.count + 1)
        if name == flying { return true }
        guard let target = TemporaryFiles.target(of: name), target.hasSuffix(".safetensors") else { return false }
        let digits = target.dropLast(".safetensors".count)
        return digits.count >= 6 && digits.allSatisfy { "0"..."9" ~= $0 }
    }

    /// Removes what an interrupted run of this writer left: files under names that it gives and the manifest does not list.
    /// Everything else in the folder is somebody's, and stays.
    func removeLeftovers() throws(FileError) {
        for subfolder in [TraceFolder.shardsName, TraceFolder.attentionName] {
            for name in folder.names(in: subfolder) where Self.isInFlight(name, shard: manifest.shards.count) {
                try folder.remove("\(subfolder)/\(name)")
            }
        }
        try removeTemporaryFiles()
        try folder.makeFolder(TraceFolder.shardsName)
        if !manifest.capture.attentionPattern.isEmpty { try folder.makeFolder(TraceFolder.attentionName) }
    }

    func removeTemporaryFiles() throws(FileError) {
        for name in folder.names(in: "") where folder.isLeftover(name) { try folder.remove(name) }
    }

    /// The lines of the listed documents, which the writer goes on from.
    func listedLines() throws(FileError) -> Data {
        let path = folder.documents.path
        let data = try folder.contents(folder.documents, hint: "the trace cannot be continued; start it again")
        var lines = 0
        var end = 0
        for (offset, byte) in data.enumerated() {
            if lines == manifest.documents { break }
            if byte == UInt8(ascii: "\n") {
                lines += 1
                end = offset + 1
            }
        }
        guard lines == manifest.documents else {
            throw FileError.trace(
                .truncated, file: path, expected: "\(manifest.documents) lines, as the manifest says",
                found: "\(lines)",
                hint: "the trace cannot be continued; start it again")
        }
        return data.prefix(end)
    }
}
