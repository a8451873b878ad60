"""Makes expected.json: log-probabilities that transformers gives while forward hooks edit its values.

    pip install -r requirements.txt && python make.py     # ../parity/grouped holds the checkpoint

The same edits are made through moescope by Tests/python/test_transformers.py. Everything is float32.
"""

import json
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
CHECKPOINT = HERE.parent / "parity" / "grouped"


def patched(model, name):
    """A context in which an edit is made, by transformers' own module names. Functions mirror test_transformers.EDITS."""
    layers = model.model.layers
    if name == "embed":
        return model.model.embed_tokens.register_forward_hook(lambda m, i, out: out * 0.5)
    if name == "blocks.0.resid_post":
        return layers[0].register_forward_hook(lambda m, i, out: (out[0] * 0.9, *out[1:]) if isinstance(out, tuple) else out * 0.9)
    if name == "blocks.1.attn_out":
        return layers[1].self_attn.register_forward_hook(lambda m, i, out: (out[0] + 0.25, *out[1:]))
    if name == "blocks.1.attn.v":
        return layers[1].self_attn.v_proj.register_forward_hook(lambda m, i, out: -out)
    if name == "blocks.1.attn.q":
        return layers[1].self_attn.q_proj.register_forward_hook(lambda m, i, out: out * 2)
    if name == "blocks.0.attn.z":
        return layers[0].self_attn.o_proj.register_forward_pre_hook(lambda m, i: (i[0] * 1.5,))
    if name == "blocks.1.moe_out":
        return moe(layers[1]).register_forward_hook(
            lambda m, i, out: (out[0] * -1, *out[1:]) if isinstance(out, tuple) else out * -1
        )
    if name == "final_norm":
        return model.model.norm.register_forward_hook(lambda m, i, out: out + 0.1)
    raise ValueError(name)


def moe(layer):
    return layer.block_sparse_moe if hasattr(layer, "block_sparse_moe") else layer.mlp


NAMES = [
    "embed", "blocks.0.resid_post", "blocks.1.attn_out", "blocks.1.attn.v", "blocks.1.attn.q", "blocks.0.attn.z",
    "blocks.1.moe_out", "final_norm",
]  # fmt: skip


def logprobs(model, tokens):
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].float()
    log_p = torch.log_softmax(logits, -1)
    return [float(log_p[i, t]) for i, t in enumerate(tokens[1:])]


def main():
    model = AutoModelForCausalLM.from_pretrained(CHECKPOINT, dtype=torch.float32, attn_implementation="eager").eval()
    torch.manual_seed(1)
    tokens = torch.randint(3, model.config.vocab_size, (24,)).tolist()
    expected = {"": logprobs(model, tokens)}
    for name in NAMES:
        handle = patched(model, name)
        expected[name] = logprobs(model, tokens)
        handle.remove()
    maker = {"transformers": transformers.__version__, "torch": torch.__version__, "seed": 1, "checkpoint": "../parity/grouped"}
    text = json.dumps({"made_by": maker, "tokens": tokens, "logprob": expected})
    (HERE / "expected.json").write_text(text.replace("]", "]\n") + "\n")


if __name__ == "__main__":
    main()
