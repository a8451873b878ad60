#!/usr/bin/env python3
"""Reproduce the model card's numbers from the exported folder.

    python3 evaluate.py                        # everything, about two minutes on two cores
    python3 evaluate.py --folder DIR --json results.json --no-samples

Loads the folder with transformers (float32, no extra code) and reports on heldout.jsonl:
bits per byte by group; information between language and expert by layer; load; generated text.
Documents of the manuals that the model was trained on, and of the second source, are told apart by "source".
First it checks that a plain forward pass, written here from the names in model.safetensors, gives the same logits.

L layers, E experts, K choices per token, R documents.
"""

import argparse
import json
import math
import os
import sys
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
import numpy as np
import torch
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent
LANGUAGES = ["en", "de", "fr", "es", "it"]
GROUPS = LANGUAGES + ["code"]
TRAINED = {"libreoffice-help", "gimp-help", "python-stdlib"}  # sources whose other pages are in the training text
SEED = 20240607
# Whole words, no beginnings of other words: behind "El" half of the texts went on as Italian "Elenco".
PROMPTS = dict(en="The", de="Die", fr="Les", es="Para", it="Per", code="class")

# Words frequent in one of the five languages and in none of the others: what a reader recognizes a language by.
TELLING = dict(
    en="the of to and is you that for on with are be this by from or can will not your when at which it an",
    de="der die das und zu den ist sie von mit für auf ein eine im dem nicht werden wird oder als wenn können einen einer",
    fr="les des et est dans pour vous au sur pas avec ou ce cette sont qui du peut être votre aux une pouvez",
    es="el los las y del para con por su como más puede este esta desde al cuando archivo sea si una",
    it="il gli di della che per è con non questo questa dei delle nel alla può sono viene scegliete se una",
)
TELLING = {k: set(v.split()) for k, v in TELLING.items()}


# ---------------------------------------------------------------- the model, once through


