"""Makes a random checkpoint of every family but Mixtral, and what `transformers` computes with it in float32.

    python make.py [--output FOLDER]

Each case is a Hugging Face folder with `expected.safetensors`, named as those of ../parity/make.py, whose helpers this
script uses; `ParityTests` reads both. Made with torch 2.15.0, transformers 5.23.0, seed 7.
"""

import argparse
import functools
import json
import pathlib
import sys
import tempfile

import torch
import transformers
import transformers.modeling_rope_utils
from safetensors.torch import load_file, save_file
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors
from transformers.models.deepseek_v2 import modeling_deepseek_v2

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "parity"))
import make as parity  # noqa: E402

COMMON = dict(
    vocab_size=67, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=512, initializer_range=0.02, bos_token_id=1, eos_token_id=2, pad_token_id=None,
    tie_word_embeddings=False,
)  # fmt: skip
PLAIN = {"rope_type": "default", "rope_theta": 10000.0}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 8.0, "original_max_position_embeddings": 64}
# Queries grow twice within the longest text.
GROWING = {"mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.5, "original_max_position_embeddings": 16}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
LONG = {
    "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 30, "short_mscale": 1.1,
    "long_mscale": 1.25, "short_factor": [1.0, 1.05, 1.1, 1.2], "long_factor": [1.0, 1.5, 4.0, 8.0], "factor": 512 / 30,
}  # fmt: skip

# name: (model class, config class, options)
CASES = {
    "olmoe": ("Olmoe", dict(intermediate_size=24, num_experts=8, num_experts_per_tok=3, clip_qkv=1.5, rope_parameters=PLAIN)),
    "qwen2_moe": ("Qwen2Moe", dict(
        intermediate_size=40, moe_intermediate_size=24, shared_expert_intermediate_size=20, num_experts=8,
        num_experts_per_tok=3, norm_topk_prob=False, rope_parameters=PLAIN)),
    "qwen3_moe": ("Qwen3Moe", dict(
        intermediate_size=40, moe_intermediate_size=24, num_experts=8, num_experts_per_tok=3, head_dim=16,
        norm_topk_prob=True, attention_bias=True, rope_parameters=YARN)),
    # Two dense layers before two with experts; every second layer dense.
    "qwen3_moe-dense": ("Qwen3Moe", dict(
        num_hidden_layers=4, mlp_only_layers=[0, 1], intermediate_size=40, moe_intermediate_size=24, num_experts=8,
        num_experts_per_tok=3, head_dim=16, norm_topk_prob=True, rope_parameters=PLAIN)),
    "qwen2_moe-step": ("Qwen2Moe", dict(
        num_hidden_layers=4, decoder_sparse_step=2, intermediate_size=40, moe_intermediate_size=24,
        shared_expert_intermediate_size=20, num_experts=8, num_experts_per_tok=3, norm_topk_prob=True,
        rope_parameters=PLAIN)),
    "granitemoe": ("GraniteMoe", dict(
        intermediate_size=24, num_local_experts=8, num_experts_per_tok=3, embedding_multiplier=3.0, residual_multiplier=0.5,
        attention_multiplier=0.3, logits_scaling=2.0, rope_parameters=PLAIN) | dict(tie_word_embeddings=True)),
    "phimoe": ("Phimoe", dict(
        intermediate_size=24, num_local_experts=8, num_experts_per_tok=2, attention_bias=True, lm_head_bias=True,
        rope_parameters=LONG)),
    # A dense layer first; a bias that counts for choosing only; shared experts without a gate.
    "dots1": ("Dots1", dict(
        num_hidden_layers=3, first_k_dense_replace=1, intermediate_size=40, moe_intermediate_size=12, n_routed_experts=8,
        n_shared_experts=2, num_experts_per_tok=3, norm_topk_prob=True, routed_scaling_factor=2.5, sliding_window=None,
        rope_parameters=PLAIN)),
    # Groups, of which two are kept; the last layers windowed.
    "dots1-groups": ("Dots1", dict(
        head_dim=10, first_k_dense_replace=0, intermediate_size=40, moe_intermediate_size=12, n_routed_experts=12,
        n_shared_experts=1, num_experts_per_tok=3, n_group=4, topk_group=2, attention_bias=True, sliding_window=9,
        max_window_layers=1, rope_parameters=YARN)),
    "glm4_moe": ("Glm4Moe", dict(
        intermediate_size=40, moe_intermediate_size=12, n_routed_experts=8, n_shared_experts=1, num_experts_per_tok=3,
        head_dim=16, routed_scaling_factor=2.5, use_qk_norm=True, attention_bias=True, num_nextn_predict_layers=0,
        rope_parameters=PLAIN | {"partial_rotary_factor": 0.5})),
    "ernie4_5_moe": ("Ernie4_5_Moe", dict(
        num_hidden_layers=3, intermediate_size=40, moe_intermediate_size=12, moe_num_experts=8, moe_k=3,
        moe_num_shared_experts=2, head_dim=8, tie_word_embeddings=True, rope_parameters=PLAIN)),
    "minimax_m2": ("MiniMaxM2", dict(
        head_dim=16, intermediate_size=24, num_local_experts=8, num_experts_per_tok=3,
        rope_parameters=PLAIN | {"partial_rotary_factor": 0.5})),
    "hunyuan_v1_moe": ("HunYuanMoEV1", dict(
        head_dim=8, intermediate_size=24, num_experts=8, moe_topk=3, rope_parameters=PLAIN)),
    "granitemoeshared": ("GraniteMoeShared", dict(
        intermediate_size=24, shared_intermediate_size=20, num_local_experts=8, num_experts_per_tok=3,
        embedding_multiplier=3.0, residual_multiplier=0.5, attention_multiplier=0.3, logits_scaling=2.0,
        tie_word_embeddings=True, rope_parameters=PLAIN)),
    # Norms after attention and experts, none before.
    "flex_olmo": ("FlexOlmo", dict(
        intermediate_size=24, num_experts=7, num_experts_per_tok=3, rope_parameters=PLAIN)),
    # Norms before and after; a gate on the heads; the windowed layers alone are rotated.
    "afmoe": ("Afmoe", dict(
        num_hidden_layers=4, num_dense_layers=1, intermediate_size=40, moe_intermediate_size=12, num_experts=8,
        num_shared_experts=1, num_experts_per_tok=3, head_dim=8, route_scale=2.5, mup_enabled=True, sliding_window=9,
        rope_parameters=PLAIN)),
    # DeepSeekMoE, whose code is not in transformers: its Llama with its DeepSeek-V2's experts.
    "deepseek": ("Deepseek", dict(
        num_hidden_layers=3, first_k_dense_replace=1, intermediate_size=40, moe_intermediate_size=12, n_routed_experts=8,
        n_shared_experts=2, num_experts_per_tok=3, rope_parameters=PLAIN)),
    # Ling 2, whose code is not in transformers: GLM-4.5's layers under its own names.
    "bailing_moe": ("BailingMoeV2", dict(
        num_hidden_layers=3, first_k_dense_replace=1, intermediate_size=40, moe_intermediate_size=12, n_routed_experts=12,
        n_shared_experts=1, num_experts_per_tok=3, n_group=4, topk_group=2, norm_topk_prob=True, head_dim=8, routed_scaling_factor=2.5,
        use_qk_norm=True, num_nextn_predict_layers=0, rope_parameters=PLAIN | {"partial_rotary_factor": 0.5})),
    # Latent attention: queries as they are (V2-Lite), and out of a latent, with groups.
    "deepseek_v2": ("DeepseekV2", dict(
        num_key_value_heads=4, first_k_dense_replace=1, intermediate_size=40, moe_intermediate_size=12, n_routed_experts=8,
        n_shared_experts=2, num_experts_per_tok=3, q_lora_rank=None, kv_lora_rank=16, qk_nope_head_dim=12,
        qk_rope_head_dim=4, v_head_dim=8, routed_scaling_factor=1.5,
        rope_parameters=YARN | {"mscale": 0.707, "mscale_all_dim": 0.707})),
    "deepseek_v3": ("DeepseekV3", dict(
        num_key_value_heads=4, first_k_dense_replace=0, intermediate_size=40, moe_intermediate_size=12, n_routed_experts=12,
        n_shared_experts=1, num_experts_per_tok=3, n_group=4, topk_group=2, q_lora_rank=12, kv_lora_rank=16,
        qk_nope_head_dim=12, qk_rope_head_dim=4, v_head_dim=8, num_nextn_predict_layers=0, rope_parameters=PLAIN)),
    # DeepSeek-V3's attention with the place of dense layers in a list; queries that grow, groups of softmax scores.
    "glm4_moe_lite": ("Glm4MoeLite", dict(
        num_key_value_heads=4, num_hidden_layers=3, mlp_layer_types=["dense", "sparse", "sparse"], intermediate_size=40,
        moe_intermediate_size=12, n_routed_experts=8, n_shared_experts=1, num_experts_per_tok=3, q_lora_rank=12, kv_lora_rank=16,
        qk_nope_head_dim=12, qk_rope_head_dim=4, v_head_dim=16, rope_parameters=PLAIN)),
    "mistral4": ("Mistral4", dict(
        num_key_value_heads=4, intermediate_size=40, moe_intermediate_size=12, n_routed_experts=12, n_shared_experts=1,
        num_experts_per_tok=3, n_group=4, topk_group=2, q_lora_rank=12, kv_lora_rank=16, qk_nope_head_dim=12, qk_rope_head_dim=4,
        v_head_dim=8, rope_parameters=YARN | GROWING)),
    # Weights as DeepSeek-V3 is released: FP8, with a scale for every block, some of which are cut short.
    "deepseek_v3-fp8": ("DeepseekV3", dict(
        num_key_value_heads=4, first_k_dense_replace=1, intermediate_size=40, moe_intermediate_size=12, n_routed_experts=4,
        n_shared_experts=1, num_experts_per_tok=2, n_group=1, topk_group=1, q_lora_rank=12, kv_lora_rank=16, qk_nope_head_dim=12,
        qk_rope_head_dim=4, v_head_dim=8, num_nextn_predict_layers=0, rope_parameters=PLAIN)),
    # Sinks, windows in every second layer, clamped experts with biases.
    "gpt_oss": ("GptOss", dict(
        head_dim=8, intermediate_size=24, num_local_experts=8, num_experts_per_tok=3, sliding_window=9,
        rope_parameters=YARN | {"truncate": False})),
    # Experts as released: blocks of MXFP4.
    "gpt_oss-mxfp4": ("GptOss", dict(
        head_dim=8, intermediate_size=32, num_local_experts=4, num_experts_per_tok=2, sliding_window=9,
        rope_parameters=YARN | {"truncate": False})),
    "mixtral-yarn": ("Mixtral", dict(head_dim=8, 
        intermediate_size=24, num_local_experts=4, num_experts_per_tok=2, rope_parameters=YARN)),
    "mixtral-linear": ("Mixtral", dict(head_dim=8, 
        intermediate_size=24, num_local_experts=4, num_experts_per_tok=2, rope_parameters=LINEAR)),
    "mixtral-window": ("Mixtral", dict(head_dim=8, 
        intermediate_size=24, num_local_experts=4, num_experts_per_tok=2, sliding_window=7, rope_parameters=PLAIN)),
}  # fmt: skip
# A second shape of the newer families, for `make parity`: odd sizes, other groups, other places of dense layers.
OTHERS = {
    "dots1-odd": ("Dots1", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=5, num_key_value_heads=1, head_dim=6, num_hidden_layers=4,
        first_k_dense_replace=2, intermediate_size=41, moe_intermediate_size=7, n_routed_experts=6, n_shared_experts=3,
        num_experts_per_tok=2, n_group=2, topk_group=1, norm_topk_prob=True, sliding_window=5,
        layer_types=["full_attention", "sliding_attention"] * 2, rope_parameters=PLAIN)),
    "glm4_moe-odd": ("Glm4Moe", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=5, num_key_value_heads=5, head_dim=10, num_hidden_layers=3,
        first_k_dense_replace=2, intermediate_size=41, moe_intermediate_size=7, n_routed_experts=12, n_shared_experts=2,
        num_experts_per_tok=4, n_group=3, topk_group=2, norm_topk_prob=False, num_nextn_predict_layers=0,
        rope_parameters=YARN | {"partial_rotary_factor": 0.4})),
    "ernie4_5_moe-odd": ("Ernie4_5_Moe", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=5, num_key_value_heads=1, head_dim=6, num_hidden_layers=6,
        intermediate_size=41, moe_intermediate_size=7, moe_num_experts=5, moe_k=2, moe_num_shared_experts=0,
        moe_layer_interval=2, moe_layer_start_index=2, moe_layer_end_index=4, rope_parameters=PLAIN)),
    "minimax_m2-odd": ("MiniMaxM2", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=5, num_key_value_heads=1, head_dim=10, intermediate_size=7,
        num_local_experts=5, num_experts_per_tok=2, rotary_dim=4)),
    "hunyuan_v1_moe-odd": ("HunYuanMoEV1", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=5, num_key_value_heads=1, head_dim=6, intermediate_size=7,
        num_experts=5, moe_topk=[2, 2], attention_bias=True,
        rope_parameters={"rope_type": "dynamic", "alpha": 50.0, "factor": 1.0, "rope_theta": 10000.0})),
    "granitemoeshared-odd": ("GraniteMoeShared", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=5, num_key_value_heads=5, head_dim=7 - 1, intermediate_size=7,
        shared_intermediate_size=0, num_local_experts=5, num_experts_per_tok=2, attention_bias=True,
        rope_parameters=PLAIN)),
    "flex_olmo-odd": ("FlexOlmo", dict(
        vocab_size=31, hidden_size=30, num_attention_heads=5, num_key_value_heads=1, intermediate_size=7, num_experts=5,
        num_experts_per_tok=2, norm_topk_prob=True, rope_parameters=YARN)),
    "afmoe-odd": ("Afmoe", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=5, num_key_value_heads=1, head_dim=6, num_hidden_layers=3,
        num_dense_layers=0, global_attn_every_n_layers=2, intermediate_size=41, moe_intermediate_size=7, num_experts=5,
        num_shared_experts=2, num_experts_per_tok=2, sliding_window=5, attention_bias=True, rope_parameters=PLAIN)),
    "deepseek_v2-odd": ("DeepseekV2", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=5, num_key_value_heads=5, first_k_dense_replace=0,
        intermediate_size=41, moe_intermediate_size=7, n_routed_experts=12, n_shared_experts=1, num_experts_per_tok=3,
        n_group=4, topk_group=2, topk_method="group_limited_greedy", q_lora_rank=9, kv_lora_rank=10, qk_nope_head_dim=6,
        qk_rope_head_dim=6, v_head_dim=11, rope_parameters=PLAIN)),
    "deepseek_v3-odd": ("DeepseekV3", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=5, num_key_value_heads=5, num_hidden_layers=3,
        first_k_dense_replace=2, intermediate_size=41, moe_intermediate_size=7, n_routed_experts=5, n_shared_experts=2,
        num_experts_per_tok=2, n_group=1, topk_group=1, q_lora_rank=None, kv_lora_rank=11, qk_nope_head_dim=5,
        qk_rope_head_dim=6, v_head_dim=3, rope_interleave=False, num_nextn_predict_layers=0,
        rope_parameters=YARN | {"mscale": 1.0, "mscale_all_dim": 1.0})),
    "glm4_moe_lite-odd": ("Glm4MoeLite", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=5, num_key_value_heads=5, num_hidden_layers=3, intermediate_size=41,
        moe_intermediate_size=7, n_routed_experts=6, n_shared_experts=2, num_experts_per_tok=2, n_group=2, topk_group=1,
        norm_topk_prob=False, q_lora_rank=None, kv_lora_rank=11, qk_nope_head_dim=5, qk_rope_head_dim=6, v_head_dim=9,
        rope_interleave=False, rope_parameters=YARN)),
    "mistral4-odd": ("Mistral4", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=5, num_key_value_heads=5, num_hidden_layers=3, first_k_dense_replace=1,
        intermediate_size=41, moe_intermediate_size=7, n_routed_experts=5, n_shared_experts=2, num_experts_per_tok=2,
        norm_topk_prob=False, routed_scaling_factor=1.5, q_lora_rank=None, kv_lora_rank=11, qk_nope_head_dim=6, qk_rope_head_dim=6,
        v_head_dim=9, rope_parameters=YARN | GROWING | {"mscale": 0.8})),
    "deepseek-odd": ("Deepseek", dict(
        vocab_size=31, hidden_size=30, num_attention_heads=5, num_key_value_heads=1, first_k_dense_replace=0, intermediate_size=41,
        moe_intermediate_size=7, n_routed_experts=5, n_shared_experts=1, num_experts_per_tok=2, rope_parameters=LINEAR)),
    "bailing_moe-odd": ("BailingMoeV2", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=6, num_key_value_heads=3, head_dim=10, first_k_dense_replace=0,
        intermediate_size=41, moe_intermediate_size=7, n_routed_experts=5, n_shared_experts=2, num_experts_per_tok=2, n_group=1,
        topk_group=1, norm_topk_prob=True, routed_scaling_factor=1.0, use_qk_norm=True, num_nextn_predict_layers=0,
        rope_parameters=PLAIN | {"partial_rotary_factor": 0.4})),
    "gpt_oss-odd": ("GptOss", dict(
        vocab_size=31, hidden_size=35, num_attention_heads=5, num_key_value_heads=1, head_dim=6, num_hidden_layers=3,
        intermediate_size=7, num_local_experts=5, num_experts_per_tok=2, sliding_window=5, swiglu_limit=1.5,
        swiglu_alpha=1.2, layer_types=["full_attention", "sliding_attention", "sliding_attention"],
        rope_parameters=YARN)),
}  # fmt: skip


