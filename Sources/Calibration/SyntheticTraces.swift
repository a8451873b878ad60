import Foundation
import RoutingMetrics
import Tensors
import Traces

extension Scenario {
    /// In memory where the system has such a folder: thousands of traces are written and thrown away.
    private static let folder: URL = {
        let memory = URL(filePath: "/dev/shm")
        let usable = FileManager.default.isWritableFile(atPath: memory.path)
        return (usable ? memory : FileManager.default.temporaryDirectory)
            .appending(path: "moescope-calibration-\(ProcessInfo.processInfo.processIdentifier)")
    }()

    private static let vocabulary = 12

    /// Draws a trace, and opens it.
    /// - Parameter body: may use it until it returns.
    package func withTrace<Result>(_ number: Int, _ body: (Trace) throws -> Result) throws -> Result {
        // A stream of its own for every scenario: FNV-1a of its name.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        var numbers = SeededGenerator(seed: hash, stream: UInt64(number))
        let url = Self.folder.appending(path: "\(hash)-\(number)")
        defer { try? FileManager.default.removeItem(at: url) }
        var documents: [TraceDocument] = []
        for (place, group) in groups.enumerated() {
            for text in 0..<group.documents {
                // The square makes the first cluster the largest: √(1/8) of the documents.
                let number =
                    areClustersUnequal
                    ? (text * text * clusters) / (group.documents * group.documents) : text % max(1, clusters)
                let length = group.length * exp(group.lengthSpread * Double(numbers.normal()))
                documents.append(
                    TraceDocument(
                        id: "\(place)-\(text)", group: "group \(place)", textSHA256: "",
                        tokens: min(600, max(4, Int(length.rounded()))), parallelID: isParallel ? "\(text)" : nil,
                        cluster: clusters > 0 ? "\(place)-\(number)" : nil))
            }
        }
        let manifest = manifest(documents)
        let writer = try TraceWriter(creating: url, manifest: manifest)
        let shard = TraceShard(layout: TraceLayout(manifest), documents: documents)
        fill(shard, documents, &numbers)
        try writer.append(shard)
        try writer.finish()
        return try body(try Trace(folder: url))
    }

    private func manifest(_ documents: [TraceDocument]) -> TraceManifest {
        TraceManifest(
            model: .init(
                name: "synthetic", architecture: "mixtral", layers: layers, experts: experts, expertsPerToken: slots,
                heads: 1, kvHeads: 1, hiddenSize: 8, vocabSize: Self.vocabulary, quantization: "F32",
                parametersTotal: 1, parametersActive: 1, sha256: ""),
            tokenizer: .init(kind: .noTokenizer, sha256: ""),
            capture: .init(routerLogits: .f32, layers: Array(0..<layers), predicted: false),
            compute: .init(precision: "exact", isa: "none", threads: 1, version: "0"),
            corpus: .init(
                source: "synthetic", sha256: "", documents: documents.count,
                tokens: documents.reduce(0) { $0 + $1.tokens },
                groups: documents.reduce(into: [:]) { $0[$1.group, default: 0] += 1 }))
    }

    private func fill(_ shard: TraceShard, _ documents: [TraceDocument], _ numbers: inout SeededGenerator) {
        let size = layers * experts
        func drawn(_ spread: Double, _ numbers: inout SeededGenerator) -> [Double] {
            (0..<size).map { _ in spread * Double(numbers.normal()) }
        }
        let base = drawn(isUneven ? 0.5 : 0, &numbers)
        var shared: [String: [Double]] = [:]
        var row = 0
        for document in documents {
            let place = groups.indices.first { document.group == "group \($0)" } ?? 0
            var own = drawn(groups[place].dispersion, &numbers)
            for (key, spread) in [
                (document.parallelID.map { "text \($0)" }, topicSpread), (document.cluster, clusterSpread),
            ] {
                guard let key else { continue }
                if shared[key] == nil { shared[key] = drawn(spread, &numbers) }
                for (i, value) in (shared[key] ?? []).enumerated() { own[i] += value }
            }
            if planted == .expert && place == 0 { own[0] += effect }
            var noise = [Double](repeating: 0, count: size)
            for position in 0..<document.tokens {
                var token = numbers.below(Self.vocabulary)
                // A third of a group's tokens are of a third of the vocabulary that is its own.
                if planted == .spelling, numbers.below(3) == 0 { token = token % 4 + 4 * (place % 3) }
                shard.tokens[row] = Int32(token)
                shard.logprobs[row] = position == 0 ? .nan : -1
                let keeps = planted == .persistence && position > 0 && Double(numbers.uniform()) < effect
                for i in 0..<size where !keeps || i >= experts { noise[i] = Double(numbers.normal()) }
                for layer in 0..<layers {
                    let start = layer * experts
                    let logits = (0..<experts).map { (expert: Int) -> Double in
                        let place = start + expert
                        let pattern = isUneven ? 0.6 * Double((token + expert + layer) % 3) : 0
                        return base[place] + own[place] + noise[place] + pattern
                    }
                    put(logits, shard, layer, row)
                }
                row += 1
            }
        }
        precondition(row == shard.rowCount)
    }

    private func put(_ logits: [Double], _ shard: TraceShard, _ layer: Int, _ row: Int) {
        for (expert, value) in logits.enumerated() {
            shard.routerLogits(layerIndex: layer)[row * experts + expert] = Float(value)
        }
        let best = logits.indices.sorted { (logits[$1], $0) < (logits[$0], $1) }.prefix(slots)
        let weights = best.map { exp(logits[$0] - logits[best[0]]) }
        let total = weights.reduce(0, +)
        for (slot, expert) in best.enumerated() {
            shard.expertIndices(layerIndex: layer)[slots * row + slot] = UInt16(expert)
            shard.expertWeights(layerIndex: layer)[slots * row + slot] = Float(weights[slot] / total)
        }
    }
}
