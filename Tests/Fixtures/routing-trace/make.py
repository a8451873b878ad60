"""Makes the trace in this folder and reference.json, its metrics computed with numpy, scipy and scikit-learn.

    python3 Tests/Fixtures/routing-trace/make.py

A synthetic trace in format 1, written with the Python package safetensors: 3 groups of 8 parallel documents, 2 layers of
6 experts, top 2, 2 heads. Layer 0 routes by group (the planted effect), layer 1 by token and document alone.
"""

import hashlib
import json
import platform
from itertools import combinations
from pathlib import Path

import numpy as np
import scipy
import sklearn
from safetensors import __version__ as safetensors_version
from safetensors.numpy import save_file
from scipy.spatial.distance import jensenshannon
from scipy.special import logsumexp, softmax
from scipy.stats import entropy, false_discovery_control, norm, variation
from sklearn.metrics import mutual_info_score

SEED = 20250101
HERE = Path(__file__).parent
GROUPS = ["de", "en", "fr"]
L, E, K, H, V = 2, 6, 2, 2, 50
DOCUMENTS = 8


def make_trace(rng):
    """All rows of all documents, and the documents."""
    token_effect = rng.normal(0, 1.0, (L, V, E))
    group_effect = np.zeros((L, len(GROUPS), E))
    group_effect[0] = rng.normal(0, 1.2, (len(GROUPS), E))
    documents, rows = [], []
    for part in range(DOCUMENTS):
        for g, group in enumerate(GROUPS):
            t = int(rng.integers(20, 45))
            tokens = np.concatenate([[1], rng.integers(2, V, t - 1)]).astype(np.int32)
            # Neighbours share something, so that repetition is above chance.
            smooth = rng.normal(0, 0.8, (L, t, E))
            smooth[:, 1:] += smooth[:, :-1]
            logits = token_effect[:, tokens] + group_effect[:, g][:, None] + rng.normal(0, 0.4, (L, 1, E)) + smooth
            logits = logits.astype(np.float32)
            logprob = -rng.gamma(2, 1.0, t).astype(np.float32)
            logprob[0] = np.nan
            attention = {
                "attention_entropy": rng.gamma(2, 0.5, (L, H, t)),
                "attention_first": rng.uniform(0, 1, (L, H, t)),
                "attention_previous": rng.uniform(0, 0.5, (L, H, t)),
                "attention_distance": rng.gamma(2, 3, (L, H, t)),
                "attention_max": rng.uniform(0.2, 1, (L, H, t)),
            }
            documents.append(dict(id=f"{group}-{part}", group=group, parallel_id=f"text-{part}", tokens=t))
            rows.append(dict(token=tokens, logits=logits, logprob=logprob, attention=attention))
    return documents, rows