def experts_block(layer):
    return layer.mlp if hasattr(layer, "mlp") else layer.block_sparse_moe


def router(layer):
    """The module of a layer's router; None in a dense layer."""
    block = experts_block(layer)
    if not hasattr(block, "experts") and not hasattr(block, "router"):
        return None
    return block.gate if hasattr(block, "gate") else block.router


def deepseek(options):
    """DeepSeekMoE out of transformers' own modules, and its config as released."""
    config = transformers.LlamaConfig(**{key: value for key, value in options.items() if key in {*COMMON, "intermediate_size", "rope_parameters"}})
    config._attn_implementation = "eager"
    experts = transformers.DeepseekV2Config(**options, routed_scaling_factor=1.0, topk_method="greedy", n_group=1, topk_group=1)
    experts._experts_implementation = "eager"
    model = transformers.LlamaForCausalLM(config)
    for layer in list(model.model.layers)[options["first_k_dense_replace"] :]:
        layer.mlp = modeling_deepseek_v2.DeepseekV2Moe(experts)
    written = {key: value for key, value in options.items() if key != "rope_parameters"}
    written |= {"model_type": "deepseek", "architectures": ["DeepseekForCausalLM"], "norm_topk_prob": False, "scoring_func": "softmax",
                "hidden_act": "silu", "moe_layer_freq": 1, "rms_norm_eps": config.rms_norm_eps, "dtype": "float32"}  # fmt: skip
    rope = options["rope_parameters"]
    written |= {"rope_theta": rope["rope_theta"], "rope_scaling": None if rope == PLAIN else {"type": rope["rope_type"], "factor": rope["factor"]}}
    return config, model, written


