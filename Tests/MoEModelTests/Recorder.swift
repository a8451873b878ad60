import Checkpoints
import Hooks
import MoEModel
import TestSupport
import Testing

/// Changes the values of its points with a closure.
final class Edit: HookEditor {
    private let body: (HookPoint, inout [Float]) -> Void

    init(_ body: @escaping (HookPoint, inout [Float]) -> Void) { self.body = body }

    func edit(_ point: HookPoint, _ value: borrowing EditableHookValue) throws {
        guard value.value.dtype == .f32 else { return }
        value.withMutableFloats { floats in
            var copy = Array(floats)
            body(point, &copy)
            _ = floats.update(fromContentsOf: copy)
        }
    }
}

extension HookRecorder {
    /// The experts that each token chose, layer after layer.
    func chosenExperts(_ config: ModelConfig, tokens: Int) throws -> [Set<Int32>] {
        var chosen: [Set<Int32>] = []
        for layer in config.expertLayers {
            let indices = try #require(self.indices(HookPoint(.expertIndices, layer: layer)))
            let width = indices.count / tokens
            for row in 0..<tokens { chosen.append(Set(indices[row * width..<(row + 1) * width])) }
        }
        return chosen
    }
}

/// A small random Mixtral: 2 layers, 4 query and 2 key/value heads of 8, 8 experts, top-2, hidden 32, vocabulary 131.
enum SmallModel {
    static func load(_ name: String = "grouped", precision: Precision = .exact, threads: Int = 2) throws -> Model {
        try Model(
            Checkpoint.open(Fixtures.folder.appending(path: "parity/\(name)")), precision: precision, threads: threads)
    }

    /// The built-in model: heads of 32, so that blocks of 32 fit them.
    static func polyglot(precision: Precision = .exact) throws -> Model {
        try Model(Checkpoint.open(Fixtures.polyglot), precision: precision, threads: 2)
    }

    /// Documents of 1, 40, 7 and 300 tokens.
    static let batch = TokenBatch(
        [1, 40, 7, 300].enumerated().map { index, length in
            (0..<length).map { Int32(($0 * 37 + index * 11 + $0 * $0) % 131) }
        }, groups: ["en", "de", "en", "fr"])

    static let everything = HookSite.allCases.filter { ![.sinks, .keyValueLatent].contains($0) }.map(\.rawValue)
}
