"""Makes traces with known routing, in the project's trace format, without any model.

    python make_trace.py FOLDER [--hostile] [--call-english NAME] [--documents N] [--length N] [--layers N] [--experts N]
        [--parts N]

The router of layer l prefers expert (group + l) mod E for group g, with a strength that rises to the middle of the network
and falls again: a report must find specialization, most of it in the middle layer. Layer 0 sees nothing but chance.
Neighbouring tokens keep their first expert in the last layer. Attention heads are one of first token, previous token, or
spread; some whole patterns are kept.

`trace/` beside this script was made by `python make_trace.py trace` (seed 7, numpy 2.4.6, safetensors 0.8.0).
"""

import argparse
import collections
import hashlib
import json
import pathlib
import shutil

import numpy as np
from safetensors.numpy import save_file

WORDS = {
    "en": "the river runs slowly past old houses and a small bridge where people meet in evening light".split(),
    "de": "der Fluss zieht langsam an alten Häusern vorbei und unter einer kleinen Brücke treffen sich abends Menschen".split(),
    "fr": "la rivière coule lentement devant de vieilles maisons et un petit pont où les gens se retrouvent le soir".split(),
    "he": "הנהר זורם לאט ליד בתים ישנים וגשר קטן שבו אנשים נפגשים בערב".split(),
    "code": "def self return import for in if else None True ( ) : = [ ] 0 1 +=".split(),
}
HOSTILE = [
    "<script>document.title='owned'</script>", "</style></script><h1>owned</h1>", "<img/src=x/onerror=alert(1)>",
    "=cmd|'/C calc'!A0", "+1+1", "@SUM(A1)", "a" + "\u0301" * 5000, "\u202egnitirw-thgir\u202c", "{{{title}}}", "&lt;b&gt;",
    "\u2028", "nul\u0000byte", "<!--", "]]>", "\"quoted\",comma\nnewline",
]


