import Checkpoints
import FileFormats
import Foundation
import Tensors
import TestSupport
import Testing

/// Keys as files have them, read as llama.cpp reads them (`load_hparams` in `llama-model.cpp`).
@Suite struct GGUFKeyTests {
    /// The fixture `merged.gguf` (architecture llama, context 64, heads of 8) with more keys and tensors.
    private func open(
        _ keys: [(String, GGUFValue)], tensors more: [(String, [Float])] = []
    ) throws -> Checkpoint {
        let folder = try TemporaryFolder()
        let file = try GGUFFile(Fixtures.folder.appending(path: "gguf/merged.gguf"))
        let changed = Set(keys.map(\.0))
        let metadata =
            file.header.keys.filter { !changed.contains($0) }.compactMap { key in
                file.metadata[key].map { (key: key, value: $0) }
            } + keys.map { (key: $0.0, value: $0.1) }
        var entries: [GGUFHeader.NewTensor] = []
        var data = Data()
        func add(_ name: String, _ shape: [Int], _ type: UInt32, _ bytes: UnsafeRawBufferPointer) {
            entries.append(.init(name: name, shape: shape, type: type, byteCount: bytes.count))
            data.append(contentsOf: bytes)
            data.append(Data(count: GGUFHeader.padded(bytes.count) - bytes.count))
        }
        for tensor in file.tensors { add(tensor.name, tensor.shape, try #require(tensor.dtype.ggufType), tensor.bytes) }
        for (name, values) in more { values.withUnsafeBytes { add(name, [values.count], 0, $0) } }
        let path = folder.path("model.gguf")
        try (Data(GGUFHeader.encoded(metadata: metadata, tensors: entries)) + data).write(to: path)
        return try Checkpoint.open(path)
    }

    private func scaling(_ keys: [(String, GGUFValue)]) throws -> RopeScaling? {
        try open(keys.map { ("llama.rope.\($0.0)", $0.1) }).config.attention.rotary.scaling
    }

    private func text(_ value: String) -> GGUFValue { .string(Array(value.utf8)) }

    @Test func aFactorWithoutATypeIsLinear() throws {
        for keys: [(String, GGUFValue)] in [
            [("scaling.factor", .float(4))], [("scale_linear", .float(4))],
            [("scaling.type", text("linear")), ("scaling.factor", .float(4)), ("scale_linear", .float(8))],
        ] {
            let scaling = try scaling(keys)
            #expect(scaling?.kind == .linear)
            #expect(scaling?.factor == 4)
        }
        #expect(try scaling([("scaling.factor", .float(0))]) == nil)
        #expect(try scaling([("scaling.type", text("none")), ("scaling.factor", .float(4))]) == nil)
    }

    @Test func yarn() throws {
        let keys: [(String, GGUFValue)] = [
            ("scaling.type", text("yarn")), ("scaling.factor", .float(4)),
            ("scaling.original_context_length", .unsigned(16)),
            ("scaling.yarn_beta_fast", .float(8)), ("scaling.yarn_beta_slow", .float(0.5)),
        ]
        let scaling = try #require(try scaling(keys))
        #expect(scaling.kind == .yarn)
        #expect((scaling.betaFast, scaling.betaSlow) == (8, 0.5))
        #expect(scaling.roundsRamp)
        #expect(abs(scaling.attentionFactor - 1.138_629_4) < 1e-6, "0.1 · ln 4 + 1")
        #expect(try self.scaling(keys + [("scaling.yarn_ext_factor", .float(0))])?.kind == .linear)
        let error = checkpointError { _ = try self.scaling(keys + [("scaling.yarn_ext_factor", .float(0.5))]) }
        #expect(error?.field == "metadata llama.rope.scaling.yarn_ext_factor")
    }

    /// LongRoPE needs both of its tables; one alone would be a model without any.
    @Test func longRoPE() throws {
        let keys: [(String, GGUFValue)] = [
            ("llama.rope.scaling.original_context_length", .unsigned(16)),
            ("llama.rope.scaling.attn_factor", .float(1.2)),
        ]
        let head = try open([]).config.attention.headSize
        let values = (0..<head / 2).map { 1 + Float($0) }
        let both = try open(
            keys, tensors: [("rope_factors_short.weight", values), ("rope_factors_long.weight", values.map { $0 * 2 })])
        let scaling = try #require(both.config.attention.rotary.scaling)
        #expect(scaling.kind == .longRope)
        #expect(scaling.attentionFactor == 1.2)
        #expect(scaling.longFactors == values.map { $0 * 2 })
        #expect(both.unusedTensors.isEmpty && both.notices.isEmpty)
        for name in ["rope_factors_short.weight", "rope_factors_long.weight"] {
            let error = checkpointError { _ = try open(keys, tensors: [(name, values)]) }
            #expect(error?.reason == .unsupported)
            #expect(error?.field == "tensor \(name)")
        }
    }

    @Test func keysAndTensorsThatAreNotUsedAreNamedOnce() throws {
        let checkpoint = try open(
            [
                ("llama.attention.clamp_kqv", .float(8)), ("llama.expert_weights_scale", .float(2.5)),
                ("llama.expert_weights_norm", .bool(false)), ("llama.expert_group_count", .unsigned(1)),
                ("llama.vocab_size", .unsigned(11)),
            ], tensors: [("blk.0.attn_sub_norm.weight", [1, 2]), ("blk.1.attn_sub_norm.weight", [1, 2])])
        #expect(checkpoint.config.attention.projectionClip == nil)
        #expect(checkpoint.config.router.weigh.normalizes, "llama.cpp divides whatever the file says")
        let notices = checkpoint.notices
        #expect(notices.count == 4)
        for subject in ["clamp_kqv", "expert_weights_scale", "expert_weights_norm", "2 tensors are in the files"] {
            #expect(notices.filter { $0.contains(subject) }.count == 1, "\(subject)")
        }
    }
}