def write(documents, rows):
    (HERE / "shards").mkdir(exist_ok=True)
    bounds = [0, 10, len(documents)]
    shards, lines = [], []
    for shard, (start, end) in enumerate(zip(bounds, bounds[1:])):
        row = 0
        columns = {"document": [], "position": []}
        for index in range(start, end):
            t = documents[index]["tokens"]
            columns["document"].append(np.full(t, index, np.int32))
            columns["position"].append(np.arange(t, dtype=np.int32))
            lines.append({
                "index": index, "id": documents[index]["id"], "group": documents[index]["group"],
                "text_sha256": hashlib.sha256(rows[index]["token"].tobytes()).hexdigest(), "tokens": t,
                "truncated": False, "shard": shard, "first_row": row, "parallel_id": documents[index]["parallel_id"],
            })
            row += t
        part = rows[start:end]
        logits = np.concatenate([r["logits"] for r in part], axis=1)
        order = np.argsort(-logits, axis=2, kind="stable")[..., :K]
        chosen = np.take_along_axis(logits, order, 2)
        arrays = {name: np.concatenate(values) for name, values in columns.items()}
        arrays |= {
            "token": np.concatenate([r["token"] for r in part]),
            "logprob": np.concatenate([r["logprob"] for r in part]),
            "router_logits": logits,
            "expert_indices": order.astype(np.uint8),
            "expert_weights": softmax(chosen, axis=2).astype(np.float32),
        }
        for name in part[0]["attention"]:
            arrays[name] = np.concatenate([r["attention"][name] for r in part], axis=2).astype(np.float16)
        file = f"shards/{shard:06d}.safetensors"
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, HERE / file)
        shards.append({
            "file": file, "tokens": row, "documents": end - start,
            "sha256": hashlib.sha256((HERE / file).read_bytes()).hexdigest(),
        })
    (HERE / "documents.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    groups = {g: DOCUMENTS for g in GROUPS}
    manifest = {
        "format": "moescope-trace", "version": 1, "status": "complete",
        "model": {
            "name": "synthetic", "architecture": "mixtral", "layers": L, "experts": E, "experts_per_token": K,
            "heads": H, "kv_heads": 1, "hidden_size": 16, "vocab_size": V, "quantization": "F32",
            "parameters_total": 1, "parameters_active": 1, "sha256": "0" * 64,
        },
        "tokenizer": {"kind": "none", "sha256": "0" * 64},
        "capture": {
            "router_logits": "f32", "attention_summary": True, "attention_pattern": [], "layers": list(range(L)),
        },
        "interventions": [],
        "compute": {"precision": "exact", "isa": "none", "threads": 1, "version": "0"},
        "corpus": {
            "source": "make.py", "sha256": "0" * 64, "documents": len(documents),
            "tokens": sum(d["tokens"] for d in documents), "groups": groups,
        },
        "shards": shards, "created": "2025-01-01T00:00:00Z", "updated": "2025-01-01T00:00:00Z",
    }
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def gini(counts):
    shares = counts / counts.sum()
    return np.abs(shares[:, None] - shares[None]).sum() / (2 * len(shares))


class Rows:
    """The counted rows (first tokens left out) of one layer."""

    def __init__(self, documents, rows, layer, logits=None):
        get = lambda f: np.concatenate([f(d, r) for d, r in zip(documents, rows)])
        self.document = np.concatenate([np.full(d["tokens"] - 1, i) for i, d in enumerate(documents)])
        self.group = np.array([GROUPS.index(documents[i]["group"]) for i in self.document])
        self.token = get(lambda d, r: r["token"][1:])
        self.logits = get(lambda d, r: r["logits"][layer, 1:]).astype(np.float64)
        self.sets = np.argsort(-self.logits, axis=1, kind="stable")[:, :K]
        self.p = softmax(self.logits, axis=1)


def metrics(rows):
    counts = np.bincount(rows.sets.ravel(), minlength=E)
    by_group = np.array([np.bincount(rows.sets[rows.group == g].ravel(), minlength=E) for g in range(len(GROUPS))])
    tokens = np.bincount(rows.group)
    labels, experts = np.repeat(rows.group, K), rows.sets.ravel()
    plug_in = mutual_info_score(labels, experts)
    filled = (by_group > 0).sum()
    corrected = plug_in + (len(GROUPS) + E - filled - 1) / (2 * by_group.sum())
    group_entropy = entropy(by_group.sum(1))
    result = {
        "tokens": len(rows.group),
        "load": {
            "counts": counts, "cv": variation(counts), "gini": gini(counts), "max_over_mean": counts.max() / counts.mean(),
            "entropy": entropy(counts) / np.log(E),
        },
        "group_counts": by_group, "group_tokens": tokens,
        "information": {
            "plug_in": plug_in / np.log(2), "corrected": corrected / np.log(2), "group_entropy": group_entropy / np.log(2),
            "share": corrected / group_entropy,
        },
        "divergence": [
            jensenshannon(by_group[a], by_group[b]) ** 2 for a, b in combinations(range(len(GROUPS)), 2)],
    }
    result["repetition"] = [repetition(rows, np.ones(len(rows.group), bool))] + [
        repetition(rows, rows.group == g) for g in range(len(GROUPS))]
    together = np.zeros((E, E), int)
    for chosen in rows.sets:
        for i in chosen:
            for j in chosen:
                together[i, j] += i != j
    result["coactivation"] = together
    ordered = -np.sort(-rows.p, axis=1)
    per_token = np.stack([entropy(rows.p, axis=1), ordered[:, 0] - ordered[:, 1], ordered[:, K - 1] - ordered[:, K]], 1)
    result["confidence"] = [per_token.mean(0)] + [per_token[rows.group == g].mean(0) for g in range(len(GROUPS))]
    return result


def repetition(rows, mask):
    index = np.flatnonzero(mask)
    pairs = [(a, b) for a, b in zip(index, index[1:]) if b == a + 1 and rows.document[a] == rows.document[b]]
    first = np.mean([rows.sets[a, 0] == rows.sets[b, 0] for a, b in pairs])
    any_ = np.mean([bool(set(rows.sets[a]) & set(rows.sets[b])) for a, b in pairs])
    onehot = np.zeros((len(index), E))
    np.put_along_axis(onehot, rows.sets[index], 1, 1)
    firsts = np.bincount(rows.sets[index, 0], minlength=E) / len(index)
    return {
        "pairs": len(pairs), "first": first, "any": any_, "load_first": (firsts**2).sum(),
        "load_any": ((onehot @ onehot.T) > 0).mean(),
    }


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return plain(value.tolist()) if isinstance(value, (np.ndarray, np.generic)) else value


def main():
    rng = np.random.default_rng(SEED)
    documents, rows = make_trace(rng)
    write(documents, rows)
    p = rng.uniform(0, 1, 20) ** 3
    reference = {
        "made_by": {
            "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__, "safetensors": safetensors_version, "seed": SEED,
        },
        "layers": [metrics(Rows(documents, rows, layer)) for layer in range(L)],
        "statistics": {
            "p": p, "q": false_discovery_control(p), "normal_p": [1e-9, 0.001, 0.025, 0.3, 0.5, 0.8, 0.975, 1 - 1e-9],
            "normal_z": norm.ppf([1e-9, 0.001, 0.025, 0.3, 0.5, 0.8, 0.975, 1 - 1e-9]),
            "quantile_of": p[:7], "quantiles": np.quantile(p[:7], [0, 0.025, 0.5, 0.9, 1]),
        },
    }
    (HERE / "reference.json").write_text(json.dumps(plain(reference), indent=1) + "\n")


if __name__ == "__main__":
    main()
