"""GGUF files written by PyPI's gguf, for CheckpointsTests and TokenizersTests.

    python Tests/Fixtures/gguf/make.py

Made with gguf 0.19.0, numpy 2.3.5 and sentencepiece 0.2.3; seed 11.

values.gguf / values.json        every metadata type; a tensor of every type the engine computes with, of random blocks;
                                 SHA-256 of each tensor's bytes and of its values as gguf dequantizes them (f32)
merged.gguf, separate.gguf, split-0000?-of-00002.gguf
                                 one tiny Mixtral, experts merged, one tensor per expert, and in two files; with the
                                 vocabulary of Fixtures/sentencepiece/identity.model
"""

import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
import sentencepiece
from gguf import GGMLQuantizationType as T

HERE = Path(__file__).parent
TYPES = [
    T.F32, T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.IQ4_NL, T.IQ4_XS,
]
# Where the f16 scales of a block are, so that random blocks get finite ones.
SCALES = {
    T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2],
    T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0],
}


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def random_tensor(rng, kind, rows, columns):
    """Bytes [rows, row bytes] of random blocks, or values of a plain type."""
    if kind == T.F32:
        return rng.standard_normal((rows, columns), dtype=np.float32)
    if kind == T.F16:
        return rng.standard_normal((rows, columns), dtype=np.float32).astype(np.float16)
    if kind == T.BF16:
        values = rng.standard_normal((rows, columns), dtype=np.float32)
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows * columns // elements, size), dtype=np.uint8)
    for place in SCALES[kind]:
        scales = (rng.standard_normal(len(blocks)) * 0.1).astype(np.float16)
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, -1)


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_values(rng):
    writer = gguf.GGUFWriter(HERE / "values.gguf", "test")
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -100)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -30000)
    writer.add_uint32("t.u32", 4000000000)
    writer.add_int32("t.i32", -2000000000)
    writer.add_uint64("t.u64", 2**64 - 1)
    writer.add_int64("t.i64", -(2**63))
    writer.add_float32("t.f32", 0.1)
    writer.add_float64("t.f64", 0.1)
    writer.add_bool("t.yes", True)
    writer.add_string("t.text", "grüße\n")
    writer.add_array("t.ints", [1, -2, 3])
    writer.add_array("t.floats", [0.5, -1.5])
    writer.add_array("t.strings", ["a", "", "ü"])
    expected = {}
    for kind in TYPES:
        data = random_tensor(rng, kind, 3, 512)
        name = f"w.{kind.name}"
        writer.add_tensor(name, data, raw_dtype=kind)
        if kind == T.BF16:
            values = (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            values = gguf.quants.dequantize(data, kind).astype(np.float32)
        assert values.shape == (3, 512) and np.isfinite(values).all()
        expected[name] = {"type": kind.name, "bytes": data.nbytes, "sha256": sha(data), "values_sha256": sha(values)}
    write(writer)
    (HERE / "values.json").write_text(json.dumps(expected, indent=1) + "\n")


def make_mixtral(rng, name, separate=False, **options):
    hidden, width, layers, experts, heads, groups, size = 32, 32, 2, 3, 4, 2, 8
    vocabulary = sentencepiece.SentencePieceProcessor(
        model_file=str(HERE.parent / "sentencepiece" / "identity.model"))
    count = len(vocabulary)
    writer = gguf.GGUFWriter(HERE / name, "llama", **options)
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(width)
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_expert_count(experts)
    writer.add_expert_used_count(2)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([vocabulary.id_to_piece(i).encode() for i in range(count)])
    writer.add_token_scores([vocabulary.get_score(i) for i in range(count)])
    kinds = []
    for i in range(count):
        if vocabulary.is_unknown(i):
            kinds.append(gguf.TokenType.UNKNOWN)
        elif vocabulary.is_control(i):
            kinds.append(gguf.TokenType.CONTROL)
        elif vocabulary.is_byte(i):
            kinds.append(gguf.TokenType.BYTE)
        elif vocabulary.id_to_piece(i) in ("<sep>", "experts!"):
            kinds.append(gguf.TokenType.USER_DEFINED)
        else:
            kinds.append(gguf.TokenType.NORMAL)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)

    def weight(name, *shape, kind=np.float16):
        writer.add_tensor(name, rng.standard_normal(shape, dtype=np.float32).astype(kind))

    weight("token_embd.weight", count, hidden)
    for layer in range(layers):
        block = f"blk.{layer}."
        weight(block + "attn_norm.weight", hidden, kind=np.float32)
        weight(block + "attn_q.weight", heads * size, hidden)
        weight(block + "attn_k.weight", groups * size, hidden)
        weight(block + "attn_v.weight", groups * size, hidden)
        weight(block + "attn_output.weight", hidden, heads * size)
        weight(block + "ffn_norm.weight", hidden, kind=np.float32)
        weight(block + "ffn_gate_inp.weight", experts, hidden, kind=np.float32)
        for part, rows, columns in [("gate", width, hidden), ("up", width, hidden), ("down", hidden, width)]:
            values = rng.standard_normal((experts, rows, columns), dtype=np.float32)
            blocks = gguf.quants.quantize(values, T.Q8_0)
            if separate:
                for expert in range(experts):
                    writer.add_tensor(f"{block}ffn_{part}.{expert}.weight", blocks[expert], raw_dtype=T.Q8_0)
            else:
                writer.add_tensor(f"{block}ffn_{part}_exps.weight", blocks, raw_dtype=T.Q8_0)
    weight("output_norm.weight", hidden, kind=np.float32)
    weight("output.weight", count, hidden)
    write(writer)


def main():
    make_values(np.random.default_rng(11))
    make_mixtral(np.random.default_rng(12), "merged.gguf")
    make_mixtral(np.random.default_rng(12), "separate.gguf", separate=True)
    make_mixtral(np.random.default_rng(12), "split.gguf", split_max_tensors=15)


if __name__ == "__main__":
    main()
