"""Configs of the newer families with one field changed at a time: transformers' logits, or a refusal, or a field that both ignore.

    PYTHONPATH=Python .venv-parity/bin/python Tests/Fixtures/families/fields.py [FAMILY ...]

Every field that any of these families has is changed in every one of them, so that a field that a family's class does not read is
seen to change nothing here either. Weights are those of the fixture's folder. Ends with status 1 where both run and differ.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
import transformers

import moescope as ms

HERE = Path(__file__).parent
FAMILIES = [
    "dots1", "glm4_moe", "ernie4_5_moe", "minimax_m2", "hunyuan_v1_moe", "granitemoeshared", "flex_olmo", "afmoe", "gpt_oss",
    "deepseek_v2", "deepseek_v3", "glm4_moe_lite", "mistral4",
]  # fmt: skip
ABSENT = object()
BASE = {"rope_theta": 10000.0}
YARN = BASE | {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
ALPHA = {"alpha": 50.0, "factor": 1.0}
FIELDS = {
    "rope_theta": [ABSENT, 500.0],
    "rope_parameters": [
        None, ABSENT, {}, {"rope_type": "default", "rope_theta": 700.0}, {"rope_type": "default"},
        BASE | {"rope_type": "linear", "factor": 4.0}, YARN, YARN | {"truncate": False, "beta_fast": 4.0, "beta_slow": 0.25},
        BASE | {"rope_type": "default", "partial_rotary_factor": 0.5}, YARN | {"partial_rotary_factor": 0.5},
        YARN | {"mscale": 1.2, "mscale_all_dim": 0.8}, BASE | {"rope_type": "dynamic", "factor": 2.0},
        BASE | ALPHA | {"rope_type": "dynamic"},
    ],
    "rope_scaling": [
        {"type": "linear", "factor": 4.0}, {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
        ALPHA | {"type": "dynamic"},
    ],
    "partial_rotary_factor": [0.5, 1.0], "rotary_dim": [4], "rope_interleave": [False, ABSENT],
    "sliding_window": [None, 5, ABSENT, 512], "use_sliding_window": [True, False], "max_window_layers": [0, 1, 28],
    "layer_types": [None, ABSENT, "full", "sliding", "mixed"], "global_attn_every_n_layers": [2, 3, ABSENT],
    "norm_topk_prob": [True, False, ABSENT], "num_experts_per_tok": [ABSENT, 1, 2], "moe_k": [1, ABSENT], "moe_topk": [1, ABSENT],
    "num_local_experts": [5], "num_experts": [5], "n_routed_experts": [5], "n_group": [2, 4, None, ABSENT, 8],
    "topk_group": [1, 2, None, ABSENT], "routed_scaling_factor": [1.0, ABSENT, 0.5], "route_scale": [ABSENT, 1.0],
    "scoring_func": ["softmax", "sigmoid"], "topk_method": ["greedy", "group_limited_greedy", "noaux_tc"],
    "use_expert_bias": [False], "route_norm": [False], "router_jitter_noise": [0.3], "moe_norm_min": [0.9, ABSENT],
    "first_k_dense_replace": [ABSENT], "num_dense_layers": [ABSENT], "moe_layer_start_index": [ABSENT],
    "moe_layer_end_index": [-1, ABSENT], "moe_layer_interval": [1, ABSENT], "mlp_only_layers": [[0]], "decoder_sparse_step": [2],
    "moe_layer_freq": [2], "mlp_layer_types": [None, ABSENT, ["dense", "sparse", "dense"], ["sparse"] * 3], "n_shared_experts": [ABSENT], "num_shared_experts": [ABSENT], "shared_intermediate_size": [0],
    "num_key_value_heads": [ABSENT, None], "head_dim": [ABSENT, None], "q_lora_rank": [ABSENT], "v_head_dim": [ABSENT],
    "use_bias": [True], "attention_bias": [ABSENT, False, True], "qkv_bias": [True], "lm_head_bias": [True],
    "use_qk_norm": [False, True, ABSENT], "qk_layernorm": [False], "clip_qkv": [0.5], "attn_logit_softcapping": [5.0],
    "final_logit_softcapping": [5.0], "query_pre_attn_scalar": [3.0], "rms_norm_eps": [ABSENT, 0.1], "layer_norm_eps": [0.1],
    "hidden_act": ["gelu", "swish", ABSENT], "swiglu_limit": [0.7, ABSENT], "swiglu_alpha": [1.2], "mup_enabled": [False, ABSENT],
    "embedding_multiplier": [2.0], "residual_multiplier": [0.25], "attention_multiplier": [0.1, ABSENT], "logits_scaling": [3.0],
    "tie_word_embeddings": [ABSENT, True, False], "max_position_embeddings": [ABSENT], "moe_intermediate_size": [11],
    "intermediate_size": [ABSENT], "per_layer_config": [{"0": {"sliding_window": 5}}],
}  # fmt: skip
TOKENS = [1, *np.random.default_rng(6).integers(3, 67, 27).tolist()]


def theirs(folder: Path) -> np.ndarray:
    # Mistral 4 has no Auto class.
    name = json.loads((folder / "config.json").read_text())["model_type"]
    kind = transformers.Mistral4ForCausalLM if name == "mistral4" else transformers.AutoModelForCausalLM
    model = kind.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager").eval()  # fmt: skip
    with torch.no_grad():
        return model(torch.tensor([TOKENS])).logits[0].numpy()


def ours(folder: Path) -> np.ndarray:
    return np.array(ms.load(str(folder), precision="exact").run(TOKENS, capture=["logits"])["logits"])


def changed(config: dict, field: str, value: object) -> dict | None:
    if value is ABSENT:
        return {key: other for key, other in config.items() if key != field} if field in config else None
    if field == "layer_types" and isinstance(value, str):
        count = config["num_hidden_layers"]
        kinds = {"full": ["full_attention"], "sliding": ["sliding_attention"], "mixed": ["full_attention", "sliding_attention"]}
        value = (kinds[value] * count)[:count]
    return config | {field: value}


def attempt(function, folder: Path) -> tuple[np.ndarray | None, str]:
    try:
        return function(folder), ""
    except Exception as error:  # noqa: BLE001: whatever either of them says
        return None, str(error)


def main() -> int:
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    wrong = 0
    for family in sys.argv[1:] or FAMILIES:
        config = json.loads((HERE / family / "config.json").read_text())
        equal, refused, beyond = 0, 0, 0
        for field, values in FIELDS.items():
            for value in values:
                written = changed(config, field, value)
                if written is None:
                    continue
                with tempfile.TemporaryDirectory() as temporary:
                    folder = Path(temporary)
                    (folder / "config.json").write_text(json.dumps(written))
                    (folder / "model.safetensors").symlink_to(HERE.resolve() / family / "model.safetensors")
                    (mine, _), (reference, _) = attempt(ours, folder), attempt(theirs, folder)
                shown = "absent" if value is ABSENT else json.dumps(value)
                if mine is None:
                    refused += reference is not None
                elif reference is None:
                    beyond += 1
                elif mine.shape == reference.shape and np.abs(mine - reference).max() < 1e-3:
                    equal += 1
                else:
                    wrong += 1
                    print(f"{family}, {field} {shown}: DIFFERENT")
        print(f"{family:18} {equal:4} equal, {refused:3} refused here alone, {beyond:3} refused by transformers alone", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
