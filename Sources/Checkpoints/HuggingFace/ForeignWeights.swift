import FileFormats
import Tensors

/// Weights that other tools have packed or renamed: what they are, in one line.
enum ForeignWeights {
    /// - Parameter method: `quant_method` of `config.json`, or nil where it does not say.
    static func unsupported(path: String, field: String, method: String?) -> FileError {
        FileError(
            .unsupported, file: path, field: field,
            problem: "the weights are quantized by \(name(method))",
            expected: "F32, F16, BF16, or a .gguf file's types",
            hint: "use the model's unquantized weights, or a GGUF file of it")
    }

    private static func name(_ method: String?) -> String {
        switch method?.lowercased() {
        case "gptq"?: "GPTQ"
        case "awq"?: "AWQ"
        case "compressed-tensors"?, "pack-quantized"?, "float-quantized"?, "int-quantized"?: "compressed-tensors"
        case "fp8"?, "fbgemm_fp8"?: "FP8 with scales"
        case "bitsandbytes"?: "bitsandbytes"
        case let method?: method
        case nil: "a method that config.json does not name"
        }
    }

    /// Throws where names or types of tensors show another tool's packing or wrapping.
    /// - Parameter blocks: how FP8 weights are scaled; nil: there should be none.
    static func refuse(
        _ tensors: [String: Tensor], path: String, blocks: ScaledBlocks? = nil
    ) throws(FileError) {
        for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
            var method: String?
            if name.hasSuffix(".weight_packed") {
                method = "compressed-tensors"
            } else if name.hasSuffix(".qweight") {
                let base = name.dropLast("qweight".count)
                method = tensors[base + "g_idx"] != nil ? "gptq" : tensors[base + "qzeros"] != nil ? "awq" : "gptq"
            } else if name.contains(".weight.quant_state.") || name.hasSuffix(".SCB") {
                method = "bitsandbytes"
            } else if tensor.dtype == .f8_e4m3 && blocks == nil || tensor.dtype == .f8_e5m2 {
                method = "fp8"
            }
            if let method { throw unsupported(path: path, field: "tensor \(name)", method: method) }
            for prefix in ["module.", "_orig_mod.", "_fsdp_wrapped_module.", "base_model.model."]
            where name.hasPrefix(prefix + "model.") {
                throw FileError(
                    .unsupported, file: path, field: "tensor \(name)", expected: "names that begin with model.",
                    found: "the prefix \(prefix) of a wrapped model",
                    hint: prefix == "base_model.model."
                        ? "these are adapters (PEFT): merge them into the model first"
                        : "save the model inside the wrapper")
            }
        }
    }
}
