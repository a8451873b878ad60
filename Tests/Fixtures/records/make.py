"""Makes the records of this folder: one routing of a made-up model (6 experts, 2 per token, layers 1 and 3 of 4 have experts), written as each program writes it.

    python Tests/Fixtures/records/make.py          (numpy 2.4, torch 2; the parity environment has both)

Formats, from the writers themselves:
* vllm.jsonl: choices of /v1/completions with the base64 text of a .npy (vllm-project/vllm, vllm/outputs.py and the entry points' tests)
* sglang.pt: the recorder's dump in mode per_token (sgl-project/sglang, python/sglang/srt/eplb/expert_distribution.py, `_DetailSinglePassGatherer.collect`
  and `_DetailAccumulator.dump`): room for 8 experts, −1 in layers without a router and past K
* sglang-stat.pt, sglang-passes.pt: the same recorder's modes stat (`_StatAccumulator.dump`) and per_pass, of the same choices
* llama.csv: phase,token,layer,rank,expert (examples/moe-trace in Cartaz/llama.cpp-vulkan-moe, after ggml-org/llama.cpp pull request 28544)
* router_trace_rank0.jsonl, logits_rank0.bin: NVIDIA/Megatron-LM, megatron/core/transformer/moe/router_trace.py
"""

import base64
import io
import json
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent
LAYERS, ROUTED, EXPERTS, K, VOCABULARY = 4, [1, 3], 6, 2, 50
LENGTHS = [5, 4]


def routing(seed: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[n, L, E] logits, [n, L, K] experts by falling logit, [n] tokens of both documents."""
    generator = np.random.default_rng(seed)
    n = sum(LENGTHS)
    # Eighths are exact in bfloat16, and no two of a token are equal.
    logits = generator.permuted(np.tile(np.arange(EXPERTS) / 8 - 0.25, (n, len(ROUTED), 1)), axis=2).astype(np.float32)
    experts = np.argsort(-logits, axis=2)[:, :, :K].astype(np.int16)
    return logits, experts, generator.integers(0, VOCABULARY, n)


def main() -> None:
    logits, experts, tokens = routing()
    (FOLDER / "card.json").write_text(
        json.dumps({"name": "made-up", "model_type": "made_up_moe", "layers": LAYERS, "experts": EXPERTS,
                    "experts_per_token": K, "moe_layers": ROUTED, "vocab_size": VOCABULARY}) + "\n")
    with (FOLDER / "vllm.jsonl").open("w") as file:
        start = 0
        for number, length in enumerate(LENGTHS):
            rows = slice(start, start + length)
            data = io.BytesIO()
            np.save(data, experts[rows])
            ids = tokens[rows].tolist()
            # The last sampled token does not go through the model: one more id than rows.
            choice = {"index": 0, "token_ids": [*ids[3:], 9], "routed_experts": base64.b64encode(data.getvalue()).decode(), "finish_reason": "length"}
            response = {"id": f"cmpl-{number}", "object": "text_completion", "model": "made-up", "group": "de" if number else "en",
                        "prompt_token_ids": ids[:3], "choices": [choice],
                        "usage": {"prompt_tokens": 3, "completion_tokens": length - 2}}
            file.write(json.dumps(response) + "\n")
            start += length
    ids = torch.full((LAYERS, sum(LENGTHS), 8), -1, dtype=torch.int32)
    ids[ROUTED, :, :K] = torch.from_numpy(experts.astype(np.int32)).permute(1, 0, 2)
    record = {"forward_pass_id": 3, "rank": 0, "gatherer_key": "primary", "input_ids": tokens.tolist(),
              "positions": [*range(LENGTHS[0]), *range(LENGTHS[1])], "extend_seq_lens": LENGTHS, "forward_mode": 1,
              "topk_ids_of_layer": ids, "misc_objects": []}
    decode = {**record, "forward_pass_id": 4, "input_ids": tokens[:1].tolist(), "positions": [5], "extend_seq_lens": None,
              "forward_mode": 2, "topk_ids_of_layer": ids[:, :1].clone()}
    identity = torch.arange(EXPERTS).repeat(LAYERS, 1)
    torch.save({"records": [record, decode], "last_physical_to_logical_map": identity}, FOLDER / "sglang.pt")
    counts = torch.zeros(3, LAYERS, EXPERTS, dtype=torch.int32)
    start = 0
    for step, length in enumerate(LENGTHS):
        for place, layer in enumerate(ROUTED):
            counts[step, layer] = torch.from_numpy(np.bincount(experts[start : start + length, place].ravel(), minlength=EXPERTS))
        start += length
    # A buffer of three passes of which two came.
    torch.save({"rank": 0, "logical_count": counts, "average_utilization_rate_over_window": None}, FOLDER / "sglang-stat.pt")
    # Expert 2 is there twice: physical experts 2 and 6, of which the second took one token less than all.
    physical = torch.zeros(2, LAYERS, EXPERTS + 1, dtype=torch.int32)
    physical[:, :, :EXPERTS] = counts[:2]
    physical[:, :, EXPERTS] = (physical[:, :, 2] - 1).clamp(min=0)
    physical[:, :, 2] -= physical[:, :, EXPERTS]
    places = torch.cat([torch.arange(EXPERTS), torch.tensor([2])]).repeat(LAYERS, 1)
    passes = [{"forward_pass_id": step, "rank": 0, "gatherer_key": "primary", "global_physical_count": physical[step].clone()} for step in range(2)]
    torch.save({"records": passes, "last_physical_to_logical_map": places}, FOLDER / "sglang-passes.pt")
    with (FOLDER / "llama.csv").open("w") as file:
        file.write("phase,token,layer,rank,expert\n")
        for token in range(LENGTHS[0]):
            for place, layer in enumerate(ROUTED):
                for rank in range(K):
                    phase = "prefill" if token < 3 else "decode"
                    file.write(f"{phase},{token},{layer},{rank},{experts[token, place, rank]}\n")
    with (FOLDER / "router_trace_rank0.jsonl").open("w") as file, (FOLDER / "logits_rank0.bin").open("wb") as beside:
        start = 0
        for step, length in enumerate(LENGTHS):
            for place, layer in enumerate(ROUTED):
                part = torch.from_numpy(logits[start : start + length, place]).to(torch.bfloat16)
                data = part.view(torch.int16).numpy().tobytes()
                file.write(json.dumps({
                    "step": step, "stage": "pre_dispatch", "block": "decoder", "layer": layer, "rank": 0, "num_tokens": length, "topk": K,
                    "top_indices": experts[start : start + length, place].tolist(),
                    "logit_offset": beside.tell(), "logit_bytes": len(data), "logit_shape": [length, EXPERTS]}) + "\n")
                beside.write(data)
            start += length


if __name__ == "__main__":
    main()
