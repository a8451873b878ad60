"""Writes the DeepSeek-V2 fixture as GGUF in the two layouts that llama.cpp's converter has had, with the `gguf` package.

    python deepseek2_gguf.py

`deepseek2-older.gguf` is as files of 2024 are (attn_kv_b; sizes of heads under the usual keys; nothing about scores),
`deepseek2-split.gguf` as files since April 2025 (attn_k_b transposed, attn_v_b; one head over latents). All F32. Made with gguf 0.19.0
of the folder's own weights, so that both are the same model as the folder.
"""

import json
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

HERE = Path(__file__).parent
FOLDER = HERE / "deepseek_v2"
NAMES = {
    "input_layernorm.weight": "attn_norm.weight", "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.kv_a_proj_with_mqa.weight": "attn_kv_a_mqa.weight", "self_attn.kv_a_layernorm.weight": "attn_kv_a_norm.weight",
    "self_attn.o_proj.weight": "attn_output.weight", "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight", "mlp.down_proj.weight": "ffn_down.weight",
    "mlp.gate.weight": "ffn_gate_inp.weight", "mlp.shared_experts.gate_proj.weight": "ffn_gate_shexp.weight",
    "mlp.shared_experts.up_proj.weight": "ffn_up_shexp.weight", "mlp.shared_experts.down_proj.weight": "ffn_down_shexp.weight",
}  # fmt: skip


def write(path: Path, splits: bool) -> None:
    config = json.loads((FOLDER / "config.json").read_text())
    weights = {key: value.astype(np.float32) for key, value in load_file(FOLDER / "model.safetensors").items()}
    heads, rank = config["num_attention_heads"], config["kv_lora_rank"]
    own, rotated, values = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
    rope = config["rope_parameters"]
    writer = gguf.GGUFWriter(path, "deepseek2")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_expert_count(config["n_routed_experts"])
    writer.add_expert_used_count(config["num_experts_per_tok"])
    writer.add_expert_shared_count(config["n_shared_experts"])
    writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    writer.add_expert_weights_scale(config["routed_scaling_factor"])
    writer.add_leading_dense_block_count(config["first_k_dense_replace"])
    writer.add_kv_lora_rank(rank)
    writer.add_rope_dimension_count(rotated)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(rope["factor"])
    writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    writer.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])
    if splits:
        writer.add_head_count_kv(1)
        writer.add_key_length(rank + rotated)
        writer.add_value_length(rank)
        writer.add_key_length_mla(own + rotated)
        writer.add_value_length_mla(values)
    else:
        writer.add_head_count_kv(heads)
        writer.add_key_length(own + rotated)
        writer.add_value_length(values)
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    writer.add_tensor("output.weight", weights["lm_head.weight"])
    for layer in range(config["num_hidden_layers"]):
        prefix, block = f"model.layers.{layer}.", f"blk.{layer}."
        for theirs, name in NAMES.items():
            if prefix + theirs in weights:
                writer.add_tensor(block + name, weights[prefix + theirs])
        both = weights[prefix + "self_attn.kv_b_proj.weight"]
        if splits:
            apart = both.reshape(heads, own + values, rank)
            writer.add_tensor(block + "attn_k_b.weight", np.ascontiguousarray(apart[:, :own].transpose(0, 2, 1)))
            writer.add_tensor(block + "attn_v_b.weight", np.ascontiguousarray(apart[:, own:]))
        else:
            writer.add_tensor(block + "attn_kv_b.weight", both)
        for part in ("gate", "up", "down"):
            names = [f"{prefix}mlp.experts.{expert}.{part}_proj.weight" for expert in range(config["n_routed_experts"])]
            if names[0] in weights:
                writer.add_tensor(f"{block}ffn_{part}_exps.weight", np.stack([weights[name] for name in names]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


write(HERE / "deepseek2-older.gguf", splits=False)
write(HERE / "deepseek2-split.gguf", splits=True)
