#!/usr/bin/env python3
"""Makes Mixtral-shaped checkpoints of random weights, for measuring: GGUF of any type, or a Hugging Face folder in bf16.

Weights are written tensor after tensor from a few megabytes of random rows, so a checkpoint of any size takes little memory
and no f16 original. The vocabulary is made up: control tokens, 256 bytes, then words.

    make_checkpoint.py layer2 --type Q4_K_M --output layer2.Q4_K_M.gguf
    make_checkpoint.py mixtral32 --type Q4_K --output mixtral32.Q4_K.gguf     (26 GB)
    make_checkpoint.py small --type hf --output small/
    make_checkpoint.py small --experts 16 --layers 4 --type Q8_0 --output e16.gguf
"""

import argparse
import json
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from blocks import LAYOUTS, random_rows
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter

SEED = 20250101


@dataclass(frozen=True)
class Shape:
    """The numbers that say which Mixtral it is."""

    layers: int
    hidden: int
    feed_forward: int
    heads: int
    key_value_heads: int
    experts: int = 8
    top_k: int = 2
    vocabulary: int = 32_000
    context: int = 32_768

    @property
    def head_size(self) -> int:
        return self.hidden // self.heads


SHAPES = {
    # Mixtral-8x7B's own layers: one more or less changes nothing but the total.
    "layer2": Shape(layers=2, hidden=4096, feed_forward=14336, heads=32, key_value_heads=8),
    "mixtral32": Shape(layers=32, hidden=4096, feed_forward=14336, heads=32, key_value_heads=8),
    "small": Shape(layers=8, hidden=512, feed_forward=1792, heads=8, key_value_heads=2),
    # As many layers, experts and heads as large models have, and hardly anything in them: for reports.
    "wide": Shape(
        layers=48, hidden=64, feed_forward=32, heads=16, key_value_heads=4, experts=64, top_k=8, vocabulary=8192
    ),
    "tiny": Shape(layers=2, hidden=256, feed_forward=512, heads=4, key_value_heads=2, experts=4, vocabulary=512),
}

# One type for most matrices and more bits for some: llama.cpp's mixture for models of eight experts.
MIXES = {"Q4_K_M": "Q4_K"}
TYPES = ("F32", "F16", "BF16", *LAYOUTS, *MIXES, "hf")


@dataclass(frozen=True)
class TensorPlan:
    """A tensor to be: its names in both formats, its shape [..., columns] and what it is for."""

    gguf: str
    huggingface: str
    shape: tuple[int, ...]
    role: str
    layer: int = 0


def plans(shape: Shape, *, merged: bool) -> Iterator[TensorPlan]:
    """Every tensor, in the order of the file; `merged`: a layer's experts in one tensor, as GGUF has them."""
    hidden, queries = shape.hidden, shape.heads * shape.head_size
    keys = shape.key_value_heads * shape.head_size
    yield TensorPlan("token_embd.weight", "model.embed_tokens.weight", (shape.vocabulary, hidden), "embedding")
    for layer in range(shape.layers):
        theirs, ours = f"blk.{layer}.", f"model.layers.{layer}."
        for gguf, huggingface, size, role in (
            ("attn_norm", "input_layernorm", (hidden,), "norm"),
            ("attn_q", "self_attn.q_proj", (queries, hidden), "query"),
            ("attn_k", "self_attn.k_proj", (keys, hidden), "key"),
            ("attn_v", "self_attn.v_proj", (keys, hidden), "value"),
            ("attn_output", "self_attn.o_proj", (hidden, queries), "attention output"),
            ("ffn_norm", "post_attention_layernorm", (hidden,), "norm"),
            ("ffn_gate_inp", "block_sparse_moe.gate", (shape.experts, hidden), "router"),
        ):
            yield TensorPlan(f"{theirs}{gguf}.weight", f"{ours}{huggingface}.weight", size, role, layer)
        for gguf, number, size, role in (
            ("gate", 1, (shape.feed_forward, hidden), "gate"),
            ("up", 3, (shape.feed_forward, hidden), "up"),
            ("down", 2, (hidden, shape.feed_forward), "down"),
        ):
            if merged:
                yield TensorPlan(f"{theirs}ffn_{gguf}_exps.weight", "", (shape.experts, *size), role, layer)
                continue
            for expert in range(shape.experts):
                name = f"{ours}block_sparse_moe.experts.{expert}.w{number}.weight"
                yield TensorPlan("", name, size, role, layer)
    yield TensorPlan("output_norm.weight", "model.norm.weight", (hidden,), "norm")
    yield TensorPlan("output.weight", "lm_head.weight", (shape.vocabulary, hidden), "output")


def tensor_type(kind: str, plan: TensorPlan, layers: int) -> str:
    """The type of one tensor in a file of type `kind`; norms and routers are always f32."""
    if plan.role in ("norm", "router"):
        return "F32"
    if kind not in MIXES:
        return kind
    match plan.role:
        case "output":
            return "Q6_K"
        case "key" | "value":
            return "Q8_0"
        case "attention output":
            return "Q5_K"
        case "down" if (
            plan.layer < layers // 8 or plan.layer >= 7 * layers // 8 or (plan.layer - layers // 8) % 3 == 2
        ):
            return "Q6_K"
    return MIXES[kind]


