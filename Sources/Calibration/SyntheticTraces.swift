import Foundation
import RoutingMetrics
import Tensors
import Traces

extension Scenario {
    private static let vocabulary = 12

    /// Draws a trace, and opens it.
    /// - Parameter body: may use it until it returns.
    package func withTrace<Result>(_ number: Int, _ body: (Trace) throws -> Result) throws -> Result {
        var numbers = SeededGenerator(seed: Scratch.hash(name), stream: UInt64(number))
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
                        cluster: clusters > 0 ? (areClustersShared ? "\(number)" : "\(place)-\(number)") : nil))
            }
        }
        let manifest = TraceManifest.synthetic(
            documents, layers: layers, experts: experts, slots: slots, vocabulary: Self.vocabulary,
            capture: .init(routerLogits: .f32, layers: Array(0..<layers), predicted: false, speculative: [1]))
        let shard = TraceShard(layout: TraceLayout(manifest), documents: documents)
        fill(shard, documents, &numbers)
        return try Scratch.withTrace(manifest, shard, body)
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
                (document.cluster == "0" ? document.group : nil, interactionSpread),
            ] where spread > 0 {
                guard let key else { continue }
                if shared[key] == nil { shared[key] = drawn(spread, &numbers) }
                for (i, value) in (shared[key] ?? []).enumerated() { own[i] += value }
            }
            if place == 0 { for layer in 0..<layers { own[layer * experts] += added(layer) } }
            var noise = [Double](repeating: 0, count: size)
            for position in 0..<document.tokens {
                var token = numbers.below(Self.vocabulary)
                // A third of a group's tokens are of a third of the vocabulary that is its own.
                if planted == .spelling, numbers.below(3) == 0 { token = token % 4 + 4 * (place % 3) }
                shard.tokens[row] = Int32(token)
                shard.logprobs[row] = position == 0 ? .nan : -1
                let keeps = planted == .persistence && position > 0 && Double(numbers.uniform()) < effect
                for i in 0..<size where !keeps || i >= experts { noise[i] = Double(numbers.normal()) }
                if planted == .pair {
                    noise[1] = effect * noise[0] + (1 - effect * effect).squareRoot() * noise[1]
                }
                for layer in 0..<layers {
                    let start = layer * experts
                    let expected = (0..<experts).map { base[start + $0] + own[start + $0] }
                    let logits = expected.indices.map { (expert: Int) -> Double in
                        let pattern = isUneven ? 0.6 * Double((token + expert + layer) % 3) : 0
                        return expected[expert] + noise[start + expert] + pattern
                    }
                    shard.set(logits: logits, layer, row)
                    guard layer > 0 else { continue }
                    let isRight = planted == .guesses && Double(numbers.uniform()) < effect
                    let guess = largest(slots, of: isRight ? logits : expected.map { $0 + Double(numbers.normal()) })
                    guess.map(Int32.init).withUnsafeBufferPointer {
                        shard.setGuesses($0, ahead: 1, layer: layer, row: row)
                    }
                }
                row += 1
            }
        }
        precondition(row == shard.rowCount)
    }

    /// What is added to the logit of the first group's own expert.
    private func added(_ layer: Int) -> Double {
        switch planted {
        case .expert: layer == 0 ? effect : 0
        case .course: effect * abs(2 * Double(layer) / Double(layers - 1) - 1)
        default: 0
        }
    }
}