def load(folder):
    from transformers import AutoTokenizer, MixtralForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()

    model, info = MixtralForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(key):
            sys.exit(f"{folder}: {key}: {sorted(info[key])[:5]}")
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def plain_logits(folder, tokens):
    """The forward pass from the file alone: float32, one document, nothing fused. tokens [T] → logits [T,V]."""
    from safetensors import safe_open

    c = json.loads((Path(folder) / "config.json").read_text())
    with safe_open(str(Path(folder) / "model.safetensors"), "pt") as f:
        w = {n: f.get_tensor(n).float() for n in f.keys()}
    heads, kv, size, eps = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"], c["rms_norm_eps"]
    t = len(tokens)

    def norm(x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * w[name]

    def rope(x):
        angle = torch.outer(torch.arange(t).float(), c["rope_theta"] ** (-torch.arange(0, size, 2).float() / size))
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        a, b = x[..., : size // 2], x[..., size // 2 :]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    x = w["model.embed_tokens.weight"][tokens]
    mask = torch.full((t, t), -math.inf).triu(1)
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        y = norm(x, p + "input_layernorm.weight")
        q = rope((y @ w[p + "self_attn.q_proj.weight"].T).view(t, heads, size))
        k = rope((y @ w[p + "self_attn.k_proj.weight"].T).view(t, kv, size)).repeat_interleave(heads // kv, 1)
        v = (y @ w[p + "self_attn.v_proj.weight"].T).view(t, kv, size).repeat_interleave(heads // kv, 1)
        a = F.softmax(torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(size) + mask, -1)
        x = x + torch.einsum("hqk,khd->qhd", a, v).reshape(t, -1) @ w[p + "self_attn.o_proj.weight"].T
        y = norm(x, p + "post_attention_layernorm.weight")
        probabilities = F.softmax(y @ w[p + "block_sparse_moe.gate.weight"].T, -1)
        gates, chosen = probabilities.topk(c["num_experts_per_tok"], -1)
        gates = gates / gates.sum(-1, keepdim=True)
        out = torch.zeros_like(x)
        for e in range(c["num_local_experts"]):
            rows, slot = torch.where(chosen == e)
            m = p + f"block_sparse_moe.experts.{e}."
            h = F.silu(y[rows] @ w[m + "w1.weight"].T) * (y[rows] @ w[m + "w3.weight"].T)
            out.index_add_(0, rows, (h @ w[m + "w2.weight"].T) * gates[rows, slot, None])
        x = x + out
    return norm(x, "model.norm.weight") @ w["lm_head.weight"].T


@torch.no_grad()
def run(model, tokenizer, rows, batch):
    """One pass over the documents. Returns nll [R] in bits and counts [R,L,E]: each layer's choices, BOS left out."""
    layers, experts, k = model.config.num_hidden_layers, model.config.num_local_experts, model.config.num_experts_per_tok
    ids = [tokenizer(r["text"]).input_ids for r in rows]
    order = sorted(range(len(rows)), key=lambda i: len(ids[i]))
    bits, counts = np.zeros(len(rows)), np.zeros((len(rows), layers, experts))
    for s in range(0, len(order), batch):
        part = order[s : s + batch]
        width = max(len(ids[i]) for i in part)
        tokens = torch.zeros(len(part), width, dtype=torch.long)
        mask = torch.zeros(len(part), width, dtype=torch.long)
        for j, i in enumerate(part):
            tokens[j, : len(ids[i])] = torch.tensor(ids[i])
            mask[j, : len(ids[i])] = 1
        out = model(tokens, attention_mask=mask, output_router_logits=True, use_cache=False)
        chosen = [r.view(len(part), width, experts).topk(k, -1).indices for r in out.router_logits]
        for j, i in enumerate(part):
            n = len(ids[i])
            logp = F.log_softmax(out.logits[j, : n - 1].float(), -1)
            bits[i] = -logp.gather(1, tokens[j, 1:n, None]).sum().item() / math.log(2)
            for l in range(layers):
                counts[i, l] = np.bincount(chosen[l][j, 1:n].reshape(-1).numpy(), minlength=experts)
        print(f"\r{min(s + batch, len(order))} of {len(order)} documents", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return ids, bits, counts


# ---------------------------------------------------------------- numbers


def information(table):
    """table [...,g,e] of counts → bits, Miller–Madow corrected."""
    n = table.sum((-1, -2))

    def entropy(c):
        p = c / n[..., None]
        h = -(p * np.log2(np.where(p > 0, p, 1))).sum(-1)
        return h + ((c > 0).sum(-1) - 1) / (2 * n * math.log(2))

    return entropy(table.sum(-1)) + entropy(table.sum(-2)) - entropy(table.reshape(*table.shape[:-2], -1))


def information_by_layer(labels, counts, groups, permutations, rng):
    """Information between group and expert per layer, and its permutation p (labels permuted over documents)."""
    keep = np.array([l in groups for l in labels])
    member = np.array([[l == g for g in groups] for l in np.array(labels)[keep]], dtype=float)  # [R,g]
    c = counts[keep]
    measured = information(np.einsum("rg,rle->lge", member, c))
    exceed, largest = np.zeros(len(measured)), np.zeros(len(measured))
    for _ in range(permutations):
        value = information(np.einsum("rg,rle->lge", member[rng.permutation(len(member))], c, optimize=True))
        exceed += value >= measured
        largest = np.maximum(largest, value)
    return measured, (1 + exceed) / (1 + permutations), largest


def between(shares, names):
    """shares [R,E] of documents, names [R] → the part of their variance that lies between documents of different names: the
    intraclass correlation of a one-way random-effects analysis, variances summed over experts. It can come out below 0."""
    kinds, of = np.unique(names, return_inverse=True)
    size = np.bincount(of)
    means = np.array([shares[of == k].mean(0) for k in range(len(kinds))])
    inside = ((shares - means[of]) ** 2).sum() / (len(shares) - len(kinds))
    outside = (size[:, None] * (means - shares.mean(0)) ** 2).sum() / (len(kinds) - 1)
    part = (outside - inside) / ((len(shares) - (size**2).sum() / len(shares)) / (len(kinds) - 1))
    return part / (part + inside)


@torch.no_grad()
def samples(model, tokenizer, count, length):
    torch.manual_seed(SEED)
    out = {}
    for group, prompt in PROMPTS.items():
        start = tokenizer(prompt, return_tensors="pt")
        made = model.generate(**start, do_sample=True, temperature=0.8, top_p=0.9, top_k=0, max_new_tokens=length,
                              num_return_sequences=count, pad_token_id=0)
        out[group] = [tokenizer.decode(m, skip_special_tokens=True) for m in made]
    return out


def recognized(text):
    words = "".join(c.lower() if c.isalpha() else " " for c in text).split()
    score = {l: sum(w in TELLING[l] for w in words) for l in LANGUAGES}
    return max(score, key=score.get)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=HERE)
    parser.add_argument("--heldout", type=Path, default=HERE / "heldout.jsonl")
    parser.add_argument("--permutations", type=int, default=9999)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--no-samples", action="store_true")
    parser.add_argument("--samples", type=int, default=8, help="texts generated per group")
    parser.add_argument("--length", type=int, default=80, help="tokens generated per text")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, tokenizer = load(options.folder)
    rows = [json.loads(line) for line in open(options.heldout, encoding="utf-8")]
    total = sum(p.numel() for p in model.parameters())
    c = model.config
    idle = (c.num_local_experts - c.num_experts_per_tok) * 3 * c.hidden_size * c.intermediate_size * c.num_hidden_layers
    print(f"parameters: {total} in all, {total - idle} active per token")

    import sentencepiece

    sp = sentencepiece.SentencePieceProcessor(model_file=str(options.folder / "tokenizer.model"))
    same = sum(tokenizer(r["text"], add_special_tokens=False).input_ids == sp.encode(r["text"]) for r in rows)
    print(f"tokenizer.json gives the ids of tokenizer.model on {same} of {len(rows)} documents")
    worst = 0.0
    for r in [next(r for r in rows if r["group"] == g) for g in GROUPS]:
        tokens = torch.tensor(tokenizer(r["text"]).input_ids)
        with torch.no_grad():
            worst = max(worst, (model(tokens[None]).logits[0] - plain_logits(options.folder, tokens)).abs().max().item())
    print(f"largest difference of logits, transformers and the plain forward pass: {worst:.1e}")

    ids, bits, counts = run(model, tokenizer, rows, options.batch)
    result = dict(parameters=total, active=total - idle, logits_difference=worst, groups={}, second_source={}, layers=[])
    known = np.array([r["source"] in TRAINED for r in rows])
    for name, title, part in (("groups", "manuals of the training text", known), ("second_source", "second source", ~known)):
        print(f"\n{title}\n\n| group | documents | tokens | bytes per token | bits per byte |\n|---|---|---|---|---|")
        for g in GROUPS:
            mine = [i for i in np.flatnonzero(part) if rows[i]["group"] == g]
            if not mine:
                continue
            size, n = sum(len(rows[i]["text"].encode()) for i in mine), sum(len(ids[i]) - 1 for i in mine)
            bpb = sum(bits[i] for i in mine) / size
            result[name][g] = dict(documents=len(mine), tokens=n, bits_per_byte=bpb)
            print(f"| {g} | {len(mine)} | {n} | {size / n:.2f} | {bpb:.3f} |")

    # Which documents are alike: those of one manual, or also those of one of LibreOffice's programs?
    shares = counts / counts.sum(-1, keepdims=True)
    print("\npart of the variance of documents' shares of experts, mean over the languages\n\n| layer | between GIMP's manual and LibreOffice's "
          "| between LibreOffice's programs | between the second source's manuals |\n|---|---|---|---|")
    for l in range(counts.shape[1]):
        line = []
        for part, level in ((known, 1), (np.array([r["source"] == "libreoffice-help" for r in rows]), 2), (~known, 1)):
            mine = [np.array([p and r["group"] == g for p, r in zip(part, rows)]) for g in LANGUAGES]
            names = np.array(["/".join(r["id"].split("/")[:level]) for r in rows])
            line.append(np.mean([between(shares[m, l], names[m]) for m in mine]))
        print(f"| {l} | " + " | ".join(f"{x:.2f}" for x in line) + " |")

    other = counts[~known]
    other_labels = [r["group"] for r in rows if r["source"] not in TRAINED]
    counts, labels = counts[known], [r["group"] for r in rows if r["source"] in TRAINED]
    rng = np.random.default_rng(SEED)
    five, p_five, chance = information_by_layer(labels, counts, LANGUAGES, options.permutations, rng)
    six, p_six, _ = information_by_layer(labels, counts, GROUPS, options.permutations, rng)
    second = information_by_layer(other_labels, other, LANGUAGES, options.permutations, rng) if len(other) else None
    print("\n| layer | I(language; expert), bits | p | largest of the permutations | with code | p | least load | largest load | dead |\n"
          "|---|---|---|---|---|---|---|---|---|")
    for l in range(counts.shape[1]):
        share = counts[:, l].sum(0) / counts[:, l].sum()
        result["layers"].append(dict(information=five[l], p=p_five[l], information_with_code=six[l], p_with_code=p_six[l],
                                     load=share.tolist(), dead=int((share == 0).sum())))
        print(f"| {l} | {five[l]:.3f} | {p_five[l]:.4f} | {chance[l]:.3f} | {six[l]:.3f} | {p_six[l]:.4f} | {share.min():.3f} | {share.max():.3f} | {(share == 0).sum()} |")
    if second is not None:
        print("\nsecond source\n\n| layer | I(language; expert), bits | p | largest of the permutations | correlation of the languages' shares of "
              "experts with those of the other manuals |\n|---|---|---|---|---|")
        for l, (value, p, largest) in enumerate(zip(*second)):
            shares = [
                np.concatenate([(s := c[[x == g for x in of], l].sum(0)) / s.sum() for g in LANGUAGES])
                for c, of in ((counts, labels), (other, other_labels))
            ]
            alike = np.corrcoef(*shares)[0, 1]
            result["layers"][l].update(information_second_source=value, p_second_source=p, shares_correlation=alike)
            print(f"| {l} | {value:.3f} | {p:.4f} | {largest:.3f} | {alike:.3f} |")
    print("\nshare of each group's assignments by expert, in percent")
    for l in range(counts.shape[1]):
        for g in GROUPS:
            s = counts[[i for i, x in enumerate(labels) if x == g], l].sum(0)
            print(f"layer {l} {g:4} " + " ".join(f"{100 * x:5.1f}" for x in s / s.sum()))

    if not options.no_samples:
        result["samples"] = samples(model, tokenizer, options.samples, options.length)
        print()
        for g, texts in result["samples"].items():
            if g in LANGUAGES:
                right = sum(recognized(t) == g for t in texts)
                result["groups"][g]["recognized"] = right
                print(f"{g}: {right} of {len(texts)} generated texts recognized as {g} by their function words")
            for t in texts[:2]:
                print("    " + t.replace("\n", "\n    ") + "\n")
    met = dict(
        bits_per_byte=all(result["groups"][g]["bits_per_byte"] <= 1.30 for g in LANGUAGES),
        information=sum(x["information"] >= 0.30 and x["p"] < 0.001 for x in result["layers"]) * 2 >= len(result["layers"]),
        no_dead_expert=all(x["dead"] == 0 for x in result["layers"]),
    )
    result["met"] = met = {k: bool(v) for k, v in met.items()}
    print("asked for: at most 1.30 bits per byte in every language: {bits_per_byte}; at least 0.30 bits with p < 0.001 in half of "
          "the layers: {information}; no dead expert: {no_dead_expert}".format(**{k: "yes" if v else "NO" for k, v in met.items()}))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
