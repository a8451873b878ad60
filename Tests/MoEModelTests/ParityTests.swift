import Checkpoints
import FileFormats
import Foundation
import Hooks
import MoEModel
import Tensors
import TestSupport
import Testing

/// Every case of Tests/Fixtures/parity (and, under `make parity`, of the folder in MOESCOPE_PARITY) against what
/// `transformers` computed in float32.
struct ParityTests {
    /// Keeps everything it is shown.
    /// Largest differences of one case.
    struct Differences {
        var router: Float = 0
        var logprob: Float = 0
        var pattern: Float = 0
        var hooks: Float = 0
        var choices = 0
        var otherExperts = 0
        var smallestMarginOfOther = Float.infinity
    }

    /// Mixtral's shapes, and the other families; under `make parity` both made again, and larger ones.
    static let folders =
        ProcessInfo.processInfo.environment["MOESCOPE_PARITY"].map { [URL(filePath: $0)] }
        ?? ["parity", "families"].map { Fixtures.folder.appending(path: $0) }

    static let cases: [URL] = folders.flatMap { folder in
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().map { folder.appending(path: $0) }.filter {
            FileManager.default.fileExists(atPath: $0.appending(path: "expected.safetensors").path)
        }
    }

    @Test func fixturesAreThere() { #expect(Self.cases.count >= 4) }

    @Test(arguments: cases)
    func equalsTransformers(checkpoint: URL) throws {
        try compare(checkpoint, .exact)
    }

    /// Six products of bf16 on tiles, by their twin in plain C, within the same bounds.
    @Test(arguments: cases)
    func preciseIsNearTransformers(checkpoint: URL) throws {
        _ = try Model.withInstructionSet("amx-twin") { try compare(checkpoint, .precise) }
    }

    private func compare(_ checkpoint: URL, _ precision: Precision) throws {
        let name = "\(checkpoint.lastPathComponent), \(precision.rawValue)"
        let model = try Model(Checkpoint.open(checkpoint), precision: precision)
        let expected = try SafetensorsFile(checkpoint.appending(path: "expected.safetensors"))
        let documents = expected.tensors.filter { $0.name.hasSuffix(".tokens") }.count
        let tokens = try (0..<documents).map { index in
            try #require(expected["document.\(index).tokens"]).int64s.map(Int32.init)
        }

        let left: [HookSite] =
            [.pattern, .scores] + (model.config.attention.hasSinks ? [] : [.sinks])
            + (model.config.attention.latent == nil ? [.keyValueLatent] : [])
        var names = HookSite.allCases.filter { !left.contains($0) }.map(\.rawValue)
        if tokens.allSatisfy({ $0.count <= 64 }) { names.append("attn.pattern") }
        let plan = try HookPlan(
            observing: names, layerCount: model.config.layerCount, expertLayers: model.config.expertLayers)
        let seen = HookRecorder()
        let result = try model.forward(TokenBatch(tokens), plan: plan, observer: seen)

        var differences = Differences()
        var start = 0
        for (index, document) in tokens.enumerated() {
            let rows = start..<start + document.count
            start = rows.upperBound
            let logprob = try #require(expected["document.\(index).logprob"]).floats
            #expect(result.logprob[rows.lowerBound].isNaN)
            for row in 1..<max(1, document.count) {
                differences.logprob = max(
                    differences.logprob, abs(result.logprob[rows.lowerBound + row] - logprob[row]))
            }
            for layer in model.config.expertLayers {
                try compareRouting(seen, expected, model.config, index, layer, rows, &differences)
            }
            try compareHooks(seen, expected, index, rows, of: start, &differences)
        }
        print(
            "parity \(name): router logits \(differences.router) · log-probabilities \(differences.logprob) · "
                + "patterns \(differences.pattern) · other hooks \(differences.hooks) · other experts "
                + "\(differences.otherExperts) of \(differences.choices)")
        #expect(differences.router < 2e-4)
        // A choice that was as good as even and fell otherwise moves what comes after it.
        #expect(differences.logprob < 1e-3 || (precision == .precise && differences.otherExperts > 0))
        #expect(differences.pattern < 1e-5)
        #expect(differences.hooks < 1e-3)
        #expect(differences.smallestMarginOfOther < 1e-3 || differences.otherExperts == 0)
    }

    private func compareRouting(
        _ seen: HookRecorder, _ expected: SafetensorsFile, _ config: ModelConfig, _ document: Int, _ layer: Int,
        _ rows: Range<Int>, _ differences: inout Differences
    ) throws {
        let (E, K) = (config.experts.count, config.expertsPerToken)
        let router = try #require(expected["document.\(document).router.\(layer)"]).floats
        let indices = try #require(expected["document.\(document).indices.\(layer)"]).int64s
        let weights = try #require(expected["document.\(document).weights.\(layer)"]).floats
        let ours = try #require(seen.floats(HookPoint(.routerLogits, layer: layer)))
        let ourIndices = try #require(seen.indices(HookPoint(.expertIndices, layer: layer)))
        let ourWeights = try #require(seen.floats(HookPoint(.expertWeights, layer: layer)))
        for row in rows {
            let here = row - rows.lowerBound
            for expert in 0..<E {
                differences.router = max(differences.router, abs(ours[row * E + expert] - router[here * E + expert]))
            }
            differences.choices += 1
            let theirs = (0..<K).map { Int32(indices[here * K + $0]) }
            if (0..<K).map({ ourIndices[row * K + $0] }) == theirs {
                for rank in 0..<K {
                    differences.hooks = max(
                        differences.hooks, abs(ourWeights[row * K + rank] - weights[here * K + rank]))
                }
            } else {
                differences.otherExperts += 1
                // The two logits nearest to each other among the chosen and the next: how close the call was.
                let sorted = (0..<E).map { router[here * E + $0] }.sorted(by: >)
                let margin = zip(sorted, sorted.dropFirst()).prefix(K).map { $0 - $1 }.min() ?? 0
                #expect(margin < 1e-3, "layer \(layer), row \(here): other experts with a margin of \(margin)")
                differences.smallestMarginOfOther = min(differences.smallestMarginOfOther, margin)
            }
        }
    }

    private func compareHooks(
        _ seen: HookRecorder, _ expected: SafetensorsFile, _ document: Int, _ rows: Range<Int>, of total: Int,
        _ differences: inout Differences
    ) throws {
        let prefix = "document.\(document).hook."
        for tensor in expected.tensors where tensor.name.hasPrefix(prefix) {
            let name = String(tensor.name.dropFirst(prefix.count))
            let ours = try #require(seen.order.first { $0.description == name }.flatMap { seen.floats($0) })
            let theirs = tensor.floats
            let width = theirs.count / rows.count
            for place in theirs.indices {
                differences.hooks = max(
                    differences.hooks, abs(ours[rows.lowerBound * width + place] - theirs[place]))
            }
        }
        let patterns = expected.tensors.filter { $0.name.hasPrefix("document.\(document).pattern.") }
        for tensor in patterns {
            let layer = try #require(Int(tensor.name.split(separator: ".").last ?? ""))
            let shown = seen.values[HookPoint(.pattern, layer: layer)]?.first { $0.document == document }
            guard let ours = shown?.floats else { continue }
            #expect(ours.count == tensor.count)
            for (a, b) in zip(ours, tensor.floats) { differences.pattern = max(differences.pattern, abs(a - b)) }
        }
    }
}

extension Tensor {
    fileprivate var floats: [Float] { Array(bytes.bindMemory(to: Float.self)) }
    fileprivate var int64s: [Int64] { Array(bytes.bindMemory(to: Int64.self)) }
}
