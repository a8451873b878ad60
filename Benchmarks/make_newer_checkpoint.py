#!/usr/bin/env python3
"""Makes Hugging Face folders in the shapes of gpt-oss-20b (MXFP4), DeepSeek-V2-Lite (bf16) and small ones, with random weights, for measuring.

Tensors are written one after the other from a pool of random rows, so a folder of any size takes a few hundred megabytes of memory.
There is no tokenizer: a corpus gives token ids.

    make_newer_checkpoint.py gpt-oss-20b --output folder/       (14 GB)
    make_newer_checkpoint.py deepseek-v2-lite --output folder/  (31 GB)
    make_newer_checkpoint.py gpt-oss-20b --layers 2 --output folder/
    make_newer_checkpoint.py gpt-oss-small --output folder/     (MXFP4, 8,192 tokens of vocabulary)
    make_newer_checkpoint.py deepseek-v3-small --output folder/ (FP8 in blocks of 128 × 128)
"""

import argparse
import json
import os
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

# name, type, shape and the standard deviation of its values; 0: a norm, about 1; None: raw bytes.
Plan = tuple[str, str, tuple[int, ...], float | None]
SIZES = {"BF16": 2, "U8": 1, "F8_E4M3": 1, "F32": 4}


def gpt_oss(layers: int, vocabulary: int = 201088) -> tuple[dict, list[Plan]]:
    hidden, experts, heads, keys, size = 2880, 32, 64, 8, 64
    config = {
        "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "vocab_size": vocabulary, "hidden_size": hidden,
        "intermediate_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": keys,
        "head_dim": size, "num_local_experts": experts, "num_experts_per_tok": 4, "sliding_window": 128, "hidden_act": "silu",
        "layer_types": ["sliding_attention" if layer % 2 == 0 else "full_attention" for layer in range(layers)],
        "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "swiglu_limit": 7.0, "attention_bias": True,
        "tie_word_embeddings": False, "rope_theta": 150000,
        "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                         "original_max_position_embeddings": 4096},
        "quantization_config": {"quant_method": "mxfp4"},
    }  # fmt: skip
    plans: list[Plan] = [("model.embed_tokens.weight", "BF16", (vocabulary, hidden), 0.02)]
    for layer in range(layers):
        block, mlp, attention = (f"model.layers.{layer}.{part}" for part in ("", "mlp.", "self_attn."))
        for name, width in (("q", heads), ("k", keys), ("v", keys)):
            plans.append((f"{attention}{name}_proj.weight", "BF16", (width * size, hidden), 0.02))
            plans.append((f"{attention}{name}_proj.bias", "BF16", (width * size,), 0.02))
        plans += [
            (f"{attention}o_proj.weight", "BF16", (hidden, heads * size), 0.02), (f"{attention}o_proj.bias", "BF16", (hidden,), 0.02),
            (f"{attention}sinks", "BF16", (heads,), 1.0), (f"{block}input_layernorm.weight", "BF16", (hidden,), 0),
            (f"{block}post_attention_layernorm.weight", "BF16", (hidden,), 0),
            (f"{mlp}router.weight", "BF16", (experts, hidden), 0.02), (f"{mlp}router.bias", "BF16", (experts,), 0.02),
        ]  # fmt: skip
        for name, rows in (("gate_up_proj", 2 * hidden), ("down_proj", hidden)):
            plans += [
                (f"{mlp}experts.{name}_blocks", "U8", (experts, rows, hidden // 32, 16), None),
                (f"{mlp}experts.{name}_scales", "U8", (experts, rows, hidden // 32), None),
                (f"{mlp}experts.{name}_bias", "BF16", (experts, rows), 0.02),
            ]
    return config, plans + [("model.norm.weight", "BF16", (hidden,), 0), ("lm_head.weight", "BF16", (vocabulary, hidden), 0.02)]


def deepseek(layers: int) -> tuple[dict, list[Plan]]:
    hidden, experts, heads, rank, own, rotated, value, size = 2048, 64, 16, 512, 128, 64, 128, 1408
    config = {
        "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "vocab_size": 102400, "hidden_size": hidden,
        "intermediate_size": 10944, "moe_intermediate_size": size, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": heads, "n_routed_experts": experts, "n_shared_experts": 2, "num_experts_per_tok": 6, "n_group": 1,
        "topk_group": 1, "topk_method": "greedy", "norm_topk_prob": False, "routed_scaling_factor": 1.0, "first_k_dense_replace": 1,
        "q_lora_rank": None, "kv_lora_rank": rank, "qk_nope_head_dim": own, "qk_rope_head_dim": rotated, "v_head_dim": value,
        "hidden_act": "silu", "max_position_embeddings": 163840, "rms_norm_eps": 1e-6, "rope_theta": 10000,
        "rope_scaling": {"type": "yarn", "factor": 40, "beta_fast": 32, "beta_slow": 1, "mscale": 0.707, "mscale_all_dim": 0.707,
                         "original_max_position_embeddings": 4096},
        "tie_word_embeddings": False,
    }  # fmt: skip
    plans: list[Plan] = [("model.embed_tokens.weight", "BF16", (102400, hidden), 0.02)]

    def network(prefix: str, width: int) -> list[Plan]:
        return [
            (f"{prefix}gate_proj.weight", "BF16", (width, hidden), 0.02), (f"{prefix}up_proj.weight", "BF16", (width, hidden), 0.02),
            (f"{prefix}down_proj.weight", "BF16", (hidden, width), 0.02),
        ]  # fmt: skip

    for layer in range(layers):
        block, mlp, attention = (f"model.layers.{layer}.{part}" for part in ("", "mlp.", "self_attn."))
        plans += [
            (f"{attention}q_proj.weight", "BF16", (heads * (own + rotated), hidden), 0.02),
            (f"{attention}kv_a_proj_with_mqa.weight", "BF16", (rank + rotated, hidden), 0.02),
            (f"{attention}kv_a_layernorm.weight", "BF16", (rank,), 0),
            (f"{attention}kv_b_proj.weight", "BF16", (heads * (own + value), rank), 0.02),
            (f"{attention}o_proj.weight", "BF16", (hidden, heads * value), 0.02),
            (f"{block}input_layernorm.weight", "BF16", (hidden,), 0),
            (f"{block}post_attention_layernorm.weight", "BF16", (hidden,), 0),
        ]
        if layer == 0:
            plans += network(mlp, 10944)
            continue
        plans.append((f"{mlp}gate.weight", "BF16", (experts, hidden), 0.02))
        plans += network(f"{mlp}shared_experts.", 2 * size)
        for expert in range(experts):
            plans += network(f"{mlp}experts.{expert}.", size)
    return config, plans + [("model.norm.weight", "BF16", (hidden,), 0), ("lm_head.weight", "BF16", (102400, hidden), 0.02)]


def deepseek_v3(layers: int) -> tuple[dict, list[Plan]]:
    hidden, experts, heads, queries, rank, own, rotated, value, size = 1024, 32, 8, 384, 256, 64, 32, 64, 512
    config = {
        "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "vocab_size": 8192, "hidden_size": hidden,
        "intermediate_size": 2048, "moe_intermediate_size": size, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": heads, "n_routed_experts": experts, "n_shared_experts": 1, "num_experts_per_tok": 4, "n_group": 4,
        "topk_group": 2, "topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": True, "routed_scaling_factor": 2.5,
        "first_k_dense_replace": 1, "q_lora_rank": queries, "kv_lora_rank": rank, "qk_nope_head_dim": own, "qk_rope_head_dim": rotated,
        "v_head_dim": value, "hidden_act": "silu", "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": 10000,
        "tie_word_embeddings": False, "num_nextn_predict_layers": 0,
        "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128], "activation_scheme": "dynamic"},
    }  # fmt: skip
    plans: list[Plan] = [("model.embed_tokens.weight", "BF16", (8192, hidden), 0.02)]

    def blocks(name: str, rows: int, columns: int) -> list[Plan]:
        return [(f"{name}.weight", "F8_E4M3", (rows, columns), None),
                (f"{name}.weight_scale_inv", "F32", (-(-rows // 128), -(-columns // 128)), None)]  # fmt: skip

    def network(prefix: str, width: int) -> list[Plan]:
        return [*blocks(f"{prefix}gate_proj", width, hidden), *blocks(f"{prefix}up_proj", width, hidden), *blocks(f"{prefix}down_proj", hidden, width)]

    for layer in range(layers):
        block, mlp, attention = (f"model.layers.{layer}.{part}" for part in ("", "mlp.", "self_attn."))
        plans += [
            *blocks(f"{attention}q_a_proj", queries, hidden), (f"{attention}q_a_layernorm.weight", "BF16", (queries,), 0),
            *blocks(f"{attention}q_b_proj", heads * (own + rotated), queries),
            *blocks(f"{attention}kv_a_proj_with_mqa", rank + rotated, hidden), (f"{attention}kv_a_layernorm.weight", "BF16", (rank,), 0),
            *blocks(f"{attention}kv_b_proj", heads * (own + value), rank), *blocks(f"{attention}o_proj", hidden, heads * value),
            (f"{block}input_layernorm.weight", "BF16", (hidden,), 0), (f"{block}post_attention_layernorm.weight", "BF16", (hidden,), 0),
        ]  # fmt: skip
        if layer == 0:
            plans += network(mlp, 2048)
            continue
        plans += [(f"{mlp}gate.weight", "BF16", (experts, hidden), 0.02), (f"{mlp}gate.e_score_correction_bias", "F32", (experts,), 0.02)]
        plans += network(f"{mlp}shared_experts.", size)
        for expert in range(experts):
            plans += network(f"{mlp}experts.{expert}.", size)
    return config, plans + [("model.norm.weight", "BF16", (hidden,), 0), ("lm_head.weight", "BF16", (8192, hidden), 0.02)]


SHAPES: dict[str, tuple[Callable[[int], tuple[dict, list[Plan]]], int]] = {
    "gpt-oss-20b": (gpt_oss, 24),
    "deepseek-v2-lite": (deepseek, 27),
    "gpt-oss-small": (partial(gpt_oss, vocabulary=8192), 4),
    "deepseek-v3-small": (deepseek_v3, 4),
}


def bf16(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.astype(np.float32).view(np.uint16)[1::2])


def e4m3(values: np.ndarray) -> np.ndarray:
    """The nearest numbers of four bits of exponent and three of mantissa, at most 448 (arXiv 2209.05433)."""
    codes = np.arange(0x7F)
    exponent, mantissa = codes >> 3, codes & 7
    magnitudes = np.where(exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * 2.0 ** (exponent - 7.0))
    middles = (magnitudes[1:] + magnitudes[:-1]) / 2
    return (np.searchsorted(middles, np.abs(values)) | (np.signbit(values) << 7)).astype(np.uint8)


def pieces(plan: Plan, number: int, normal: np.ndarray, raw: np.ndarray, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """The bytes of a tensor: cut from a pool, each tensor from another place on."""
    name, kind, shape, deviation = plan
    left = int(np.prod(shape)) * SIZES[kind]
    if kind == "F32":
        # A scale makes of values up to 448 what others are; the rest is a bias.
        values = generator.uniform(2e-4, 4.6e-4, shape) if deviation is None else generator.normal(0, deviation, shape)
        yield np.ascontiguousarray(values, dtype=np.float32).view(np.uint8).reshape(-1)
        return
    if kind == "F8_E4M3":
        yield e4m3(generator.normal(0, 60, left))
        return
    if deviation is not None and deviation != 0.02:
        values = generator.normal(0, deviation, shape) if deviation else generator.uniform(0.8, 1.2, shape)
        yield bf16(values).view(np.uint8)
        return
    if name.endswith("_scales"):
        yield generator.integers(118, 121, left, dtype=np.uint8)
        return
    pool = raw if deviation is None else normal
    first = number * 1_000_003 * 2 % len(pool)
    while left:
        piece = pool[first : first + left]
        yield piece
        left -= len(piece)
        first = 0


def make(name: str, folder: Path, layers: int | None) -> None:
    shape, usual = SHAPES[name]
    config, plans = shape(layers or usual)
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(20250101)
    normal = bf16(generator.normal(0, 0.02, 40_000_001)).view(np.uint8)
    raw = generator.integers(0, 256, 80_000_000, dtype=np.uint8)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for key, kind, size, _ in plans:
        end = offset + SIZES[kind] * int(np.prod(size))
        header[key] = {"dtype": kind, "shape": size, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    partial = folder / "model.safetensors.partial"
    with partial.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for number, plan in enumerate(plans):
            for piece in pieces(plan, number, normal, raw, generator):
                file.write(piece.data)
    os.replace(partial, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--layers", type=int)
    arguments = parser.parse_args()
    make(arguments.shape, arguments.output, arguments.layers)
    print(arguments.output)


if __name__ == "__main__":
    main()
