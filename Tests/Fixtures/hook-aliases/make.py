"""What the modules of transformers give whose names MoEScope accepts as hook points: one file per family of ../families.

    python make.py

Made with torch 2.15 and transformers 5.23 (`make parity` sets them up), the same tokens for all. Of modules that return several
values the first is kept. Names that a family's model does not have are left out.
"""

from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

HERE = Path(__file__).parent
FAMILIES = ["olmoe", "qwen2_moe", "qwen3_moe", "granitemoe", "phimoe", "mixtral-linear"]
TOKENS = [1, 17, 4, 33, 8]
OUTER = ["model.embed_tokens", "model.norm", "lm_head"]
INNER = [
    "", ".self_attn", ".self_attn.q_proj", ".self_attn.k_proj", ".self_attn.v_proj", ".self_attn.o_proj", ".self_attn.q_norm",
    ".self_attn.k_norm", ".mlp", ".mlp.gate", ".mlp.router", ".block_sparse_moe", ".block_sparse_moe.router",
    ".block_sparse_moe.gate",
]  # fmt: skip


def main() -> None:
    for family in FAMILIES:
        folder = HERE.parent / "families" / family
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        names = OUTER + [f"model.layers.{layer}{name}" for layer in range(model.config.num_hidden_layers) for name in INNER]
        modules = dict(model.named_modules())
        seen: dict[str, torch.Tensor] = {}

        def keep(name: str):
            def hook(_module, _input, output):
                value = output[0] if isinstance(output, tuple) else output
                seen[name] = value.detach().reshape(len(TOKENS), -1).float().clone()

            return hook

        for name in names:
            if name in modules:
                modules[name].register_forward_hook(keep(name))
        with torch.no_grad():
            model(torch.tensor([TOKENS]), use_cache=False)
        save_file(seen, HERE / f"{family}.safetensors")
        print(family, len(seen))


main()
