"""Makes random checkpoints and what `transformers` computes with them in float32.

    python make.py [--output FOLDER] [--large]

Each case is a Hugging Face folder (config.json, model.safetensors) with `expected.safetensors` beside it:
    document.{i}.tokens           I64 [t]
    document.{i}.logprob          F32 [t]     log p(token | before); NaN first
    document.{i}.router.{l}       F32 [t, E]
    document.{i}.indices.{l}      I64 [t, K]
    document.{i}.weights.{l}      F32 [t, K]
    document.{i}.pattern.{l}      F32 [H, t, t]  (documents of up to 64 tokens)
    document.{i}.hook.NAME        F32            (first document: every other hook point of the residual path)

Made with torch 2.15.0, transformers 5.23.0, seed 7 (pins in Tests/Fixtures/parity/requirements.txt). Without --large the files are the
committed ones; with it `make parity` compares larger shapes as well.
"""

import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import MixtralConfig, MixtralForCausalLM

# name: (hidden, heads, kv heads, head size, expert width, experts, top-k, layers, vocabulary, document lengths)
SMALL = {
    "grouped": (32, 4, 2, 8, 24, 8, 2, 2, 131, (1, 17, 64)),
    "wide-heads": (24, 4, 1, 16, 20, 2, 1, 2, 97, (1, 33)),
    "all-heads": (40, 5, 5, 8, 28, 16, 4, 2, 257, (2, 50)),
    "long": (16, 2, 1, 8, 16, 4, 2, 2, 61, (2048, 3)),
    "many-experts": (32, 2, 2, 16, 12, 60, 4, 2, 509, (1, 40)),
}
LARGE = {
    "long-and-wide": (64, 4, 2, 16, 96, 8, 2, 2, 1009, (2048, 1)),
    "mixtral-like": (256, 8, 2, 32, 320, 8, 2, 6, 8191, (1, 300, 77)),
    "wide": (512, 16, 4, 32, 1000, 8, 2, 3, 4099, (200, 512)),
}


def router_hook(store, layer):
    def hook(module, arguments, output):
        store["router"][layer], store["weights"][layer], store["indices"][layer] = (o.detach() for o in output)

    return hook


def make(name, shape, folder, precision=torch.float32):
    hidden, heads, kv_heads, head_size, width, experts, top_k, layers, vocabulary, lengths = shape
    torch.manual_seed(7)
    config = MixtralConfig(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=width, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_size, num_local_experts=experts,
        num_experts_per_tok=top_k, max_position_embeddings=4096, rope_theta=10000.0, sliding_window=None,
        tie_word_embeddings=False, initializer_range=0.02,
    )  # fmt: skip
    config._attn_implementation = "eager"
    model = MixtralForCausalLM(config).to(precision).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                # Fan-in scaling keeps activations of order one, so that routing and attention are far from uniform.
                parameter.normal_(0, 1.5 / parameter.shape[-1] ** 0.5)
            else:
                parameter.uniform_(0.5, 1.5)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    for extra in folder.glob("generation_config.json"):
        extra.unlink()

    expected = {}
    for index, length in enumerate(lengths):
        tokens = torch.randint(0, vocabulary, (1, length))
        store = {"router": {}, "weights": {}, "indices": {}}
        handles = [
            layer.mlp.gate.register_forward_hook(router_hook(store, number))
            for number, layer in enumerate(model.model.layers)
        ]
        hooked = {}
        if index == len(lengths) - 1:
            handles += residual_hooks(model, hooked)
        with torch.no_grad():
            output = model(tokens, output_attentions=length <= 64, use_cache=False)
        for handle in handles:
            handle.remove()
        prefix = f"document.{index}."
        logprob = torch.full((length,), float("nan"))
        scores = torch.log_softmax(output.logits[0].double(), -1)
        logprob[1:] = scores[:-1].gather(1, tokens[0, 1:, None])[:, 0].float()
        expected[prefix + "tokens"] = tokens[0]
        expected[prefix + "logprob"] = logprob
        for layer in range(layers):
            expected[f"{prefix}router.{layer}"] = store["router"][layer].float()
            expected[f"{prefix}indices.{layer}"] = store["indices"][layer]
            expected[f"{prefix}weights.{layer}"] = store["weights"][layer].float()
            if length <= 64:
                expected[f"{prefix}pattern.{layer}"] = output.attentions[layer][0].float()
        if length <= 64:
            for key, value in hooked.items():
                expected[f"{prefix}hook.{key}"] = value.float()
            if hooked:
                expected[f"{prefix}hook.logits"] = output.logits[0].float()
    save_file({key: value.clone().contiguous() for key, value in expected.items()}, folder / "expected.safetensors")
    return expected


def residual_hooks(model, store):
    def keep(name, first=False):
        def hook(module, arguments, output):
            value = arguments[0] if first else output
            value = value[0] if isinstance(value, tuple) else value
            store[name] = value.detach().reshape(-1, value.shape[-1])

        return hook

    handles = [model.model.embed_tokens.register_forward_hook(keep("embed"))]
    handles.append(model.model.norm.register_forward_hook(keep("final_norm")))
    for number, layer in enumerate(model.model.layers):
        prefix = f"blocks.{number}."
        attention = layer.self_attn
        handles += [
            layer.register_forward_hook(keep(prefix + "resid_post")),
            layer.input_layernorm.register_forward_hook(keep(prefix + "resid_pre", first=True)),
            layer.post_attention_layernorm.register_forward_hook(keep(prefix + "resid_mid", first=True)),
            attention.q_proj.register_forward_hook(keep(prefix + "attn.q")),
            attention.k_proj.register_forward_hook(keep(prefix + "attn.k")),
            attention.v_proj.register_forward_hook(keep(prefix + "attn.v")),
            attention.o_proj.register_forward_hook(keep(prefix + "attn.z", first=True)),
            attention.o_proj.register_forward_hook(keep(prefix + "attn_out")),
            layer.mlp.register_forward_hook(keep(prefix + "moe_out")),
        ]
    return handles


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    for name, shape in (SMALL | LARGE if arguments.large else SMALL).items():
        make(name, shape, arguments.output / name)
        print(name, json.dumps(shape))


if __name__ == "__main__":
    main()
