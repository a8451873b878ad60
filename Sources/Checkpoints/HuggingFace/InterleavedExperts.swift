import FileFormats
import Tensors

/// gpt-oss's experts of one layer, repacked: gate and up taken apart, and every matrix with its outputs as rows.
///
/// The reference holds [E, D, 2F] and [E, F, D] (inputs are rows, gate and up in turn), or the same transposed as MXFP4:
/// `_blocks` [E, 2F, D / 32, 16], two elements a byte in order, and `_scales` [E, 2F, D / 32]. The engine takes GGUF's blocks:
/// a scale, then elements 0…15 in the low halves of sixteen bytes and 16…31 in the high ones. So matrices are copied into memory
/// of their own when they are needed (`ProducedMemory`); a GGUF file is read as it lies.
struct InterleavedExperts {
    private var byRole: [TensorRole: [Tensor]] = [:]

    init(
        _ table: inout TensorTable, block: String, _ experts: ExpertsConfig, hidden: Int
    ) throws(FileError) {
        let (count, size) = (experts.count, experts.size)
        let both = try table.take("\(block).gate_up_proj_bias", shape: [count, 2 * size])
        byRole[.expertGateBias] = try Self.alternate(both, from: 0, file: table.file)
        byRole[.expertUpBias] = try Self.alternate(both, from: 1, file: table.file)
        let down = try table.take("\(block).down_proj_bias", shape: [count, hidden])
        byRole[.expertDownBias] = (0..<count).map { down.slice($0) }
        if table.has("\(block).gate_up_proj_blocks") {
            let both = try Blocks(&table, "\(block).gate_up_proj", rows: 2 * size, columns: hidden, count: count)
            let down = try Blocks(&table, "\(block).down_proj", rows: hidden, columns: size, count: count)
            byRole[.expertGate] = try both.tensors(from: 0, step: 2)
            byRole[.expertUp] = try both.tensors(from: 1, step: 2)
            byRole[.expertDown] = try down.tensors(from: 0, step: 1)
        } else {
            let both = try table.take("\(block).gate_up_proj", shape: [count, hidden, 2 * size])
            let down = try table.take("\(block).down_proj", shape: [count, size, hidden])
            byRole[.expertGate] = try Self.transposed(both, from: 0, step: 2, file: table.file)
            byRole[.expertUp] = try Self.transposed(both, from: 1, step: 2, file: table.file)
            byRole[.expertDown] = try Self.transposed(down, from: 0, step: 1, file: table.file)
        }
    }

    func tensors(_ role: TensorRole) -> [Tensor] { byRole[role] ?? [] }

    /// Every second element of each row of [E, 2n], as E tensors [n].
    private static func alternate(_ tensor: Tensor, from first: Int, file: String) throws(FileError) -> [Tensor] {
        let shape = [tensor.shape[0], 1, tensor.shape[1]]
        return try transposed(tensor.reshaped(shape), from: first, step: 2, file: file).map {
            $0.reshaped([$0.shape[0]])
        }
    }

    /// Columns first, first + step, … of each [n, m] of a tensor, as rows: E tensors [m / step, n].
    private static func transposed(
        _ tensor: Tensor, from first: Int, step: Int, file: String
    ) throws(FileError) -> [Tensor] {
        let (count, inputs, columns) = (tensor.shape[0], tensor.shape[1], tensor.shape[2])
        guard tensor.dtype.blockElements == 1 else {
            throw FileError(
                .unsupported, file: file, field: "tensor \(tensor.name)", expected: "F32, F16 or BF16",
                found: tensor.dtype.rawValue)
        }
        let (rows, size) = (columns / step, tensor.dtype.blockBytes)
        return try slices(tensor.name, tensor.dtype, [count, rows, inputs], file: file) { target in
            Forks.perform(count) { expert in
                let from = expert * inputs * columns
                let to = expert * rows * inputs
                for row in 0..<rows {
                    for input in 0..<inputs {
                        let place = (from + input * columns + first + row * step) * size
                        target.copy(tensor.bytes, place, to: (to + row * inputs + input) * size, count: size)
                    }
                }
            }
            tensor.releasePages()
        }
    }

    /// E tensors in memory that `produce` fills when one of them is needed.
    fileprivate static func slices(
        _ name: String, _ dtype: DType, _ shape: [Int], file: String, _ produce: @escaping @Sendable (Repacked) -> Void
    ) throws(FileError) -> [Tensor] {
        let whole = try Tensor.produced(name, dtype, shape, file: file) { produce(Repacked($0)) }
        return (0..<shape[0]).map { whole.slice($0) }
    }
}

/// One matrix per expert in MXFP4 as safetensors holds it.
private struct Blocks {
    private let name: String
    private let blocks: Tensor
    private let scales: Tensor
    private let count: Int
    private let rows: Int
    private let columns: Int
    private let file: String

    init(_ table: inout TensorTable, _ name: String, rows: Int, columns: Int, count: Int) throws(FileError) {
        guard columns % 32 == 0 else {
            throw FileError(
                .unsupported, file: table.file, field: "tensor \(name)_blocks", expected: "rows of whole blocks of 32",
                found: "\(columns) columns")
        }
        blocks = try table.takeBytes("\(name)_blocks", shape: [count, rows, columns / 32, 16])
        scales = try table.takeBytes("\(name)_scales", shape: [count, rows, columns / 32])
        (self.name, self.rows, self.columns, self.count, file) = (name, rows, columns, count, table.file)
    }

    /// Rows first, first + step, … of every expert, as GGUF's blocks.
    func tensors(from first: Int, step: Int) throws(FileError) -> [Tensor] {
        let (own, perRow) = (rows / step, columns / 32)
        let (blocks, scales, rows, count) = (blocks, scales, rows, count)
        return try InterleavedExperts.slices(name, .mxfp4, [count, own, columns], file: file) { target in
            Forks.perform(count) { expert in
                for row in 0..<own {
                    let source = (expert * rows + first + row * step) * perRow
                    let to = (expert * own + row) * perRow
                    for block in 0..<perRow {
                        target.copyMXFP4(
                            blocks.bytes, source + block, scale: scales.bytes[source + block], to: (to + block) * 17)
                    }
                }
            }
            blocks.releasePages()
        }
    }
}

/// Memory that several threads write disjoint parts of.
fileprivate struct Repacked: @unchecked Sendable {
    private let bytes: UnsafeMutableRawBufferPointer

    init(_ bytes: UnsafeMutableRawBufferPointer) { self.bytes = bytes }

    func copy(_ source: UnsafeRawBufferPointer, _ from: Int, to: Int, count: Int) {
        for byte in 0..<count { bytes[to + byte] = source[from + byte] }
    }

    func copyMXFP4(_ blocks: UnsafeRawBufferPointer, _ block: Int, scale: UInt8, to: Int) {
        bytes[to] = scale
        let from = block * 16
        for pair in 0..<8 {
            let (low, high) = (blocks[from + pair], blocks[from + 8 + pair])
            bytes[to + 1 + 2 * pair] = low & 15 | high << 4
            bytes[to + 2 + 2 * pair] = low >> 4 | high & 0xF0
        }
    }
}
