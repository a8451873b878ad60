"""Small checkpoints whose settings are given in every way that files give them: present, absent, null, contradictory, in an
older spelling, or another family's; every single one, and every combination of two.

A combination is a family, a format, and some (setting, variant) pairs laid over that family's usual config. Weights hold every
tensor that any of its configs could ask for, so that the config alone decides what is computed. Needs numpy.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ABSENT = object()
SHORT, LONG = [1.0, 1.1, 1.3, 1.5], [1.5, 3.0, 6.0, 12.0]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LONGROPE = {"type": "longrope", "short_factor": SHORT, "long_factor": LONG, "short_mscale": 1.1, "long_mscale": 1.3}
MAGNITUDES = {"short_mscale": 1.1, "long_mscale": 1.1, "original_max_position_embeddings": 16}

VOCABULARY, HIDDEN, HEADS, GROUPS, HEAD, LAYERS, EXPERTS, WIDTH, DENSE, SHARED = 64, 32, 4, 2, 8, 2, 4, 16, 24, 12
#: Two documents: within and beyond the original context of 16 tokens.
DOCUMENTS = [
    [1, *np.random.default_rng(3).integers(3, VOCABULARY, 11).tolist()],
    [1, *np.random.default_rng(4).integers(3, VOCABULARY, 27).tolist()],
]

COMMON = {
    "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "num_key_value_heads": GROUPS, "max_position_embeddings": 64, "hidden_act": "silu", "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "num_experts_per_tok": 2,
}  # fmt: skip
QWEN = {
    "num_experts": EXPERTS, "moe_intermediate_size": WIDTH, "intermediate_size": DENSE, "use_sliding_window": False,
    "decoder_sparse_step": 1, "mlp_only_layers": [], "rope_theta": 10000.0,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": EXPERTS, "intermediate_size": WIDTH, "rope_theta": 10000.0, "head_dim": HEAD},
    "olmoe": {"num_experts": EXPERTS, "intermediate_size": WIDTH, "rope_theta": 10000.0},
    "qwen2_moe": QWEN | {"shared_expert_intermediate_size": SHARED},
    "qwen3_moe": QWEN | {"head_dim": HEAD},
    "granitemoe": {"num_local_experts": EXPERTS, "intermediate_size": WIDTH, "rope_theta": 10000.0, "attention_multiplier": 0.3},
    "phimoe": {"num_local_experts": EXPERTS, "intermediate_size": WIDTH, "rope_theta": 10000.0, "attention_bias": True},
}
ARCHITECTURES = {
    "mixtral": "MixtralForCausalLM", "olmoe": "OlmoeForCausalLM", "qwen2_moe": "Qwen2MoeForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM", "granitemoe": "GraniteMoeForCausalLM", "phimoe": "PhimoeForCausalLM",
}  # fmt: skip

#: For each setting its variants: what is laid over the config. ABSENT takes a field away.
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "rope_theta": {"absent": {"rope_theta": ABSENT}, "null": {"rope_theta": None}, "another": {"rope_theta": 500.0}},
    "rope_parameters": {
        "null": {"rope_parameters": None},
        "empty": {"rope_parameters": {}},
        "another base": {"rope_parameters": {"rope_type": "default", "rope_theta": 700.0}},
        "no base": {"rope_parameters": {"rope_type": "default"}},
        "linear": {"rope_parameters": MAGNITUDES | {"rope_type": "linear", "factor": 4.0}},
        "yarn": {"rope_parameters": MAGNITUDES | YARN | {"beta_fast": 4.0, "beta_slow": 0.25}},
        "by layer type": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 700.0}}},
    },
    "rope_scaling": {
        "null": {"rope_scaling": None},
        "empty": {"rope_scaling": {}},
        "linear, older spelling": {"rope_scaling": MAGNITUDES | {"type": "linear", "factor": 4.0}},
        "linear without a factor": {"rope_scaling": MAGNITUDES | {"type": "linear"}},
        "yarn": {"rope_scaling": MAGNITUDES | YARN},
        "yarn with a base": {"rope_scaling": MAGNITUDES | YARN | {"rope_theta": 800.0}},
        "yarn without truncation": {"rope_scaling": MAGNITUDES | YARN | {"truncate": False}},
        "yarn, truncation null": {"rope_scaling": MAGNITUDES | YARN | {"truncate": None}},
        "yarn, factor null": {"rope_scaling": MAGNITUDES | YARN | {"factor": None}},
        "yarn, attention factor": {"rope_scaling": MAGNITUDES | YARN | {"attention_factor": 1.4}},
        "yarn, magnitudes": {"rope_scaling": MAGNITUDES | YARN | {"mscale": 1.2, "mscale_all_dim": 0.8}},
        "yarn, one magnitude": {"rope_scaling": MAGNITUDES | YARN | {"mscale": 1.2}},
        "yarn, no bounds": {"rope_scaling": MAGNITUDES | YARN | {"beta_fast": 0, "beta_slow": None}},
        "yarn, both spellings": {"rope_scaling": MAGNITUDES | YARN | {"type": "linear"}},
        "longrope": {"rope_scaling": LONGROPE | {"original_max_position_embeddings": 16}},
        "longrope, no context": {"rope_scaling": LONGROPE},
        "longrope, factor": {"rope_scaling": LONGROPE | {"original_max_position_embeddings": 16, "factor": 3.0}},
        "longrope, equal": {
            "rope_scaling": LONGROPE | {"original_max_position_embeddings": 16, "long_mscale": 1.1, "attention_factor": 1.2}
        },
        "dynamic": {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
        "unknown": {"rope_scaling": {"rope_type": "spiral", "factor": 2.0}},
    },
    "original_max_position_embeddings": {
        "beside": {"original_max_position_embeddings": 16},
        "beside, another": {"original_max_position_embeddings": 20},
    },
    "max_position_embeddings": {"absent": {"max_position_embeddings": ABSENT}, "null": {"max_position_embeddings": None}},
    "partial_rotary_factor": {"half": {"partial_rotary_factor": 0.5}, "whole": {"partial_rotary_factor": 1.0}},
    "sliding_window": {
        "null": {"sliding_window": None}, "five": {"sliding_window": 5}, "wide": {"sliding_window": 64},
        "zero": {"sliding_window": 0},
    },
    "use_sliding_window": {
        "true": {"use_sliding_window": True}, "false": {"use_sliding_window": False},
        "absent": {"use_sliding_window": ABSENT}, "null": {"use_sliding_window": None},
    },
    "max_window_layers": {"none": {"max_window_layers": 0}, "one": {"max_window_layers": 1}, "many": {"max_window_layers": 28}},
    "layer_types": {
        "null": {"layer_types": None}, "full": {"layer_types": ["full_attention"] * 2},
        "second windowed": {"layer_types": ["full_attention", "sliding_attention"]},
        "older spelling": {"layer_types": ["attention"] * 2},
    },
    "norm_topk_prob": {
        "true": {"norm_topk_prob": True}, "false": {"norm_topk_prob": False}, "null": {"norm_topk_prob": None},
    },
    "num_experts_per_tok": {
        "absent": {"num_experts_per_tok": ABSENT}, "one": {"num_experts_per_tok": 1}, "three": {"num_experts_per_tok": 3},
    },
    "experts": {
        "other spelling": {"num_experts": ABSENT, "num_local_experts": ABSENT, "other": EXPERTS},
        "both, differing": {"both": (EXPERTS, 5)},
        "both, the other way": {"both": (5, EXPERTS)},
    },
    "num_key_value_heads": {
        "absent": {"num_key_value_heads": ABSENT}, "null": {"num_key_value_heads": None}, "four": {"num_key_value_heads": 4},
    },
    "head_dim": {"absent": {"head_dim": ABSENT}, "null": {"head_dim": None}, "given": {"head_dim": HEAD}, "16": {"head_dim": 16}},
    "rms_norm_eps": {
        "absent": {"rms_norm_eps": ABSENT}, "large": {"rms_norm_eps": 0.1},
        "another spelling": {"rms_norm_eps": ABSENT, "layer_norm_eps": 0.1},
    },
    "tie_word_embeddings": {
        "absent": {"tie_word_embeddings": ABSENT}, "true, both there": {"tie_word_embeddings": True},
        "null": {"tie_word_embeddings": None},
    },
    "attention_bias": {
        "true": {"attention_bias": True}, "false": {"attention_bias": False}, "absent": {"attention_bias": ABSENT},
    },
    "qkv_bias": {"true": {"qkv_bias": True}, "false": {"qkv_bias": False}},
    "clip_qkv": {"null": {"clip_qkv": None}, "half": {"clip_qkv": 0.5}},
    "multipliers": {
        "absent": {"attention_multiplier": ABSENT},
        "given": {
            "embedding_multiplier": 2.0, "residual_multiplier": 0.5, "logits_scaling": 4.0, "attention_multiplier": 0.2,
        },
    },
    "decoder_sparse_step": {"absent": {"decoder_sparse_step": ABSENT}, "two": {"decoder_sparse_step": 2}},
    "mlp_only_layers": {"null": {"mlp_only_layers": None}, "first": {"mlp_only_layers": [0]}},
    "router_jitter_noise": {
        "null": {"router_jitter_noise": None}, "none": {"router_jitter_noise": 0.0}, "large": {"router_jitter_noise": 0.3},
    },
    "lm_head_bias": {"true": {"lm_head_bias": True}, "false": {"lm_head_bias": False}},
    "hidden_act": {
        "absent": {"hidden_act": ABSENT}, "swish": {"hidden_act": "swish"}, "gelu": {"hidden_act": "gelu"},
    },
    "quantization_config": {
        "null": {"quantization_config": None}, "gptq": {"quantization_config": {"quant_method": "gptq", "bits": 4}},
    },
    "names": {"as in memory": {"layout": "fused"}, "tied, one matrix": {"layout": "tied", "tie_word_embeddings": True}},
}  # fmt: skip

#: Keys of GGUF files as they are found, each beside what config.json would say: for every architecture.
GGUF_SETTINGS: dict[str, dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "rope.freq_base": {"absent": ({"rope.freq_base": ABSENT}, {"rope_theta": 10000.0})},
    "rope.scaling": {
        "linear": ({"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}, {"rope_scaling": {"type": "linear", "factor": 4.0}}),
        "factor without a type": ({"rope.scaling.factor": 4.0}, {"rope_scaling": {"type": "linear", "factor": 4.0}}),
        "scale_linear": ({"rope.scale_linear": 4.0}, {"rope_scaling": {"type": "linear", "factor": 4.0}}),
        "both factors": (
            {"rope.scaling.factor": 2.0, "rope.scale_linear": 4.0}, {"rope_scaling": {"type": "linear", "factor": 2.0}}),
        "none with a factor": ({"rope.scaling.type": "none", "rope.scaling.factor": 4.0}, {}),
        "factor zero": ({"rope.scaling.factor": 0.0}, {}),
        "yarn": (
            {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 16},
            {"rope_scaling": YARN}),
        "yarn, bounds": (
            {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 16,
             "rope.scaling.yarn_beta_fast": 4.0, "rope.scaling.yarn_beta_slow": 0.25},
            {"rope_scaling": YARN | {"beta_fast": 4.0, "beta_slow": 0.25}}),
        "yarn, attention factor": (
            {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 16,
             "rope.scaling.attn_factor": 1.5},
            {"rope_scaling": YARN | {"attention_factor": 1.5 * (0.1 * float(np.log(4.0)) + 1)}}),
        "yarn, no extrapolation": (
            {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 16,
             "rope.scaling.yarn_ext_factor": 0.0},
            {"rope_scaling": {"type": "linear", "factor": 4.0}}),
        "unknown": ({"rope.scaling.type": "spiral", "rope.scaling.factor": 4.0}, {}),
    },
    "head size": {
        "absent": ({"attention.key_length": ABSENT, "attention.value_length": ABSENT, "rope.dimension_count": ABSENT}, {}),
        "rope.dimension_count alone": ({"attention.key_length": ABSENT, "attention.value_length": ABSENT}, {}),
    },
    "vocab_size": {"absent": ({"vocab_size": ABSENT}, {})},
    "experts": {"one tensor each": ({"layout": "split"}, {})},
    "epsilon": {"large": ({"attention.layer_norm_rms_epsilon": 0.1}, {"rms_norm_eps": 0.1})},
    "head_count_kv": {"by layer": ({"attention.head_count_kv": [GROUPS] * LAYERS}, {})},
    "window": {"zero": ({"attention.sliding_window": 0}, {})},
    "output": {"tied": ({"layout": "tied"}, {"layout": "tied", "tie_word_embeddings": True})},
}  # fmt: skip
GGUF_NAMES = {
    "mixtral": "llama", "olmoe": "olmoe", "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "granitemoe": "granitemoe",
    "phimoe": "phimoe",
}  # fmt: skip


@dataclass(frozen=True)
class Combination:
    family: str
    #: "hf" or "gguf".
    format: str
    #: (setting, variant), at most two.
    choices: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        return " · ".join([self.family, self.format, *(f"{setting}: {variant}" for setting, variant in self.choices)])

    def laid_over(self) -> tuple[dict[str, Any], str]:
        """The config, and how weights are laid out."""
        config = {"architectures": [ARCHITECTURES[self.family]], "model_type": self.family} | COMMON | FAMILIES[self.family]
        layout = "published"
        for setting, variant in self.choices:
            patch = SETTINGS[setting][variant] if self.format == "hf" else GGUF_SETTINGS[setting][variant][1]
            for field, value in patch.items():
                usual, other = ("num_experts", "num_local_experts") if "num_experts" in FAMILIES[self.family] else (
                    "num_local_experts", "num_experts")  # fmt: skip
                if field == "layout":
                    layout = value
                elif field == "other":
                    config[other] = value
                elif field == "both":
                    config[usual], config[other] = value
                elif value is ABSENT:
                    config.pop(field, None)
                else:
                    config[field] = value
        if self.format == "gguf" and self.family == "phimoe" and "rope_scaling" in config:
            # The class in transformers takes its magnitudes alone.
            scaling = config["rope_scaling"]
            usual = 0.1 * float(np.log(scaling["factor"])) + 1 if scaling.get("rope_type") == "yarn" else 1.0
            magnitude = scaling.get("attention_factor", usual)
            config["rope_scaling"] = {"original_max_position_embeddings": 16} | scaling | {
                "short_mscale": magnitude, "long_mscale": magnitude}  # fmt: skip
        return config, layout

    def write(self, folder: Path, weights: Path) -> tuple[Path, Path]:
        """Writes what the reference reads (a folder) and what we read (the same, or a GGUF file)."""
        folder.mkdir(parents=True)
        config, layout = self.laid_over()
        (folder / "config.json").write_text(json.dumps(config))
        stored = weights / f"{self.family}-{layout}"
        (folder / "model.safetensors").symlink_to((stored / "model.safetensors").resolve())
        if self.format == "hf":
            return folder, folder
        keys = {"layout": "merged"} | gguf_keys(self.family, config)
        for setting, variant in self.choices:
            keys |= GGUF_SETTINGS[setting][variant][0]
        file = folder / "model.gguf"
        write_gguf(file, self.family, {key: value for key, value in keys.items() if value is not ABSENT})
        return folder, file


def combinations() -> Iterator[Combination]:
    """Every setting alone and every two together, of every family and format."""
    for family, (form, settings) in itertools.product(FAMILIES, [("hf", SETTINGS), ("gguf", GGUF_SETTINGS)]):
        yield Combination(family, form, ())
        singles = [(setting, variant) for setting, variants in settings.items() for variant in variants]
        for single in singles:
            yield Combination(family, form, (single,))
        for pair in itertools.combinations(singles, 2):
            if pair[0][0] != pair[1][0]:
                yield Combination(family, form, pair)


def chosen(which: str) -> list[Combination]:
    """"all" of them; "sample": every one and every two that touch the same part of a model, and of the others some; "few":
    what `make test` runs."""
    everything = list(combinations())
    if which == "all":
        return everything
    random = np.random.default_rng(1)
    kept = []
    for combination, draw in zip(everything, random.random(len(everything)), strict=True):
        topics = [TOPICS.get(setting, setting) for setting, _ in combination.choices]
        related = len(topics) < 2 or topics[0] == topics[1]
        if related or draw < 0.08:
            kept.append(combination)
    if which == "sample":
        return kept
    step = len(kept) / 200
    return [kept[int(index * step)] for index in range(200)]


#: Settings that are read together.
TOPICS = {
    "rope_theta": "rotary", "rope_parameters": "rotary", "rope_scaling": "rotary", "partial_rotary_factor": "rotary",
    "original_max_position_embeddings": "rotary", "max_position_embeddings": "rotary", "rope.freq_base": "rotary",
    "rope.scaling": "rotary", "sliding_window": "window", "use_sliding_window": "window", "max_window_layers": "window",
    "layer_types": "window", "norm_topk_prob": "router", "num_experts_per_tok": "router", "experts": "router",
    "router_jitter_noise": "router", "attention_bias": "bias", "qkv_bias": "bias", "lm_head_bias": "bias",
    "decoder_sparse_step": "dense", "mlp_only_layers": "dense", "num_key_value_heads": "heads", "head_dim": "heads",
}  # fmt: skip


def tensors(family: str) -> dict[str, np.ndarray]:
    """Every tensor that a config of this family could ask for, under its published name."""
    random = np.random.default_rng(sum(family.encode()))
    result: dict[str, np.ndarray] = {}

    def matrix(name: str, *shape: int, scale: float = 1.0) -> None:
        result[name] = (random.standard_normal(shape) * scale / np.sqrt(shape[-1])).astype(np.float32)

    def vector(name: str, size: int, mean: float) -> None:
        result[name] = (mean + 0.2 * random.standard_normal(size)).astype(np.float32)

    def gated(prefix: str, width: int) -> None:
        matrix(prefix + "gate_proj.weight", width, HIDDEN)
        matrix(prefix + "up_proj.weight", width, HIDDEN)
        matrix(prefix + "down_proj.weight", HIDDEN, width)

    matrix("model.embed_tokens.weight", VOCABULARY, HIDDEN, scale=5)
    matrix("lm_head.weight", VOCABULARY, HIDDEN, scale=2)
    vector("lm_head.bias", VOCABULARY, 0)
    vector("model.norm.weight", HIDDEN, 1)
    vector("model.norm.bias", HIDDEN, 0)
    block = "block_sparse_moe" if family in ("mixtral", "granitemoe", "phimoe") else "mlp"
    for layer in range(LAYERS):
        p = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            vector(p + norm + ".weight", HIDDEN, 1)
            vector(p + norm + ".bias", HIDDEN, 0)
        widths = {"q": HEADS * HEAD, "k": GROUPS * HEAD, "v": GROUPS * HEAD}
        for name, width in widths.items():
            matrix(p + f"self_attn.{name}_proj.weight", width, HIDDEN, scale=2)
            vector(p + f"self_attn.{name}_proj.bias", width, 0)
        matrix(p + "self_attn.o_proj.weight", HIDDEN, HEADS * HEAD)
        vector(p + "self_attn.o_proj.bias", HIDDEN, 0)
        if family in ("olmoe", "qwen3_moe"):
            vector(p + "self_attn.q_norm.weight", HEAD if family == "qwen3_moe" else HEADS * HEAD, 1)
            vector(p + "self_attn.k_norm.weight", HEAD if family == "qwen3_moe" else GROUPS * HEAD, 1)
        router = "router.layer.weight" if family == "granitemoe" else "gate.weight"
        matrix(p + f"{block}.{router}", EXPERTS, HIDDEN, scale=2)
        if family == "granitemoe":
            matrix(p + "block_sparse_moe.input_linear.weight", EXPERTS, 2 * WIDTH, HIDDEN)
            matrix(p + "block_sparse_moe.output_linear.weight", EXPERTS, HIDDEN, WIDTH)
            continue
        for expert in range(EXPERTS):
            names = ("w1", "w3", "w2") if block == "block_sparse_moe" else ("gate_proj", "up_proj", "down_proj")
            e = p + f"{block}.experts.{expert}."
            matrix(e + names[0] + ".weight", WIDTH, HIDDEN)
            matrix(e + names[1] + ".weight", WIDTH, HIDDEN)
            matrix(e + names[2] + ".weight", HIDDEN, WIDTH)
        if family.startswith("qwen"):
            gated(p + "mlp.", DENSE)
        if family == "qwen2_moe":
            gated(p + "mlp.shared_expert.", SHARED)
            matrix(p + "mlp.shared_expert_gate.weight", 1, HIDDEN)
    if family != "phimoe":
        result = {name: value for name, value in result.items() if not name.endswith("norm.bias")}
    return result


def fused(family: str, published: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same under the names that transformers 5 has in memory."""
    result = dict(published)
    for layer in range(LAYERS):
        p = f"model.layers.{layer}."
        block = p + ("block_sparse_moe." if family == "granitemoe" else "mlp.")
        if family == "granitemoe":
            result[block + "router.weight"] = result.pop(block + "router.layer.weight")
            result[block + "experts.gate_up_proj"] = result.pop(block + "input_linear.weight")
            result[block + "experts.down_proj"] = result.pop(block + "output_linear.weight")
            continue
        gate, up, down = experts(family, published, layer)
        for name in [name for name in result if ".experts." in name and name.startswith(p)]:
            del result[name]
        result[block + "experts.gate_up_proj"] = np.concatenate([gate, up], 1)
        result[block + "experts.down_proj"] = down
        if family in ("mixtral", "phimoe"):
            router = block + ("router.weight" if family == "phimoe" else "gate.weight")
            result[router] = result.pop(p + "block_sparse_moe.gate.weight")
    return result