def pieces(hostile: bool) -> list[str]:
    words = [word for group in WORDS.values() for word in group]
    unique = list(dict.fromkeys("▁" + word for word in words))
    return ["<unk>", "<s>", "</s>", "<0x0A>", "<0xE2>"] + unique + (HOSTILE if hostile else [])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--hostile", action="store_true")
    parser.add_argument("--call-english", default="en", help="what the English group is called")
    parser.add_argument("--documents", type=int, default=8, help="per group")
    parser.add_argument("--length", type=int, default=36, help="mean tokens per document")
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--experts", type=int, default=8)
    parser.add_argument("--parts", type=int, default=1, help="makes so many groups of each: en-1, en-2, …")
    parser.add_argument("--patterns", type=int, default=2, help="documents whose attention patterns are kept")
    options = parser.parse_args()

    rng = np.random.default_rng(7)
    L, E, K, H = options.layers, options.experts, 2, 4
    vocabulary = pieces(options.hostile)
    identity = {piece: number for number, piece in enumerate(vocabulary)}
    names = dict.fromkeys(WORDS)
    if options.hostile:
        names["<b>=cmd|'/C calc'!A0</b>"] = None
    groups = list(names)

    documents, tokens, positions, owners = [], [], [], []
    for number in range(options.documents):
        for group in groups:
            length = int(rng.integers(options.length // 2, options.length * 3 // 2)) + 1
            if group in WORDS:
                words = [identity["▁" + word] for word in WORDS[group]]
            else:
                words = [identity[piece] for piece in HOSTILE]
            ids = [1] + [int(i) for i in rng.choice(words, length - 1)]
            if len(ids) > 12:
                ids[10] = identity["<0x0A>"]
            name = f"{group}-{number:04d}"
            documents.append({
                "index": len(documents), "id": name, "group": group,
                "text_sha256": hashlib.sha256(name.encode()).hexdigest(), "tokens": len(ids), "truncated": False,
                "shard": 0, "first_row": len(tokens), "parallel_id": f"text-{number:04d}" if group != "code" else None,
            })
            owners += [len(documents) - 1] * len(ids)
            positions += range(len(ids))
            tokens += ids

    n = len(tokens)
    group_of = np.array([groups.index(documents[owner]["group"]) for owner in owners])
    for document in documents:
        if document["group"] == "en":
            document["group"] = options.call_english
        if options.parts > 1:
            document["group"] += f"-{int(document['id'][-4:]) % options.parts + 1}"
    position = np.array(positions)
    logits = rng.normal(0, 1, (L, n, E)).astype(np.float32)
    for layer in range(L):
        strength = 4.0 * np.sin(np.pi * layer / (L - 1)) if layer else 0.0
        logits[layer, np.arange(n), (group_of + layer) % E] += np.float32(strength)
    for row in range(1, n):
        if position[row]:
            logits[L - 1, row] = 0.75 * logits[L - 1, row - 1] + 0.66 * logits[L - 1, row]
    logits = logits.astype(np.float16).astype(np.float32)
    order = np.argsort(-logits, axis=-1, kind="stable")[..., :K]
    chosen = np.take_along_axis(logits, order, -1)
    weights = np.exp(chosen - chosen.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    logprob = -rng.gamma(2.0, 1.2, n).astype(np.float32)
    logprob[position == 0] = np.nan

    patterns, summary = {}, {name: np.zeros((L, H, n), np.float32) for name in ("entropy", "first", "previous", "distance", "max")}
    for document in documents:
        t, first = document["tokens"], document["first_row"]
        distance = np.arange(t)[:, None] - np.arange(t)[None, :]
        for layer in range(L):
            for head in range(H):
                score = rng.normal(0, 1, (t, t))
                if head == 0:
                    score[:, 0] += 4
                elif head == 1:
                    score[distance == 1] += 4
                score[distance < 0] = -np.inf
                p = np.exp(score - score.max(-1, keepdims=True))
                p /= p.sum(-1, keepdims=True)
                rows = slice(first, first + t)
                summary["entropy"][layer, head, rows] = -(p * np.log(np.maximum(p, 1e-12))).sum(-1)
                summary["first"][layer, head, rows] = p[:, 0]
                summary["previous"][layer, head, rows] = np.where(distance == 1, p, 0).sum(-1)
                summary["distance"][layer, head, rows] = (p * np.maximum(distance, 0)).sum(-1)
                summary["max"][layer, head, rows] = p.max(-1)
                if document["index"] < options.patterns and layer in (0, L // 2):
                    patterns[f"document.{document['index']}.layer.{layer}.head.{head}"] = p.astype(np.float16)

    folder = options.folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "shards").mkdir(parents=True)
    (folder / "attention").mkdir()
    shard, attention = folder / "shards/000000.safetensors", folder / "attention/000000.safetensors"
    save_file({
        "document": np.array(owners, np.int32), "position": position.astype(np.int32), "token": np.array(tokens, np.int32),
        "logprob": logprob, "router_logits": logits.astype(np.float16), "expert_indices": order.astype(np.uint8),
        "expert_weights": weights.astype(np.float32),
        **{f"attention_{name}": values.astype(np.float16) for name, values in summary.items()},
    }, shard)
    save_file(patterns, attention)
    with open(folder / "documents.jsonl", "w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps(document, sort_keys=True) + "\n")
    (folder / "vocabulary.json").write_text(json.dumps({"format": "moescope-vocabulary", "kind": "sentencepiece-bpe", "pieces": vocabulary}), encoding="utf-8")

    def digest(path: pathlib.Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    manifest = {
        "format": "moescope-trace", "version": 1, "status": "complete",
        "model": {
            "name": "planted", "architecture": "mixtral", "layers": L, "experts": E, "experts_per_token": K, "heads": H,
            "kv_heads": 2, "hidden_size": 64, "vocab_size": len(vocabulary), "quantization": "F32",
            "parameters_total": 1_234_567, "parameters_active": 456_789, "sha256": hashlib.sha256(b"planted").hexdigest(),
        },
        "tokenizer": {"kind": "sentencepiece-bpe", "sha256": hashlib.sha256(b"tokenizer").hexdigest()},
        "capture": {
            "router_logits": "f16", "attention_summary": True, "layers": list(range(L)),
            "attention_pattern": [[layer, head] for layer in (0, L // 2) for head in range(H)],
        },
        "interventions": [],
        "compute": {"precision": "exact", "isa": "scalar", "threads": 1, "version": "0.1.0"},
        "corpus": {
            "source": "planted.jsonl", "sha256": hashlib.sha256(b"corpus").hexdigest(), "documents": len(documents),
            "tokens": n, "groups": dict(collections.Counter(d["group"] for d in documents)),
        },
        "shards": [{
            "file": "shards/000000.safetensors", "tokens": n, "documents": len(documents), "sha256": digest(shard),
            "attention": {"file": "attention/000000.safetensors", "sha256": digest(attention)},
        }],
        "created": "2025-01-01T00:00:00Z", "updated": "2025-01-01T00:00:00Z",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")


main()
