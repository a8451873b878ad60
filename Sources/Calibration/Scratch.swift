import Foundation
import Tensors
import Traces

/// Folders for traces that are drawn, looked at and thrown away.
package enum Scratch {
    /// In memory where the system has such a folder: thousands of traces are written.
    private static let folder: URL = {
        let memory = URL(filePath: "/dev/shm")
        let usable = FileManager.default.isWritableFile(atPath: memory.path)
        return (usable ? memory : FileManager.default.temporaryDirectory)
            .appending(path: "moescope-calibration-\(ProcessInfo.processInfo.processIdentifier)")
    }()

    /// A new folder's name; the folder is removed afterwards.
    static func withFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
        let url = folder.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: url) }
        return try body(url)
    }

    /// Writes one shard as a whole trace, and opens it.
    /// - Parameter body: may use it until it returns.
    package static func withTrace<Result>(
        _ manifest: TraceManifest, _ shard: TraceShard, _ body: (Trace) throws -> Result
    ) throws -> Result {
        try withFolder { url in
            let writer = try TraceWriter(creating: url, manifest: manifest)
            try writer.append(shard)
            try writer.finish()
            return try body(try Trace(folder: url))
        }
    }

    /// FNV-1a: a stream of numbers of its own for every name.
    static func hash(_ name: String) -> UInt64 {
        name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}

/// The places of the largest values, largest first.
func largest(_ count: Int, of values: [Double]) -> [Int] {
    Array(values.indices.sorted { (values[$1], $0) < (values[$0], $1) }.prefix(count))
}

extension TraceManifest {
    /// Of documents that no model has read.
    package static func synthetic(
        _ documents: [TraceDocument], layers: Int, experts: Int, slots: Int, vocabulary: Int, capture: Capture
    ) -> TraceManifest {
        TraceManifest(
            model: .init(
                name: "synthetic", architecture: "mixtral", layers: layers, experts: experts, expertsPerToken: slots,
                heads: 1, kvHeads: 1, hiddenSize: 8, vocabSize: vocabulary, quantization: "F32", parametersTotal: 1,
                parametersActive: 1, sha256: ""),
            tokenizer: .init(kind: .noTokenizer, sha256: ""), capture: capture,
            compute: .init(precision: "exact", isa: "none", threads: 1, version: "0"),
            corpus: .init(
                source: "synthetic", sha256: "", documents: documents.count,
                tokens: documents.reduce(0) { $0 + $1.tokens },
                groups: documents.reduce(into: [:]) { $0[$1.group, default: 0] += 1 }))
    }
}

extension TraceShard {
    /// Router logits of a token, the experts with the largest, and their softmax.
    func set(logits: [Double], _ layer: Int, _ row: Int) {
        let (E, K) = (logits.count, layout.expertsPerToken)
        for (expert, value) in logits.enumerated() {
            routerLogits(layerIndex: layer)[row * E + expert] = Float(value)
        }
        let best = largest(K, of: logits)
        let weights = best.map { exp(logits[$0] - logits[best[0]]) }
        let total = weights.reduce(0, +)
        for (slot, expert) in best.enumerated() {
            expertIndices(layerIndex: layer)[K * row + slot] = UInt16(expert)
            expertWeights(layerIndex: layer)[K * row + slot] = Float(weights[slot] / total)
        }
    }
}
