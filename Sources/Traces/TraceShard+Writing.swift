import Checkpoints
import Tensors

extension TraceShard {
    /// The shard's tensors, in the order of the format; converted piece by piece while they are written.
    func entries(_ documents: [TraceDocument]) -> [SafetensorsFile.Entry] {
        let n = rowCount
        let L = layout.layerCount
        let chosen = [L, n, layout.expertsPerToken]
        var documentOfRow: [Int32] = []
        var position: [Int32] = []
        documentOfRow.reserveCapacity(n)
        position.reserveCapacity(n)
        for document in documents {
            documentOfRow.append(contentsOf: repeatElement(Int32(document.index), count: document.tokens))
            position.append(contentsOf: 0..<Int32(document.tokens))
        }
        var entries: [SafetensorsFile.Entry] = [
            .init(name: TraceTensor.document, dtype: .i32, shape: [n], values: documentOfRow),
            .init(name: TraceTensor.position, dtype: .i32, shape: [n], values: position),
            raw(TraceTensor.token, .i32, [n], UnsafeRawBufferPointer(tokens)),
            raw(TraceTensor.logprob, .f32, [n], UnsafeRawBufferPointer(logprobs)),
        ]
        switch layout.routerLogits {
        case .f32:
            entries.append(
                raw(TraceTensor.routerLogits, .f32, [L, n, layout.experts], UnsafeRawBufferPointer(allLogits)))
        case .f16:
            entries.append(
                converted(TraceTensor.routerLogits, .f16, [L, n, layout.experts], allLogits, HalfConversion.encode))
        case nil: break
        }
        entries.append(raw(TraceTensor.expertWeights, .f32, chosen, UnsafeRawBufferPointer(allWeights)))
        if layout.attentionSummary {
            for statistic in AttentionStatistic.allCases {
                entries.append(
                    raw(statistic.rawValue, .f16, [L, layout.heads, n], UnsafeRawBufferPointer(all(statistic))))
            }
        }
        entries.append(experts(TraceTensor.expertIndices, chosen, allIndices))
        if layout.predicted {
            entries.append(raw(TraceTensor.predicted, .i32, [n], UnsafeRawBufferPointer(predicted)))
        }
        for (place, ahead) in layout.speculative.enumerated() {
            let layers = layout.guessedLayers(ahead: ahead).count
            guard layers > 0 else { continue }
            entries.append(
                experts(TraceTensor.guess(ahead: ahead), [layers, n, layout.expertsPerGuess], allGuesses(place)))
        }
        return entries
    }

    /// Indices of experts, U8 where they fit.
    private func experts(
        _ name: String, _ shape: [Int], _ indices: UnsafeBufferPointer<UInt16>
    ) -> SafetensorsFile.Entry {
        guard layout.hasByteIndices else { return raw(name, .u16, shape, UnsafeRawBufferPointer(indices)) }
        return converted(name, .u8, shape, indices) {
            (source: UnsafeBufferPointer<UInt16>, target: UnsafeMutableBufferPointer<UInt8>) in
            for i in 0..<source.count { target[i] = UInt8(truncatingIfNeeded: source[i]) }
        }
    }

    /// Patterns by document, layer and head, whatever the order in which they came.
    func patternEntries(_ documents: [TraceDocument]) -> [SafetensorsFile.Entry] {
        patterns.sorted { ($0.document, $0.layer, $0.head) < ($1.document, $1.layer, $1.head) }.map { pattern in
            .init(
                name: TraceTensor.pattern(
                    document: documents[pattern.document].index, layer: pattern.layer, head: pattern.head),
                dtype: .f16, shape: [pattern.tokens, pattern.tokens], values: pattern.bits)
        }
    }

    /// The shard's own memory; the closure keeps the shard alive.
    private func raw(
        _ name: String, _ dtype: DType, _ shape: [Int], _ bytes: UnsafeRawBufferPointer
    ) -> SafetensorsFile.Entry {
        .init(name: name, dtype: dtype, shape: shape) { sink throws(CheckpointError) in
            try sink(bytes)
            withExtendedLifetime(self) {}
        }
    }

    private func converted<Source, Target: BitwiseCopyable>(
        _ name: String, _ dtype: DType, _ shape: [Int], _ source: UnsafeBufferPointer<Source>,
        _ convert: @escaping (UnsafeBufferPointer<Source>, UnsafeMutableBufferPointer<Target>) -> Void
    ) -> SafetensorsFile.Entry {
        .init(name: name, dtype: dtype, shape: shape) { sink throws(CheckpointError) in
            let piece = UnsafeMutableBufferPointer<Target>.allocate(capacity: min(1 << 18, max(1, source.count)))
            defer { piece.deallocate() }
            var start = 0
            while start < source.count {
                let end = min(start + piece.count, source.count)
                let target = UnsafeMutableBufferPointer(rebasing: piece[0..<end - start])
                convert(UnsafeBufferPointer(rebasing: source[start..<end]), target)
                try sink(UnsafeRawBufferPointer(target))
                start = end
            }
            withExtendedLifetime(self) {}
        }
    }
}

/// Names of the tensors in a trace's files.
enum TraceTensor {
    static let document = "document"
    static let position = "position"
    static let token = "token"
    static let logprob = "logprob"
    static let routerLogits = "router_logits"
    static let expertIndices = "expert_indices"
    static let expertWeights = "expert_weights"
    static let predicted = "predicted"

    static func guess(ahead: Int) -> String { "expert_guesses_\(ahead)" }

    static func pattern(document: Int, layer: Int, head: Int) -> String {
        "document.\(document).layer.\(layer).head.\(head)"
    }

    /// What a name of `pattern` says; nil for another name.
    static func patternPlace(_ name: String) -> (document: Int, layer: Int, head: Int)? {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 6, let document = Int(parts[1]), let layer = Int(parts[3]), let head = Int(parts[5]),
            name == pattern(document: document, layer: layer, head: head)
        else { return nil }
        return (document, layer, head)
    }
}