class RandomTensors:
    """Bytes for tensors of any size, cut from one pool of random rows per type and row length."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.pools: dict[tuple[str, int], np.ndarray] = {}
        self.tensors = 0

    def bytes_of(self, kind: str, plan: TensorPlan) -> Iterator[np.ndarray]:
        """A tensor's rows as [rows, bytes] uint8, in pieces of at most one pool."""
        if plan.role == "norm":
            values = self.generator.uniform(0.8, 1.2, plan.shape).astype(np.float32)
            yield (values if kind == "F32" else _bf16(values)).view(np.uint8)[None, :]
            return
        columns = plan.shape[-1]
        if (kind, columns) not in self.pools:
            # transformers initializes Mixtral with this spread.
            self.pools[kind, columns] = random_rows(kind, columns, 0.02, self.generator)
        pool = self.pools[kind, columns]
        # Each tensor begins elsewhere in the pool, so that no two experts are the same.
        self.tensors += 1
        first = self.tensors * 101 % len(pool)
        left = int(np.prod(plan.shape[:-1]))
        while left:
            piece = pool[first : first + left]
            yield piece
            left -= len(piece)
            first = 0


def _bf16(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.view(np.uint16)[1::2])


def vocabulary(size: int) -> tuple[list[str], list[float], list[int]]:
    """Pieces, scores and llama.cpp's token types (2 unknown, 3 control, 6 byte, 1 normal)."""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    words = ["▁"] + [f"▁w{number}" for number in range(size)]
    pieces = (pieces + words)[:size]
    types = [2, 3, 3] + [6] * 256 + [1] * size
    return pieces, [-float(rank) for rank in range(size)], types[:size]


def write_gguf(shape: Shape, kind: str, path: Path, seed: int = SEED) -> None:
    """Writes a GGUF of type `kind` to a temporary name, then renames it."""
    partial = path.with_suffix(".partial")
    writer = GGUFWriter(partial, "llama")
    writer.add_name(path.stem)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.key_value_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(1e6)
    writer.add_expert_count(shape.experts)
    writer.add_expert_used_count(shape.top_k)
    pieces, scores, types = vocabulary(shape.vocabulary)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(pieces)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)

    # The header needs every tensor's size before the first tensor's bytes.
    tensors = RandomTensors(seed)
    planned = [(plan, tensor_type(kind, plan, shape.layers)) for plan in plans(shape, merged=True)]
    for plan, type_name in planned:
        bytes_per_row = row_bytes(type_name, plan.shape[-1])
        byte_shape = (*plan.shape[:-1], bytes_per_row)
        writer.add_tensor_info(
            plan.gguf, byte_shape, np.dtype(np.uint8), int(np.prod(byte_shape)), GGMLQuantizationType[type_name]
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with partial.open("ab") as file:
        pad(file)
        for plan, type_name in planned:
            for piece in tensors.bytes_of(type_name, plan):
                file.write(piece.data)
            pad(file)
    os.replace(partial, path)


def row_bytes(type_name: str, columns: int) -> int:
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[type_name]]
    if columns % elements:
        raise ValueError(f"type {type_name}: expected rows of a multiple of {elements} weights, found {columns}")
    return columns // elements * size


def pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % 32))


def write_huggingface(shape: Shape, folder: Path, seed: int = SEED) -> None:
    """Writes config.json and one model.safetensors in bf16."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = RandomTensors(seed)
    planned = list(plans(shape, merged=False))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for plan in planned:
        size = 2 * int(np.prod(plan.shape))
        header[plan.huggingface] = {"dtype": "BF16", "shape": plan.shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    partial = folder / "model.safetensors.partial"
    with partial.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for plan in planned:
            for piece in tensors.bytes_of("BF16", plan):
                file.write(piece.data)
    os.replace(partial, folder / "model.safetensors")
    # Written last: a folder with it is whole.
    (folder / "config.json").write_text(json.dumps(huggingface_config(shape), indent=2) + "\n")


def huggingface_config(shape: Shape) -> dict[str, object]:
    return {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_value_heads,
        "head_dim": shape.head_size,
        "num_local_experts": shape.experts,
        "num_experts_per_tok": shape.top_k,
        "hidden_act": "silu",
        "max_position_embeddings": shape.context,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-5,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }


def make(shape: Shape, kind: str, output: Path, seed: int = SEED) -> Path:
    """Makes a checkpoint of one of TYPES at `output`."""
    output.parent.mkdir(parents=True, exist_ok=True)
    if kind == "hf":
        write_huggingface(shape, output, seed)
    else:
        write_gguf(shape, kind, output, seed)
    return output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--type", required=True, choices=TYPES, help="hf: a Hugging Face folder in bf16")
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--experts", type=int)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    changes = {key: getattr(arguments, key) for key in ("layers", "experts") if getattr(arguments, key)}
    try:
        made = make(replace(SHAPES[arguments.shape], **changes), arguments.type, arguments.output, arguments.seed)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(made)


if __name__ == "__main__":
    main()