def experts(family: str, published: dict[str, np.ndarray], layer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[E, F, D], [E, F, D] and [E, D, F] of a layer."""
    p = f"model.layers.{layer}."
    if family == "granitemoe":
        both = published[p + "block_sparse_moe.input_linear.weight"]
        return both[:, :WIDTH], both[:, WIDTH:], published[p + "block_sparse_moe.output_linear.weight"]
    block = "block_sparse_moe" if family in ("mixtral", "phimoe") else "mlp"
    names = ("w1", "w3", "w2") if block == "block_sparse_moe" else ("gate_proj", "up_proj", "down_proj")
    stacked = [
        np.stack([published[p + f"{block}.experts.{expert}.{name}.weight"] for expert in range(EXPERTS)]) for name in names
    ]
    return stacked[0], stacked[1], stacked[2]


def write_weights(folder: Path) -> None:
    """`FAMILY-LAYOUT/model.safetensors` for each family and layout."""
    for family in FAMILIES:
        published = tensors(family)
        without = {name: value for name, value in published.items() if name != "lm_head.weight"}
        layouts = {"published": published, "fused": fused(family, published), "tied": without}
        for layout, named in layouts.items():
            target = folder / f"{family}-{layout}"
            target.mkdir(parents=True, exist_ok=True)
            write_safetensors(target / "model.safetensors", named)


def write_safetensors(path: Path, named: dict[str, np.ndarray]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, value in named.items():
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for value in named.values():
            file.write(np.ascontiguousarray(value).tobytes())


def gguf_keys(family: str, config: dict[str, Any]) -> dict[str, Any]:
    """What llama.cpp's converter writes of these models."""
    keys: dict[str, Any] = {
        "vocab_size": VOCABULARY, "context_length": 64, "embedding_length": HIDDEN, "block_count": LAYERS,
        "feed_forward_length": WIDTH, "expert_count": EXPERTS, "expert_used_count": 2, "attention.head_count": HEADS,
        "attention.head_count_kv": GROUPS, "attention.key_length": HEAD, "attention.value_length": HEAD,
        "attention.layer_norm_rms_epsilon": 1e-5, "rope.dimension_count": HEAD, "rope.freq_base": 10000.0,
    }  # fmt: skip
    if family.startswith("qwen"):
        keys["expert_feed_forward_length"] = WIDTH
    if family == "qwen2_moe":
        keys["expert_shared_feed_forward_length"] = SHARED
    if family == "granitemoe":
        keys |= {"attention.scale": 0.3, "embedding_scale": 1.0, "residual_scale": 1.0, "logit_scale": 1.0}
    # llama.cpp divides the weights of Qwen3-MoE whatever the file says; its class in transformers asks the config.
    if family == "qwen3_moe":
        keys["expert_weights_norm"] = False
    return keys


def write_gguf(path: Path, family: str, keys: dict[str, Any]) -> None:
    """A GGUF file of this family's weights, as llama.cpp's converter lays them out."""
    layout = keys.pop("layout")
    published = tensors(family)
    architecture = GGUF_NAMES[family]
    named: dict[str, np.ndarray] = {
        "token_embd.weight": published["model.embed_tokens.weight"], "output_norm.weight": published["model.norm.weight"],
    }  # fmt: skip
    if layout != "tied":
        named["output.weight"] = published["lm_head.weight"]
    if family == "phimoe":
        named["output_norm.bias"] = published["model.norm.bias"]

    def paired(value: np.ndarray, heads: int) -> np.ndarray:
        """Rows of each head from two halves to pairs, where llama.cpp has them so."""
        if family not in ("mixtral", "granitemoe"):
            return value
        return value.reshape(heads, 2, HEAD // 2, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)

    for layer in range(LAYERS):
        p, b = f"model.layers.{layer}.", f"blk.{layer}."
        for mine, theirs in (("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")):
            for kind in ("weight", "bias") if family == "phimoe" else ("weight",):
                named[f"{b}{mine}.{kind}"] = published[f"{p}{theirs}.{kind}"]
        for mine, heads in (("q", HEADS), ("k", GROUPS), ("v", None), ("output", None)):
            theirs = "o" if mine == "output" else mine
            has_bias = family == "phimoe" or (family == "qwen2_moe" and mine != "output")
            for kind in ("weight", "bias") if has_bias else ("weight",):
                value = published[f"{p}self_attn.{theirs}_proj.{kind}"]
                named[f"{b}attn_{mine}.{kind}"] = paired(value, heads) if heads else value
        if f"{p}self_attn.q_norm.weight" in published:
            named[b + "attn_q_norm.weight"] = published[p + "self_attn.q_norm.weight"]
            named[b + "attn_k_norm.weight"] = published[p + "self_attn.k_norm.weight"]
        router = "router.layer.weight" if family == "granitemoe" else "gate.weight"
        block = "block_sparse_moe" if family in ("mixtral", "granitemoe", "phimoe") else "mlp"
        named[b + "ffn_gate_inp.weight"] = published[f"{p}{block}.{router}"]
        for name, value in zip(("gate", "up", "down"), experts(family, published, layer), strict=True):
            if layout == "split":
                named |= {f"{b}ffn_{name}.{expert}.weight": value[expert] for expert in range(EXPERTS)}
            else:
                named[f"{b}ffn_{name}_exps.weight"] = value
        if family == "qwen2_moe":
            named[b + "ffn_gate_inp_shexp.weight"] = published[p + "mlp.shared_expert_gate.weight"][0]
            for name in ("gate", "up", "down"):
                named[f"{b}ffn_{name}_shexp.weight"] = published[f"{p}mlp.shared_expert.{name}_proj.weight"]

    def string(text: str) -> bytes:
        return struct.pack("<Q", len(text.encode())) + text.encode()

    def value(item: Any) -> bytes:
        if isinstance(item, bool):
            return struct.pack("<I?", 7, item)
        if isinstance(item, int):
            return struct.pack("<II", 4, item)
        if isinstance(item, float):
            return struct.pack("<If", 6, item)
        if isinstance(item, list):
            return struct.pack("<IIQ", 9, 4, len(item)) + b"".join(struct.pack("<I", number) for number in item)
        return struct.pack("<I", 8) + string(item)

    metadata = {"general.architecture": architecture, "tokenizer.ggml.model": "no_vocab"}
    metadata |= {f"{architecture}.{key}": item for key, item in keys.items()}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(named), len(metadata))
    head += b"".join(string(key) + value(item) for key, item in metadata.items())
    offset = 0
    for name, array in named.items():
        dimensions = array.shape[::-1]
        head += string(name) + struct.pack("<I", len(dimensions)) + b"".join(struct.pack("<Q", size) for size in dimensions)
        head += struct.pack("<IQ", 0, offset)
        offset += array.nbytes + (-array.nbytes % 32)
    with path.open("wb") as file:
        file.write(head + b"\0" * (-len(head) % 32))
        for array in named.values():
            file.write(np.ascontiguousarray(array).tobytes() + b"\0" * (-array.nbytes % 32))
