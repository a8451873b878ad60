"""What transformers makes of combinations of `grid.py`: router logits, mixing weights and log-probabilities. Needs torch and
transformers; computes with one thread."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grid
import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

torch.set_num_threads(1)
transformers.logging.set_verbosity(transformers.logging.CRITICAL)
transformers.logging.disable_progress_bar()


def load(folder: Path) -> Any:
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    # A tensor that is not there is made up at random: no reference for anything.
    missing = [name for name in info["missing_keys"] if not name.endswith("lm_head.weight") or not model.config.tie_word_embeddings]
    if missing:
        raise ValueError(f"missing {missing[0]}")
    return model.eval()


def run(model: Any, texts: Sequence[list[int]] = tuple(grid.DOCUMENTS)) -> list[dict[str, Any]]:
    routers = [
        module for name, module in model.named_modules() if name.endswith((".gate", ".router")) and hasattr(module, "weight")
    ]
    outputs: list[Any] = []
    handles = [module.register_forward_hook(lambda _module, _input, output: outputs.append(output)) for module in routers]
    documents = []
    rotary = model.model.rotary_emb
    for tokens in texts:
        outputs.clear()
        if model.config.model_type == "phimoe" and model.config.rope_parameters["rope_type"] == "longrope":
            # transformers 5.23 and 5.24 never tell Phi-3.5-MoE's LongRoPE how long the text is, and so turn long texts by the
            # short factors; the model (arXiv 2402.13753, its own code, llama.cpp) turns them by the long ones.
            rotary.rope_init_fn = functools.partial(ROPE_INIT_FUNCTIONS["longrope"], seq_len=len(tokens))
        with torch.no_grad():
            logits = model(torch.tensor([tokens]), use_cache=False).logits[0]
        if not torch.isfinite(logits).all():
            raise ValueError("no finite numbers")
        scores = torch.log_softmax(logits.double(), -1)
        logprob = scores[:-1].gather(1, torch.tensor(tokens)[1:, None])[:, 0]
        documents.append(
            {
                "router": [output[0].float().reshape(len(tokens), -1).tolist() for output in outputs],
                "weights": [output[1].float().sort(-1, descending=True).values.tolist() for output in outputs],
                "logprob": logprob.tolist(),
            }
        )
    for handle in handles:
        handle.remove()
    return documents
