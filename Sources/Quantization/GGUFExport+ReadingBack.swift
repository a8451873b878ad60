import Checkpoints
import FileFormats
import Foundation
import Tensors

extension GGUFExport {
    /// Reads the metadata that will be written as a reader of the file does: what GGUF has no words for is found before
    /// anything is written.
    /// - Throws: `unsupported`, naming the setting.
    func checkReadsBack() throws(FileError) {
        let read = try ModelConfig.gguf(
            metadata: Dictionary(metadata) { first, _ in first },
            shapes: Dictionary(tensors.map { ($0.name, $0.shape) }) { first, _ in first }, tables: tables,
            path: checkpoint.url.path)
        if checkpoint.config.attention.latent != nil, checkpoint.config.attention.rotary.layout != .pairs {
            throw FileError(
                .unsupported, file: checkpoint.url.path, field: "rope_interleave",
                problem: "GGUF files of latent attention pair neighbouring elements", expected: "true", found: "false")
        }
        guard let first = checkpoint.config.differences(from: read).first else { return }
        throw FileError(
            .unsupported, file: checkpoint.url.path, field: first.setting,
            problem: "GGUF has no way to hold this setting: a reader of the file would take \(first.theirs)",
            found: first.mine)
    }

    /// Opens the file that was written.
    /// - Throws: `mismatch`, and removes the file, where its config is not the checkpoint's.
    func checkWritten(_ url: URL) throws(FileError) {
        // What goes to `/dev/null` cannot be read back.
        guard GGUFHeader.isExpected(in: url) else { return }
        let written = try Checkpoint.open(url).config
        guard let first = checkpoint.config.differences(from: written).first else { return }
        try? FileManager.default.removeItem(at: url)
        throw FileError(
            .mismatch, file: url.path, field: first.setting, problem: "the file that was written is another model",
            expected: first.mine, found: first.theirs)
    }

    /// The two tables of a LongRoPE model, F32 [d/2]; GGUF keeps them as tensors.
    static func longRopeTables(_ config: ModelConfig) -> [Tensor] {
        guard let scaling = config.attention.rotary.scaling, scaling.kind == .longRope else { return [] }
        return zip(RopeScaling.factorTensors, [scaling.shortFactors, scaling.longFactors]).map { name, values in
            let buffer = values.withUnsafeBytes { AlignedBuffer(copying: $0) }
            return Tensor(
                name: name, dtype: .f32, shape: [values.count], bytes: UnsafeRawBufferPointer(buffer.bytes),
                owner: buffer)
        }
    }

    /// What the file says and llama.cpp does not read for this architecture: there it is another model.
    public var remarks: [String] {
        let config = checkpoint.config
        var remarks: [String] = []
        if !config.ggufSaysRenormalization,
            config.router.weigh.normalizes != config.ggufRenormalizesExpertWeights
        {
            remarks.append(
                "llama.cpp \(config.router.weigh.normalizes ? "does not divide" : "divides") the mixing weights of "
                    + "\(config.architecture) by their sum, whatever expert_weights_norm says; this model is the other way"
            )
        }
        if config.attention.latent != nil, config.norm.epsilon != 1e-6 {
            remarks.append(
                "llama.cpp normalizes latents with the epsilon of the other norms, \(config.norm.epsilon); this model has 1e-06"
            )
        }
        if let latent = config.attention.latent, latent.queryRank == nil, ![26, 27].contains(config.layerCount) {
            remarks.append("llama.cpp opens a model without a latent of queries only where it has 26 or 27 layers")
        }
        if let groups = config.router.select.groups, groups.scoring == .largest, groups.count > 1 {
            remarks.append(
                "llama.cpp scores a group of experts by the sum of its two best; this model by its best")
        }
        if config.attention.hasOutputBias, ["dots1", "hunyuan_v1_moe"].contains(config.architecture) {
            remarks.append("llama.cpp does not open files of \(config.architecture) whose attention output has a bias")
        }
        if config.ggufCountsDenseLayers, !config.denseSteps.isWhole {
            remarks.append("llama.cpp has no words for which layers of this model have experts")
        }
        if config.layers.contains(where: { $0.attention.window != nil }), config.ggufWindowPeriod == nil {
            remarks.append(
                "llama.cpp attends to the whole text in \(config.architecture); this model has a sliding window")
        }
        if let scaling = config.attention.rotary.scaling, scaling.kind == .yarn, !scaling.roundsRamp {
            remarks.append("llama.cpp rounds the ends of YaRN's ramp to whole dimensions; this model does not")
        }
        if config.attention.projectionClip != nil {
            remarks.append("llama.cpp does not clip q, k and v of \(config.architecture); this model does")
        }
        return remarks
    }
}
