import FileFormats
import Foundation

extension TraceWriter {
    /// Every field that shapes the numbers must be the same on both sides of an interruption.
    static func check(
        _ wanted: TraceManifest, continues present: TraceManifest, file: String
    ) throws(FileError) {
        func same<Value: Equatable>(_ field: String, _ path: KeyPath<TraceManifest, Value>) throws(FileError) {
            let (expected, found) = (wanted[keyPath: path], present[keyPath: path])
            guard expected == found else {
                throw FileError.trace(
                    .mismatch, file: file, field: "field \(field)", expected: "\(expected)", found: "\(found)",
                    hint: "--resume continues a run with the same settings; choose another --output for other ones")
            }
        }
        try same("version", \.version)
        try same("model.name", \.model.name)
        try same("model.sha256", \.model.sha256)
        try same("model", \.model)
        try same("tokenizer", \.tokenizer)
        try same("capture.router_logits", \.capture.routerLogits)
        try same("capture.attention_summary", \.capture.attentionSummary)
        try same("capture.attention_pattern", \.capture.attentionPattern)
        try same("capture.layers", \.capture.layers)
        try same("capture.experts_per_token", \.capture.expertsPerToken)
        try same("capture.predicted", \.capture.predicted)
        try same("capture.speculative", \.capture.speculative)
        try same("capture", \.capture)
        try same("interventions", \.interventions)
        try same("compute.precision", \.compute.precision)
        try same("compute.isa", \.compute.isa)
        try same("compute.version", \.compute.version)
        try same("corpus.sha256", \.corpus.sha256)
        try same("corpus.documents", \.corpus.documents)
        try same("corpus.tokens", \.corpus.tokens)
        try same("corpus", \.corpus)
    }

    /// Deletes what the manifest does not list, and cuts `documents.jsonl` to the listed documents.
    func removeLeftovers() throws(FileError) {
        var listed = Set(manifest.shards.map(\.file))
        listed.formUnion(manifest.shards.compactMap(\.attention?.file))
        for subfolder in [TraceFolder.shardsName, TraceFolder.attentionName] {
            for name in folder.names(in: subfolder) where !listed.contains("\(subfolder)/\(name)") {
                // Only names that a writer gives; anything else in there is not ours to remove.
                if name.hasSuffix(".safetensors") || name.hasSuffix(".tmp") {
                    try folder.remove("\(subfolder)/\(name)")
                }
            }
        }
        for name in folder.names(in: "") where name.hasSuffix(".tmp") { try folder.remove(name) }
        try folder.makeFolder(TraceFolder.shardsName)
        if !manifest.capture.attentionPattern.isEmpty { try folder.makeFolder(TraceFolder.attentionName) }
        try truncateLines()
    }

    private func truncateLines() throws(FileError) {
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
        guard end < data.count else { return }
        guard truncate(path, off_t(end)) == 0 else { throw Self.refused(path) }
    }
}
