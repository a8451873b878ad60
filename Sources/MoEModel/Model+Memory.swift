import Checkpoints
import Foundation
import Tensors

extension Model {
    /// Parameters of the matrices that one token is multiplied with: all active ones but the embedding and the norms.
    public var matrixParametersActive: Int { activeMatrices.reduce(0) { $0 + Int(Double($1.tensor.count) * $1.share) } }

    /// Bytes of the same matrices as they are stored.
    public var matrixBytesActive: Double { activeMatrices.reduce(0) { $0 + Double($1.tensor.bytes.count) * $1.share } }

    /// Matrices of a token's pass; of E equal experts K count.
    private var activeMatrices: [(tensor: Tensor, share: Double)] {
        let share = Double(config.expertsPerToken) / Double(config.experts.count)
        let output = [(checkpoint.tensors.output, 1.0)]
        let roles = TensorRole.allCases.filter { $0.isMatrix || $0 == .router }
        return output
            + checkpoint.tensors.layers.flatMap { layer in
                roles.flatMap { role in layer.stored(role).map { ($0, role.isPerExpert ? share : 1) } }
            }
    }

    /// Whether the weights are read from disk in every pass, because they do not fit their budget.
    public var streamsWeights: Bool { stream.releases }

    /// Bytes of weights in memory at a time.
    public var residentWeightBytes: Int {
        let total = checkpoint.weightBytes
        guard stream.releases else { return total }
        let outer = checkpoint.tensors
        let outerBytes = outer.embedding.bytes.count + outer.output.bytes.count
        return Self.streamedWeightBytes(total: total, outer: outerBytes, layerCount: config.layerCount)
    }

    /// Bytes in memory at a time of a model that is read layer by layer: embedding and output, the layer that computes,
    /// the one read ahead, and the one being let go.
    public static func streamedWeightBytes(total: Int, outer: Int, layerCount: Int) -> Int {
        min(total, outer + 3 * ((total - outer) / max(1, layerCount)))
    }

    /// What a process takes before it holds a model: program, tokenizer, corpus.
    public static let processBytes = 64 << 20

    /// Rows of a wave that fit a memory budget; at least 256.
    ///
    /// - Parameters:
    ///   - memory: bytes for everything: weights, working memory and the recorded rows.
    ///   - recordedBytesPerRow: what the trace keeps of a row until it is written.
    public func waveRows(memory: Int, recordedBytesPerRow: Int) -> Int {
        let left = memory - residentWeightBytes - Self.processBytes
        var (fits, tooMany) = (0, 1 << 22)
        while tooMany - fits > 1 {
            let rows = (fits + tooMany) / 2
            if waveBytes(rows: rows, recordedBytesPerRow: recordedBytesPerRow) <= left {
                fits = rows
            } else {
                tooMany = rows
            }
        }
        return max(Self.leastWaveRows, fits)
    }

    /// Rows below which a wave is not made, whatever the budget.
    static let leastWaveRows = 256

    /// Bytes a wave takes besides weights.
    public func waveBytes(rows: Int, recordedBytesPerRow: Int) -> Int {
        var working = WorkingMemory(
            config, precision: precision, threads: threadCount, isQuantized: checkpoint.isQuantized)
        // Routing is never even; an expert with more than twice its share is rare.
        working.busiest = 2
        // Two waves of records: the one being filled and the one being written.
        return working.wave(rows: rows) + 2 * recordedBytesPerRow * rows
    }
}

/// Memory of this machine.
public enum MachineMemory {
    /// Bytes that could be used without swapping, from /proc/meminfo; half of the physical memory where that is missing.
    public static var available: Int {
        ProcessMemory.kilobytes("MemAvailable", in: "/proc/meminfo").map { $0 << 10 }
            ?? Int(ProcessInfo.processInfo.physicalMemory / 2)
    }
}

/// What this process takes of the machine's memory, as the kernel counts it (proc(5)).
public struct ProcessMemory: Sendable {
    /// Pages in memory now: anonymous ones, and those of mapped files.
    public let resident: Int
    /// Most pages in memory so far, since the start or `resetPeak`.
    public let peak: Int

    /// - Returns: nil where /proc does not say.
    public static func now() -> ProcessMemory? {
        guard let resident = kilobytes("VmRSS", in: "/proc/self/status"),
            let peak = kilobytes("VmHWM", in: "/proc/self/status")
        else { return nil }
        return ProcessMemory(resident: resident << 10, peak: peak << 10)
    }

    /// Lets the peak begin anew at what is resident now; does nothing where the kernel does not allow it.
    public static func resetPeak() {
        guard let file = FileHandle(forWritingAtPath: "/proc/self/clear_refs") else { return }
        try? file.write(contentsOf: Data("5".utf8))
        try? file.close()
    }

    static func kilobytes(_ name: String, in path: String) -> Int? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("\(name):") }
        return line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }
    }
}
