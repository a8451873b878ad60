import Checkpoints
import Foundation
import Tensors

extension Model {
    /// Bytes of working memory that one row of a wave takes, without attention patterns and with `width` choices per row.
    public func bytesPerRow(width: Int? = nil) -> Int {
        let choices = width ?? config.expertsPerToken
        let hidden = config.hiddenSize
        let queries = config.headCount * config.headSize
        let keyValues = 2 * config.keyValueHeadCount * config.headSize
        // Residual, normed, branch; queries and head outputs; keys and values; packed copies; router; expert outputs.
        let floats =
            3 * hidden + 2 * queries + keyValues + 2 * (hidden + queries) + 2 * config.expertCount
            + choices * (2 * hidden + 2)
        return floats * MemoryLayout<Float>.stride
    }

    /// Bytes that do not depend on the number of rows: hidden activations of one group of experts, vocabulary tiles.
    public static let fixedWorkingBytes = 512 << 20

    /// Parameters of the matrices that one token is multiplied with: all active ones but the embedding and the norms.
    public var matrixParametersActive: Int {
        activeMatrices.reduce(0) { $0 + Int(Double($1.tensor.count) * $1.share) }
    }

    /// Bytes of the same matrices as they are stored.
    public var matrixBytesActive: Double { activeMatrices.reduce(0) { $0 + Double($1.tensor.bytes.count) * $1.share } }

    /// Matrices of a token's pass; of E equal experts K count.
    private var activeMatrices: [(tensor: Tensor, share: Double)] {
        let share = Double(config.expertsPerToken) / Double(config.expertCount)
        var matrices: [(tensor: Tensor, share: Double)] = [(checkpoint.tensors.output, 1)]
        for layer in checkpoint.tensors.layers {
            var whole = [layer.query, layer.key, layer.value, layer.attentionOutput, layer.router]
            if let shared = layer.sharedExpert { whole += [shared.gate, shared.up, shared.down] }
            for tensor in whole { matrices.append((tensor, 1)) }
            for tensor in layer.gate + layer.up + layer.down { matrices.append((tensor, share)) }
        }
        return matrices
    }

    /// Whether the weights are read from disk in every pass, because they do not fit their budget.
    public var streamsWeights: Bool { stream.releases }

    /// Rows of a wave that fit a memory budget; at least 256.
    ///
    /// - Parameters:
    ///   - memory: bytes for everything: weights, working memory and the recorded rows.
    ///   - recordedBytesPerRow: what the trace keeps of a row until it is written.
    public func waveRows(memory: Int, recordedBytesPerRow: Int) -> Int {
        let weights = checkpoint.weightBytes
        // A model that does not fit keeps two layers in memory: the one that computes and the one read ahead.
        let resident = stream.releases ? min(weights, 3 * weights / max(1, config.layerCount)) : weights
        let left = max(0, memory - resident - Self.fixedWorkingBytes)
        // Two waves of records: the one being filled and the one being written.
        return max(256, left / (bytesPerRow() + 2 * recordedBytesPerRow))
    }
}

/// Memory of this machine.
public enum MachineMemory {
    /// Bytes that could be used without swapping, from /proc/meminfo; half of the physical memory where that is missing.
    public static var available: Int {
        let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
        for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
            if let kilobytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) {
                return kilobytes << 10
            }
        }
        return Int(ProcessInfo.processInfo.physicalMemory / 2)
    }
}
