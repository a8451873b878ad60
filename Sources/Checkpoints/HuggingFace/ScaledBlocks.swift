import FileFormats
import Tensors

/// FP8 weights with a scale for every block of a matrix (DeepSeek-V3, arXiv 2412.19437 §3.3): `weight` in F8_E4M3 and
/// `weight_scale_inv`, [⌈rows / block rows⌉, ⌈columns / block columns⌉], beside it. A weight is the product of both in f32, which is
/// what transformers makes of them where it dequantizes into float32.
struct ScaledBlocks: Sendable {
    let rows: Int
    let columns: Int

    /// Reads `quantization_config` of method fp8.
    /// - Throws: `unsupported`, naming the setting, for scales of another kind.
    init(_ file: ConfigFile) throws(FileError) {
        guard let section = try file.section("quantization_config") else { throw file.missing("quantization_config") }
        func refuse(_ field: String, expected: String) -> FileError {
            FileError(
                .unsupported, file: section.path, field: "field \(section.prefix)\(field)", expected: expected,
                found: section[field]?.kindDescription ?? "nothing")
        }
        if let format = section["fmt"], format.string != "e4m3" { throw refuse("fmt", expected: "\"e4m3\"") }
        if let scheme = section["activation_scheme"], scheme.string != "dynamic" {
            // Scales of activations that were measured once are part of what such a model computes.
            throw refuse("activation_scheme", expected: "\"dynamic\"")
        }
        guard let sizes = section["weight_block_size"]?.array?.map(\.int), sizes.count == 2, let rows = sizes[0],
            let columns = sizes[1], 1...1 << 20 ~= rows, 1...1 << 20 ~= columns
        else { throw refuse("weight_block_size", expected: "rows and columns of a block, as in [128, 128]") }
        (self.rows, self.columns) = (rows, columns)
    }

    static func scaleName(_ name: String) -> String { name + "_scale_inv" }

    /// The weights as F32, filled when they are needed.
    /// - Parameters:
    ///   - weight: F8_E4M3 [rows, columns] or, of several matrices, [n, rows, columns].
    ///   - scale: F32, F16 or BF16.
    func tensor(_ weight: Tensor, scale: Tensor, file: String) throws(FileError) -> Tensor {
        let (height, width) = (weight.shape[weight.shape.count - 2], weight.shape[weight.shape.count - 1])
        let grid = [(height + rows - 1) / rows, (width + columns - 1) / columns]
        let expected = weight.shape.dropLast(2) + grid
        guard scale.shape == Array(expected), [.f32, .f16, .bf16].contains(scale.dtype) else {
            throw FileError(
                .mismatch, file: file, field: "tensor \(scale.name)",
                expected: "F32 \(Array(expected)), a scale for each block of \(rows) × \(columns)",
                found: "\(scale.dtype.rawValue) \(scale.shape)")
        }
        let count = weight.shape.dropLast(2).reduce(1, *)
        let (rows, columns) = (rows, columns)
        return try Tensor.produced(weight.name, .f32, weight.shape, file: file) { target in
            let values = target.bindMemory(to: Float.self)
            let scales = scale.asFloats()
            let factors = scales.bytes.bindMemory(to: Float.self)
            E4M3.values.withUnsafeBufferPointer { table in
                for row in 0..<count * height {
                    let (matrix, within) = (row / height, row % height)
                    let line = (matrix * grid[0] + within / rows) * grid[1]
                    for column in 0..<width {
                        let place = row * width + column
                        values[place] = table[Int(weight.bytes[place])] * factors[line + column / columns]
                    }
                }
            }
            weight.releasePages()
        }
    }
}
