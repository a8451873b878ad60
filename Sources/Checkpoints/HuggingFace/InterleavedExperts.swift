import FileFormats
import Tensors

/// gpt-oss's experts of one layer, repacked: gate and up taken apart, and every matrix with its outputs as rows.
///
/// The reference holds [E, D, 2F] and [E, F, D] (inputs are rows, gate and up in turn), or the same transposed as MXFP4:
/// `_blocks` [E, 2F, D / 32, 16], two elements a byte in order, and `_scales` [E, 2F, D / 32]. The engine takes GGUF's blocks:
/// a scale, then elements 0…15 in the low halves of sixteen bytes and 16…31 in the high ones. So a layer is copied into memory
/// of its own; a GGUF file is read as it lies.
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
            byRole[.expertGate] = both.tensors(from: 0, step: 2)
            byRole[.expertUp] = both.tensors(from: 1, step: 2)
            byRole[.expertDown] = down.tensors(from: 0, step: 1)
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
        let buffer = AlignedBuffer(byteCount: count * rows * inputs * size)
        let target = Repacked(buffer.bytes)
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
        return slices(buffer, tensor.name, tensor.dtype, [count, rows, inputs])
    }

    fileprivate static func slices(_ buffer: AlignedBuffer, _ name: String, _ dtype: DType, _ shape: [Int]) -> [Tensor]
    {
        let whole = Tensor(
            name: name, dtype: dtype, shape: shape, bytes: UnsafeRawBufferPointer(buffer.bytes), owner: buffer)
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

    init(_ table: inout TensorTable, _ name: String, rows: Int, columns: Int, count: Int) throws(FileError) {
        guard columns % 32 == 0 else {
            throw FileError(
                .unsupported, file: table.file, field: "tensor \(name)_blocks", expected: "rows of whole blocks of 32",
                found: "\(columns) columns")
        }
        blocks = try table.takeBytes("\(name)_blocks", shape: [count, rows, columns / 32, 16])
        scales = try table.takeBytes("\(name)_scales", shape: [count, rows, columns / 32])
        (self.name, self.rows, self.columns, self.count) = (name, rows, columns, count)
    }

    /// Rows first, first + step, … of every expert, as GGUF's blocks.
    func tensors(from first: Int, step: Int) -> [Tensor] {
        let (own, perRow) = (rows / step, columns / 32)
        let buffer = AlignedBuffer(byteCount: count * own * perRow * 17)
        let (blocks, scales, target, rows) = (blocks, scales, Repacked(buffer.bytes), rows)
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
        return InterleavedExperts.slices(buffer, name, .mxfp4, [count, own, columns])
    }
}

/// Memory that several threads write disjoint parts of.
private struct Repacked: @unchecked Sendable {
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