LING_NAMES = {
    "model.embed_tokens.": "model.word_embeddings.", ".self_attn.o_proj.": ".attention.dense.", ".self_attn.q_norm.": ".attention.query_layernorm.",
    ".self_attn.k_norm.": ".attention.key_layernorm.", ".mlp.gate.e_score_correction_bias": ".mlp.gate.expert_bias",
}  # fmt: skip


def ling_config(options):
    """As `configuration_bailing_moe_v2.py` has it."""
    written = {key: value for key, value in options.items() if key not in ("rope_parameters", "n_routed_experts", "n_shared_experts")}
    rope = options["rope_parameters"]
    return written | {
        "model_type": "bailing_moe", "architectures": ["BailingMoeV2ForCausalLM"], "num_experts": options["n_routed_experts"],
        "num_shared_experts": options["n_shared_experts"], "score_function": "sigmoid", "moe_router_enable_expert_bias": True,
        "use_bias": False, "use_qkv_bias": False, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": rope["rope_theta"],
        "rope_scaling": None, "partial_rotary_factor": rope["partial_rotary_factor"], "dtype": "float32",
    }  # fmt: skip


def rename_ling(file):
    """Gives the tensors of GLM-4.5 Ling's names; q, k and v become one."""
    tensors = load_file(file)
    renamed = {}
    for key, value in tensors.items():
        if ".self_attn.k_proj." in key or ".self_attn.v_proj." in key:
            continue
        if ".self_attn.q_proj." in key:
            parts = [tensors[key.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
            key, value = key.replace("self_attn.q_proj", "attention.query_key_value"), torch.cat(parts)
        for theirs, own in LING_NAMES.items():
            key = key.replace(theirs, own)
        renamed[key] = value
    save_file(renamed, file, metadata={"format": "pt"})


def make(name, folder):
    family, options = (CASES | OTHERS)[name]
    torch.manual_seed(7)
    released = None
    is_ling = family == "BailingMoeV2"
    if is_ling:
        family, released = "Glm4Moe", ling_config(COMMON | options)
    if family == "Deepseek":
        config, model, released = deepseek(COMMON | options)
    else:
        config = getattr(transformers, f"{family}Config")(**(COMMON | options))
        config._attn_implementation = "eager"
        config._experts_implementation = "eager"
        model = getattr(transformers, f"{family}ForCausalLM")(config)
    model = model.float().eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("e_score_correction_bias"):
                # Beside scores that sum to 1.
                parameter.normal_(0, 0.05)
            elif key.endswith("bias"):
                parameter.normal_(0, 0.3)
            elif key.endswith("sinks"):
                parameter.normal_(0, 1)
            elif key.endswith(("experts.gate_up_proj", "experts.down_proj")) and name.startswith("gpt_oss"):
                # Inputs are rows here.
                parameter.normal_(0, 1.5 / parameter.shape[-2] ** 0.5)
            elif parameter.dim() > 1:
                parameter.normal_(0, 1.5 / parameter.shape[-1] ** 0.5)
            else:
                parameter.uniform_(0.5, 1.5)
        for key, buffer in model.named_buffers():
            if key.endswith("e_score_correction_bias"):
                buffer.normal_(0, 0.3)
    folder.mkdir(parents=True, exist_ok=True)
    packed = pack_experts(model) if name.endswith("mxfp4") else {}
    model.save_pretrained(folder)
    if is_ling:
        rename_ling(folder / "model.safetensors")
    if released:
        (folder / "config.json").write_text(json.dumps(released, indent=2) + "\n")
    if packed:
        tensors = load_file(folder / "model.safetensors")
        kept = {key: value for key, value in tensors.items() if not key.endswith(("experts.gate_up_proj", "experts.down_proj"))}
        save_file(kept | packed, folder / "model.safetensors", metadata={"format": "pt"})
        written = json.loads((folder / "config.json").read_text())
        written["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}
        (folder / "config.json").write_text(json.dumps(written, indent=2) + "\n")
    if name.endswith("fp8"):
        model = scale_blocks(model, folder)
    (folder / "generation_config.json").unlink(missing_ok=True)

    expected = {}
    for index, length in enumerate((1, 12, 44)):
        tokens = torch.randint(0, config.vocab_size, (1, length))
        store = {"router": {}, "weights": {}, "indices": {}}
        handles = [
            router(layer).register_forward_hook(parity.router_hook(store, number))
            for number, layer in enumerate(model.model.layers)
            if router(layer) is not None
        ]
        if name == "phimoe":
            # transformers 5.23 never tells its LongRoPE how long the text is, and so turns long texts by the short
            # factors; the model (arXiv 2402.13753, its own code, llama.cpp) turns them by the long ones.
            model.model.rotary_emb.rope_init_fn = functools.partial(
                transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS["longrope"], seq_len=length)
        hooked = {}
        if index == 2:
            handles += residual_hooks(model, hooked)
        with torch.no_grad():
            output = model(tokens, output_attentions=True, use_cache=False)
        for handle in handles:
            handle.remove()
        prefix = f"document.{index}."
        logprob = torch.full((length,), float("nan"))
        scores = torch.log_softmax(output.logits[0].double(), -1)
        logprob[1:] = scores[:-1].gather(1, tokens[0, 1:, None])[:, 0].float()
        expected[prefix + "tokens"] = tokens[0]
        expected[prefix + "logprob"] = logprob
        for layer in range(config.num_hidden_layers):
            if layer in store["router"]:
                # By falling weight: some routers give their choice in no order. Phi's gives the first choice first.
                weights, order = store["weights"][layer].float().sort(dim=-1, descending=True, stable=True)
                if name == "phimoe":
                    weights, order = store["weights"][layer].float(), torch.arange(weights.shape[-1]).expand_as(order)
                expected[f"{prefix}router.{layer}"] = store["router"][layer].float()
                expected[f"{prefix}indices.{layer}"] = store["indices"][layer].gather(-1, order)
                expected[f"{prefix}weights.{layer}"] = weights
            expected[f"{prefix}pattern.{layer}"] = output.attentions[layer][0].float()
        for key, value in hooked.items():
            expected[f"{prefix}hook.{key}"] = value.float()
        if hooked:
            expected[f"{prefix}hook.logits"] = output.logits[0].float()
    save_file({key: value.clone().contiguous() for key, value in expected.items()}, folder / "expected.safetensors")


def pack_experts(model):
    """Gives experts random weights of MXFP4, and returns them as released checkpoints hold them."""
    packed = {}
    for number, layer in enumerate(model.model.layers):
        for key in ("gate_up_proj", "down_proj"):
            parameter = getattr(layer.mlp.experts, key)
            experts, inputs, outputs = parameter.shape
            blocks = torch.randint(0, 256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8)
            scales = torch.randint(123, 126, (experts, outputs, inputs // 32), dtype=torch.uint8)
            parameter.data = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).contiguous()
            assert parameter.shape == (experts, inputs, outputs)
            name = f"model.layers.{number}.mlp.experts.{key}"
            packed |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
    return packed


def scale_blocks(model, folder, size=(16, 16)):
    """Saves the linear layers of a folder as FP8 with scales, and gives the model that transformers reads out of what they stand for.

    `dequantized.safetensors` holds some of the products, and the value of every byte.
    """
    tensors = load_file(folder / "model.safetensors")
    stored, plain = {}, {}
    for key, weight in tensors.items():
        if "layers." not in key or weight.dim() != 2 or key.endswith("mlp.gate.weight"):
            stored[key] = plain[key] = weight
            continue
        rows, columns = weight.shape
        grid = [-(-rows // size[0]), -(-columns // size[1])]
        scales = torch.empty(grid)
        for i in range(grid[0]):
            for j in range(grid[1]):
                block = weight[i * size[0] : (i + 1) * size[0], j * size[1] : (j + 1) * size[1]]
                scales[i, j] = block.abs().max() / 448
        spread = scales.repeat_interleave(size[0], 0)[:rows].repeat_interleave(size[1], 1)[:, :columns]
        small = (weight / spread).to(torch.float8_e4m3fn)
        plain[key] = small.to(torch.float32) * spread
        if rows % size[0] == 0 and columns % size[1] == 0:
            theirs = Fp8Dequantize(None)._dequantize_one(small, scales, torch.float32)
            assert torch.equal(theirs, plain[key])
        stored |= {key: small, f"{key}_scale_inv": scales}
    with tempfile.TemporaryDirectory() as temporary:
        model.config.save_pretrained(temporary)
        save_file(plain, pathlib.Path(temporary) / "model.safetensors", metadata={"format": "pt"})
        model = type(model).from_pretrained(temporary, dtype=torch.float32, attn_implementation="eager",
                                            experts_implementation="eager").eval()  # fmt: skip
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    kept = [f"model.layers.1.{name}.weight" for name in ("self_attn.kv_a_proj_with_mqa", "self_attn.o_proj", "mlp.experts.3.down_proj")]
    table = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).to(torch.float32)
    save_file({key: plain[key] for key in kept} | {"bytes": table}, folder / "dequantized.safetensors")
    written = json.loads((folder / "config.json").read_text())
    written["quantization_config"] = {
        "quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": list(size)}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(written, indent=2) + "\n")
    return model


def residual_hooks(model, store):
    """The residual path: what every family has, whatever it calls its expert block."""

    def keep(name, first=False):
        def hook(module, arguments, output):
            value = arguments[0] if first else output
            value = value[0] if isinstance(value, tuple) else value
            store[name] = value.detach().reshape(-1, value.shape[-1])

        return hook

    handles = [model.model.norm.register_forward_hook(keep("final_norm"))]
    for number, layer in enumerate(model.model.layers):
        prefix = f"blocks.{number}."
        # The first thing after attention that reads the stream.
        reader = getattr(layer, "pre_mlp_layernorm", None) or layer.post_attention_layernorm
        if hasattr(layer, "post_feedforward_layernorm"):
            reader = layer.mlp
        handles += [
            layer.register_forward_hook(keep(prefix + "resid_post")),
            layer.register_forward_hook(keep(prefix + "resid_pre", first=True)),
            reader.register_forward_hook(keep(prefix + "resid_mid", first=True)),
        ]
    return handles


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="names of cases (default: all)")
    parser.add_argument("--others", action="store_true", help="the second shapes as well")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    arguments = parser.parse_args()
    for name in arguments.only or (CASES | OTHERS if arguments.others else CASES):
        make(name, arguments.output / name)
        print(name)


if __name__ == "__main__":
    main()
