"""Errors of llama.cpp's own quantizers, for QuantizationTests.

    python Tests/Fixtures/quantization/make.py PATH-OF-A-LIBRARY-THAT-EXPORTS-ggml_quantize_chunk

Made with libggml-base.so of PyPI's llama-cpp-python 0.3.36 (in `make parity`'s environment) and gguf 0.19.0. `random`: 256 rows of 512 near-normal
numbers (SplitMix64, seed 42, sum of four 16-bit numbers; the Swift test makes the same). `polyglot`: the built-in model's
embedding and two of its matrices, where Models/polyglot/model.safetensors is there; columns to a multiple of 256.
Root mean squares of (quantized - original), without importance weights.
"""

import ctypes
import importlib.util
import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

HERE = Path(__file__).parent
TYPES = [T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.IQ4_NL]
spec = importlib.util.spec_from_file_location("sp", HERE.parent / "sentencepiece" / "make.py")


def near_normal(rows, columns, seed):
    state = np.uint64(seed)
    with np.errstate(over="ignore"):
        steps = np.arange(1, rows * columns + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + state
        z = (steps ^ (steps >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    parts = sum(((z >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64) for shift in (0, 16, 32, 48))
    return ((parts - 2 * 65535) / 37837.0).astype(np.float32).reshape(rows, columns)


def errors(library, values):
    result = {}
    rows, columns = values.shape
    values = np.ascontiguousarray(values, dtype=np.float32)
    for kind in TYPES:
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = np.zeros((rows, columns // elements * size), dtype=np.uint8)
        library.ggml_quantize_chunk(
            ctypes.c_int(int(kind)), values.ctypes.data_as(ctypes.c_void_p), blocks.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(0), ctypes.c_int64(rows), ctypes.c_int64(columns), None)  # fmt: skip
        back = gguf.quants.dequantize(blocks, kind)
        result[kind.name] = float(np.sqrt(np.mean((back.astype(np.float64) - values) ** 2)))
    return result


def main():
    library = ctypes.CDLL(sys.argv[1])
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    result = {"random": errors(library, near_normal(256, 512, 42))}
    weights = HERE.parents[2] / "Models" / "polyglot" / "model.safetensors"
    if weights.exists():
        from safetensors import safe_open

        with safe_open(weights, "np") as file:
            pass
        raw = weights.read_bytes()
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        start = 8 + int.from_bytes(raw[:8], "little")
        result["polyglot"] = {}
        for name in (
            "model.embed_tokens.weight", "model.layers.3.self_attn.q_proj.weight", "model.layers.2.block_sparse_moe.experts.5.w1.weight",
        ):  # fmt: skip
            entry = header[name]
            begin, end = entry["data_offsets"]
            bits = np.frombuffer(raw[start + begin : start + end], dtype=np.uint16).astype(np.uint32) << 16
            result["polyglot"][name] = errors(library, bits.view(np.float32).reshape(entry["shape"]))
    (HERE / "llamacpp.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["random"], indent=1))


if __name__ == "__main__":
    main()
