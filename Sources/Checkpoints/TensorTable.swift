import FileFormats
import Foundation
import Tensors

/// Hands out the tensors of a checkpoint by name, each checked, and remembers which were asked for.
struct TensorTable {
    /// Named in errors about absent tensors.
    let file: String
    private let tensors: [String: Tensor]
    /// How FP8 weights are scaled; nil: there are none.
    private let blocks: ScaledBlocks?
    private(set) var taken: Set<String> = []

    init(file: String, tensors: [String: Tensor], blocks: ScaledBlocks? = nil) {
        self.file = file
        self.tensors = tensors
        self.blocks = blocks
    }

    /// Names nobody asked for.
    var unused: [String] { tensors.keys.filter { !taken.contains($0) }.sorted() }

    /// Bytes of the tensors nobody asked for.
    var unusedBytes: Int { tensors.reduce(0) { $0 + (taken.contains($1.key) ? 0 : $1.value.bytes.count) } }

    func has(_ name: String) -> Bool { tensors[name] != nil }
    func has(_ name: String, shape: [Int]) -> Bool { tensors[name]?.shape == shape }

    /// Whether both are there with different bytes; the equal second one then counts as used.
    mutating func differ(_ first: String, _ second: String) -> Bool {
        guard let a = tensors[first], let b = tensors[second] else { return false }
        let isSame =
            a.shape == b.shape && a.dtype == b.dtype && a.bytes.count == b.bytes.count
            && (a.bytes.baseAddress.flatMap { a in b.bytes.baseAddress.map { (a, $0) } }).map {
                memcmp($0, $1, a.bytes.count) == 0
            } ?? true
        if isSame { taken.insert(second) }
        return !isSame
    }

    /// The tensor of this name and exactly this shape, in a type that weights can have.
    mutating func take(_ name: String, shape: [Int]) throws(FileError) -> Tensor {
        guard let tensor = tensors[name] else {
            throw FileError(
                .missing, file: file, field: "tensor \(name)", expected: "shape \(shape)", found: "no such tensor",
                hint: "the checkpoint is incomplete or of another architecture")
        }
        guard tensor.shape == shape else {
            throw FileError(
                .mismatch, file: file, field: "tensor \(name)", expected: "shape \(shape)",
                found: "\(tensor.dtype.rawValue) \(tensor.shape)", hint: "config and weights disagree")
        }
        if tensor.dtype == .f8_e4m3, let blocks, shape.count >= 2 {
            let scaleName = ScaledBlocks.scaleName(name)
            guard let scale = tensors[scaleName] else {
                throw FileError(
                    .missing, file: file, field: "tensor \(scaleName)", expected: "scales of \(name), which is FP8",
                    found: "no such tensor")
            }
            taken.formUnion([name, scaleName])
            return try blocks.tensor(tensor, scale: scale, file: file)
        }
        guard tensor.dtype.isWeight else {
            throw FileError(
                .unsupported, file: file, field: "tensor \(name)",
                expected: DType.allCases.filter(\.isWeight).map(\.rawValue).joined(separator: ", "),
                found: tensor.dtype.rawValue)
        }
        taken.insert(name)
        return tensor
    }

    /// The rows of q, k or v out of one tensor with all three, [(H + 2G) · d, D].
    mutating func takePart(_ role: TensorRole, of name: String, _ config: ModelConfig) throws(FileError) -> Tensor {
        let (queries, keys) = (config.attention.queryWidth, config.attention.keyWidth)
        let whole = try take(name, shape: [queries + 2 * keys, config.hiddenSize])
        let first = role == .query ? 0 : role == .key ? queries : queries + keys
        return whole.rows(first..<first + (role == .query ? queries : keys))
    }

    /// The bytes of a tensor that holds weights in a packing of its own.
    mutating func takeBytes(_ name: String, shape: [Int]) throws(FileError) -> Tensor {
        guard let tensor = tensors[name], tensor.shape == shape, tensor.dtype == .u8 else {
            throw FileError(
                tensors[name] == nil ? .missing : .mismatch, file: file, field: "tensor \(name)",
                expected: "U8 \(shape)",
                found: tensors[name].map { "\($0.dtype.rawValue) \($0.shape)" } ?? "no such tensor")
        }
        taken.insert(name)
        return tensor
    }

    /// Counts a tensor as used that is read elsewhere.
    mutating func use(_ name: String) { taken.insert(name) }

    mutating func takeIf(
        _ condition: Bool, _ name: String, shape: [Int]
    ) throws(FileError) -> Tensor? {
        condition ? try take(name, shape: shape) : nil
    }
}

extension DType {
    /// Whether the engine computes with weights stored like this.
    public var isWeight: Bool {
        switch self {
        case .f32, .f16, .bf16: true
        case .f64, .f8_e4m3, .f8_e5m2, .i64, .u64, .i32, .u32, .i16, .i8, .u16, .u8, .bool: false
        case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_k, .q3_k, .q4_k, .q5_k, .q6_k, .iq4_nl, .iq4_xs, .mxfp4: true
        }
    }
}
