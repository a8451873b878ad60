"""Makes the trace in this folder and reference.json, its metrics computed with numpy, scipy and scikit-learn.

    pip install -r Tests/Fixtures/routing-trace/requirements.txt
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
from scipy.optimize import root
from scipy.spatial.distance import jensenshannon
from scipy.special import logsumexp, softmax
from scipy.stats import chi2_contingency, entropy, false_discovery_control, norm, pearsonr, t, variation
from scipy.stats.contingency import association
from sklearn.metrics import mutual_info_score

SEED = 20250101
HERE = Path(__file__).parent
GROUPS = ["de", "en", "fr"]
L, E, K, H, V = 2, 6, 2, 2, 50
DOCUMENTS = 8
AHEAD = [1, 2, 10]
# Every seventh token begins a word, every eleventh ends a sentence, one is a line break.
PIECES = ["<unk>", "<s>", "<0x0A>"] + [
    ("▁" if i % 7 == 0 else "") + f"w{i}" + (".”" if i % 22 == 0 else "." if i % 11 == 0 else "") for i in range(3, V)]


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


def add_guesses(rows, rng):
    """Most probable next tokens, and guesses of layer 1's experts made at layer 0; distances 2 and 10 do not exist."""
    for r in rows:
        t = len(r["token"])
        r["predicted"] = np.append(rng.integers(2, V, t - 1), -1).astype(np.int32)
        noisy = r["logits"][1:] + rng.normal(0, 1.0, r["logits"][1:].shape)
        r["guesses"] = np.argsort(-noisy, axis=2, kind="stable")[..., :K].astype(np.uint8)


def write(documents, rows, here, bounds, attention):
    (here / "shards").mkdir(parents=True, exist_ok=True)
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
        if attention:
            arrays["predicted"] = np.concatenate([r["predicted"] for r in part])
            arrays["expert_guesses_1"] = np.concatenate([r["guesses"] for r in part], axis=1)
        for name in part[0]["attention"] if attention else []:
            arrays[name] = np.concatenate([r["attention"][name] for r in part], axis=2).astype(np.float16)
        file = f"shards/{shard:06d}.safetensors"
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, here / file)
        shards.append({
            "file": file, "tokens": row, "documents": end - start,
            "sha256": hashlib.sha256((here / file).read_bytes()).hexdigest(),
        })
    (here / "documents.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
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
            "router_logits": "f32", "attention_summary": attention, "attention_pattern": [], "layers": list(range(L)),
        } | ({"predicted": True, "speculative": AHEAD} if attention else {}),
        "interventions": [],
        "compute": {"precision": "exact", "isa": "none", "threads": 1, "version": "0"},
        "corpus": {
            "source": "make.py", "sha256": "0" * 64, "documents": len(documents),
            "tokens": sum(d["tokens"] for d in documents), "groups": groups,
        },
        "shards": shards, "created": "2025-01-01T00:00:00Z", "updated": "2025-01-01T00:00:00Z",
    }
    (here / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    if attention:
        vocabulary = {"format": "moescope-vocabulary", "pieces": PIECES}
        (here / "vocabulary.json").write_text(json.dumps(vocabulary, ensure_ascii=False) + "\n")


def gini(counts):
    shares = counts / counts.sum()
    return np.abs(shares[:, None] - shares[None]).sum() / (2 * len(shares))


class Rows:
    """The counted rows (first tokens left out) of one layer."""

    def __init__(self, documents, rows, layer):
        get = lambda f: np.concatenate([f(d, r) for d, r in zip(documents, rows)])
        self.document = np.concatenate([np.full(d["tokens"] - 1, i) for i, d in enumerate(documents)])
        self.group = np.array([GROUPS.index(documents[i]["group"]) for i in self.document])
        self.token = get(lambda d, r: r["token"][1:])
        self.logits = get(lambda d, r: r["logits"][layer, 1:]).astype(np.float64)
        self.sets = np.argsort(-self.logits, axis=1, kind="stable")[:, :K]
        self.p = softmax(self.logits, axis=1)
        self.next = get(lambda d, r: np.append(r["token"][2:], -1))
        self.predicted = get(lambda d, r: r["predicted"][1:])
        self.guesses = get(lambda d, r: r["guesses"][0, 1:])
        self.position = get(lambda d, r: np.arange(1, d["tokens"]))
        self.before = get(lambda d, r: r["token"][:-1])
        self.logprob = get(lambda d, r: r["logprob"][1:]).astype(np.float64)
        # As the file holds them: half precision.
        self.attention = {
            name: np.concatenate([r["attention"][name][layer][:, 1:] for r in rows], 1).astype(np.float16).astype(float)
            for name in rows[0]["attention"]}


def metrics(rows):
    counts = np.bincount(rows.sets.ravel(), minlength=E)
    by_group = np.array([np.bincount(rows.sets[rows.group == g].ravel(), minlength=E) for g in range(len(GROUPS))])
    tokens = np.bincount(rows.group)
    labels, experts = np.repeat(rows.group, K), rows.sets.ravel()
    plug_in = mutual_info_score(labels, experts)
    group_entropy = entropy(by_group.sum(1))
    result = {
        "tokens": len(rows.group),
        "load": {
            "counts": counts, "cv": variation(counts), "gini": gini(counts), "max_over_mean": counts.max() / counts.mean(),
            "entropy": min(1, jackknife(rows, load_entropy)),
        },
        "group_counts": by_group, "group_tokens": tokens,
        "information": {
            "plug_in": plug_in / np.log(2), "group_entropy": group_entropy / np.log(2), "units": units(rows),
        },
        "decoding": decoding(rows),
        "divergence": jackknife(rows, divergences),
    }
    result["repetition"] = [repetition(rows, np.ones(len(rows.group), bool))] + [
        repetition(rows, rows.group == g) for g in range(len(GROUPS))]
    together = np.zeros((E, E), int)
    for chosen in rows.sets:
        for i in chosen:
            for j in chosen:
                together[i, j] += i != j
    result["coactivation"] = together
    result["coactivation_chance"] = fixed_load_pairs(rows)
    ordered = -np.sort(-rows.p, axis=1)
    per_token = np.stack([entropy(rows.p, axis=1), ordered[:, 0] - ordered[:, 1], ordered[:, K - 1] - ordered[:, K]], 1)
    result["confidence"] = [per_token.mean(0)] + [per_token[rows.group == g].mean(0) for g in range(len(GROUPS))]
    result["aux"] = auxiliary([rows])
    result["association"] = {
        "chi_square": chi2_contingency(by_group, correction=False).statistic,
        "cramers_v": association(by_group, method="cramer"), "log_odds": log_odds(by_group),
    }
    frequency = by_group / tokens[:, None]
    others = (counts - by_group) / (tokens.sum() - tokens)[:, None]
    result["task_experts"] = {"others": frequency - others, "reference_en": frequency - frequency[1]}
    result["parallel"] = parallel_divergence(rows)
    result["vocabulary"] = {
        "input": vocabulary(rows.token, rows.sets), "next": vocabulary(rows.next, rows.sets),
        "predicted": vocabulary(rows.predicted, rows.sets)}
    result["positions"] = positions(rows)
    result["within"] = within(rows)
    result["cache"] = cache(rows)
    router = entropy(rows.p, axis=1)
    result["attention"] = [
        [rows.attention[name][h].mean() for name in rows.attention]
        + [pearsonr(rows.attention["attention_entropy"][h], router).statistic] for h in range(H)]
    return result


def jackknife(rows, statistic):
    """Less the bias that leaving out parallel texts, one at a time, shows (Quenouille 1949)."""
    text = rows.document // len(GROUPS)
    every = statistic(rows, text >= 0)
    without = np.array([statistic(rows, text != t) for t in range(DOCUMENTS)])
    return every - (DOCUMENTS - 1) * (without.mean(0) - every)


def load_entropy(rows, mask):
    return entropy(np.bincount(rows.sets[mask].ravel(), minlength=E)) / np.log(E)


def divergences(rows, mask):
    counts = [np.bincount(rows.sets[mask & (rows.group == g)].ravel(), minlength=E) for g in range(len(GROUPS))]
    return np.array([jensenshannon(a, b) ** 2 for a, b in combinations(counts, 2)])


def units(rows):
    """Bits and shares of H(G): of assignments, first choices and sets of experts, in turn."""
    of = [
        (np.repeat(rows.group, K), rows.sets.ravel(), np.repeat(rows.document, K)),
        (rows.group, rows.sets[:, 0], rows.document),
        (rows.group, np.sort(rows.sets, axis=1) @ [E, 1], rows.document)]
    result = []
    for group, value, document in of:
        unit = type("Unit", (), {"group": group, "value": value, "document": document})

        def bits(unit, mask):
            information = mutual_info_score(unit.group[mask], unit.value[mask])
            return np.array([information / np.log(2), information / entropy(np.bincount(unit.group[mask]))])
        result.append(np.clip(jackknife(unit, bits), 0, [np.inf, 1]))
    return result


class SeededGenerator:
    """As Sources/Tensors/SeededGenerator.swift has it."""

    STEP, MASK = 0x9E3779B97F4A7C15, 2**64 - 1

    def __init__(self, seed, stream):
        self.state = seed
        self.state = (self.next() + stream * self.STEP) & self.MASK
        self.state = self.next() ^ stream

    def next(self):
        self.state = (self.state + self.STEP) & self.MASK
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & self.MASK
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & self.MASK
        return z ^ (z >> 31)

    def below(self, bound):
        return self.next() * bound >> 64


FOLDS = 5
SETS = np.array([[e in chosen for e in range(E)] for chosen in combinations(range(E), K)], float)


def fold_of_text():
    """Texts, all of the same groups, shuffled and dealt one after the other."""
    texts, generator = list(range(DOCUMENTS)), SeededGenerator(SEED, 0x666F6C64)
    for last in range(DOCUMENTS - 1, 0, -1):
        other = generator.below(last + 1)
        texts[last], texts[other] = texts[other], texts[last]
    fold = np.zeros(DOCUMENTS, int)
    fold[texts] = np.arange(DOCUMENTS) % FOLDS
    return fold


def set_probabilities(counts):
    """p(S) of all sets: independent indicators given that K are on, whose means are those of the counts, plus a half."""
    wanted = K * (counts + 0.5) / (counts.sum() + E / 2)
    # The last weight is 1: a common factor changes nothing.
    means = lambda theta: softmax(SETS @ np.append(theta, 0)) @ SETS
    found = root(lambda theta: (means(theta) - wanted)[:-1], np.zeros(E - 1), tol=1e-14)
    assert np.abs(means(found.x) - wanted).max() < 1e-10
    return softmax(SETS @ np.append(found.x, 0))


def decoding(rows):
    fold = fold_of_text()[rows.document // len(GROUPS)]
    indicators = np.eye(E)[rows.sets].sum(1)
    which = (indicators @ SETS.T).argmax(1)
    prior = np.bincount(rows.group) / len(rows.group)

    def scores(left, scored):
        """log p(S|g) of the tokens of one fold, fitted on all folds but those left out."""
        use = ~np.isin(fold, left)
        tables = [set_probabilities(indicators[use & (rows.group == g)].sum(0)) for g in range(len(GROUPS))]
        return np.log(np.array(tables))[:, which[fold == scored]].T

    def gains(score, group, exponent):
        posterior = np.log(prior) + exponent * score
        posterior -= logsumexp(posterior, axis=1, keepdims=True)
        return (posterior - np.log(prior))[np.arange(len(group)), group] / np.log(2)

    gain, exponents, score = np.zeros(len(rows.group)), [], np.zeros((len(rows.group), len(GROUPS)))
    for f in range(FOLDS):
        others = [(scores([f, h], h), rows.group[fold == h]) for h in range(FOLDS) if h != f]
        sums = [sum(gains(s, g, b / 10).sum() for s, g in others) for b in range(16)]
        exponents.append(np.argmax(sums) / 10)
        score[fold == f] = scores([f], f)
        gain[fold == f] = gains(score[fold == f], rows.group[fold == f], exponents[-1])
    accuracy = []
    for length in [1, 5]:
        right = [[] for _ in GROUPS]
        for document in np.unique(rows.document):
            index, group = np.flatnonzero(rows.document == document), document % len(GROUPS)
            for start in range(0, len(index) - length + 1, length):
                right[group].append(score[index[start:start + length]].sum(0).argmax() == group)
        accuracy.append(np.mean([np.mean(r) for r in right]))
    return {
        "gain": gain.mean(), "share": gain.mean() / entropy(prior, base=2), "exponent": np.mean(exponents),
        "accuracy": accuracy}


def auxiliary(layers):
    """As transformers' load_balancing_loss_func: all layers one after the other, f per choice."""
    def balance(part, mask):
        onehot = np.eye(E)[part.sets[mask]]
        return (onehot.mean(0) * part.p[mask].mean(0)[None]).sum() * E
    every = type("Layers", (), {
        name: np.concatenate([getattr(rows, name) for rows in layers]) for name in ["p", "sets", "document"]})
    return {"balance": jackknife(every, balance), "z": np.mean(logsumexp(np.concatenate([rows.logits for rows in layers]), axis=1) ** 2)}


def log_odds(table):
    a = table + 0.5
    rows, columns = table.sum(1, keepdims=True), table.sum(0, keepdims=True)
    return np.log(a * (table.sum() - rows - columns + a) / ((rows - a + 1) * (columns - a + 1)))


def parallel_divergence(rows):
    """D_HJS by pair, its mean over pairs, and the baseline of texts two by two in the same group."""
    q = np.array([rows.p[rows.document == d].mean(0) for d in range(DOCUMENTS * len(GROUPS))])
    q = q.reshape(DOCUMENTS, len(GROUPS), E)
    d = lambda a, b: jensenshannon(a, b) ** 2 / (np.log(E) - (entropy(a) + entropy(b)) / 2)
    pairs = [np.mean([d(t[a], t[b]) for t in q]) for a, b in combinations(range(len(GROUPS)), 2)]
    firsts = range(0, DOCUMENTS - 1, 2)
    baseline = np.mean([d(q[i, g], q[i + 1, g]) for i in firsts for g in range(len(GROUPS))])
    return {"pairs": pairs, "baseline": baseline}


def table_information(x, y):
    """Bits, Miller-Madow corrected."""
    _, x = np.unique(x, return_inverse=True)
    _, y = np.unique(y, return_inverse=True)
    table = np.zeros((x.max() + 1, y.max() + 1))
    np.add.at(table, (x, y), 1)
    corrected = mutual_info_score(x, y) + (table.shape[0] + table.shape[1] - (table > 0).sum() - 1) / (2 * table.sum())
    return corrected / np.log(2)


MINIMUM = 5


def vocabulary(tokens, sets):
    counts = np.zeros((V, E), int)
    for token, chosen in zip(tokens, sets):
        if token >= 0:
            counts[token, chosen] += 1
    totals = counts.sum(1) // K
    kept = totals >= MINIMUM
    flat_tokens = np.concatenate([np.repeat(t, counts[t].sum()) for t in np.flatnonzero(kept)])
    flat_experts = np.concatenate([np.repeat(np.arange(E), counts[t]) for t in np.flatnonzero(kept)])
    shares = counts[kept] / totals[kept][:, None]
    return {
        "token_ids": kept.sum(), "occurrences": totals[kept].sum(),
        "specialization": counts[kept].max(1).sum() / totals[kept].sum(),
        "information": table_information(flat_tokens, flat_experts), "best_share": shares.max(0),
    }


def within(rows):
    users = np.zeros((len(GROUPS), V), int)
    np.add.at(users, (rows.group, rows.token), 1)
    shared = np.flatnonzero((users >= MINIMUM).sum(0) > 1)
    total, size = 0.0, 0
    for token in shared:
        mask = rows.token == token
        groups, experts = np.repeat(rows.group[mask], K), rows.sets[mask].ravel()
        total += len(groups) * table_information(groups, experts)
        size += len(groups)
    mask = np.isin(rows.token, shared)
    everything = table_information(np.repeat(rows.group[mask], K), rows.sets[mask].ravel())
    return {"token_ids": len(shared), "assignments": size, "within": total / size, "information": everything}


def cache(rows):
    """Hit ratios by policy and slots, each cache simulated by itself."""
    result = {}
    for policy in ["lru", "lfu", "belady"]:
        result[policy] = []
        for slots in range(1, E + 1):
            hits = 0
            for document in np.unique(rows.document):
                requests = rows.sets[rows.document == document].ravel().tolist()
                held, last, uses = set(), {}, {}
                for time, expert in enumerate(requests):
                    uses[expert] = uses.get(expert, 0) + 1
                    last[expert] = time
                    if expert in held:
                        hits += 1
                        continue
                    if len(held) == slots:
                        upcoming = lambda e: requests.index(e, time + 1) if e in requests[time + 1:] else 10**9
                        keep = {"lru": lambda e: last[e], "lfu": lambda e: (uses[e], last[e]), "belady": lambda e: -upcoming(e)}
                        held.remove(min(held, key=keep[policy]))
                    held.add(expert)
            result[policy].append(hits / rows.sets.size)
    return result


def from_others(place):
    def divergence(rows, mask):
        counts = [np.bincount(rows.sets[m & mask].ravel(), minlength=E) for m in (place, ~place)]
        return jensenshannon(*counts) ** 2
    return divergence


def positions(rows):
    """By place: tokens, I(G;E) in bits, and Jensen-Shannon divergence in nats from all other tokens."""
    start = rows.position == 1
    for i in range(len(start)):
        before, piece = PIECES[rows.before[i]], PIECES[rows.token[i]]
        start[i] |= before == "<0x0A>" and piece != "<0x0A>"
        start[i] |= before.rstrip("”")[-1] == "." and piece.startswith("▁")
    early = rows.position <= 16
    result = []
    for mask in [start | True, start, ~start, early, ~early]:
        information = table_information(np.repeat(rows.group[mask], K), rows.sets[mask].ravel())
        result.append({
            "tokens": mask.sum(), "information": information,
            "divergence": max(0, jackknife(rows, from_others(mask))) if (~mask).any() else 0})
    return result


def fixed_load_pairs(rows):
    """Tokens that choose two experts, on average over tables of tokens x experts with the sums of each document's: a long chain of
    checkerboard swaps."""
    rng = np.random.default_rng(SEED + 2)
    total = np.zeros((E, E))
    for document in np.unique(rows.document):
        table = np.eye(E, dtype=int)[rows.sets[rows.document == document]].sum(1)
        steps, every, start = 20000, 20, 2000
        tokens, experts = rng.integers(0, len(table), (steps, 2)), rng.integers(0, E, (steps, 2))
        mean = np.zeros((E, E))
        for step in range(steps):
            (a, b), (i, j) = tokens[step], experts[step]
            if table[a, i] and table[b, j] and not table[a, j] and not table[b, i]:
                table[a, i] = table[b, j] = 0
                table[a, j] = table[b, i] = 1
            if step >= start and step % every == 0:
                mean += table.T @ table
        total += mean / ((steps - start) / every)
    np.fill_diagonal(total, 0)
    return total


def unit_test(differences, sizes, units, least):
    """Two-sided p-value of a sum of differences: the jackknife over units, Student's t."""
    names = np.unique(units)
    d = np.array([differences[units == u].sum() for u in names])
    m = np.array([sizes[units == u].sum() for u in names])
    ratio = d.sum() / m.sum()
    without = np.array([np.delete(d, u).sum() / np.delete(m, u).sum() for u in range(len(names))])
    variance = (len(names) - 1) / len(names) * ((without - ratio) ** 2).sum() * m.sum() ** 2
    freedom = max(1, (m**2).sum() ** 2 / (m**4).sum() - 1)
    return 2 * t.sf(abs(d.sum()) / np.sqrt(max(variance, least)), freedom)


def shuffled_guesses(rows):
    """Recall of each document's guesses for all its tokens, and of its K most used experts; whether recall differs."""
    guessed, chosen = (np.eye(E)[s].sum(1) for s in (rows.guesses, rows.sets))
    names = np.unique(rows.document)
    observed, expected, popular = (np.zeros(len(names)) for _ in range(3))
    for d in names:
        mask = rows.document == d
        observed[d] = (guessed[mask] * chosen[mask]).sum()
        expected[d] = (guessed[mask] @ chosen[mask].T).mean(1).sum()
        popular[d] = np.sort(chosen[mask].sum(0))[-K:].sum()
    requests = K * np.bincount(rows.document)
    least = (expected * (1 - expected / requests)).sum()
    return {
        "shuffled": expected.sum() / requests.sum(), "document_popular": popular.sum() / requests.sum(),
        "p": unit_test(observed - expected, requests, names, least)}


def speculation(rows):
    """Of layer 1, guessed one layer ahead: requests, recall, and recall of its K most used experts."""
    hits = sum(len(set(a) & set(b)) for a, b in zip(rows.sets.tolist(), rows.guesses.tolist()))
    counts = np.sort(np.bincount(rows.sets.ravel(), minlength=E))
    return {
        "requests": rows.sets.size, "recall": hits / rows.sets.size, "popular": counts[-K:].sum() / rows.sets.size,
    } | shuffled_guesses(rows)


def saturation(series, last):
    """By trace and layer: overlap with the last trace and what chance makes of both loads; then NLL of all tokens."""
    result = []
    for layers in series:
        result.append({"layers": [], "nll": -layers[0].logprob.mean()})
        for a, b in zip(layers, last):
            shares = [np.bincount(x.sets.ravel(), minlength=E) / x.sets.size for x in (a, b)]
            result[-1]["layers"].append({
                "overlap": np.mean([len(set(x) & set(y)) / K for x, y in zip(a.sets, b.sets)]),
                "chance": K * (shares[0] * shares[1]).sum(), "kl": (b.p * np.log(b.p / a.p)).sum(1).mean()})
    return result


def paths(layers):
    first = np.stack([rows.sets[:, 0] for rows in layers], 1)
    unique, counts = np.unique(first, axis=0, return_counts=True)
    best = unique[counts.argmax()]
    document, token = layers[0].document, layers[0].token
    # First choices of every two tokens of a document, the one's in the first layer and the other's in the second.
    crossed, within = np.zeros((E, E)), 0
    for d in np.unique(document):
        own = first[document == d]
        for a in own[:, 0]:
            np.add.at(crossed[a], own[:, 1], 1 / len(own))
        within += (own[:, :1] == best[0]).mean() * (own[:, 1:] == best[1]).mean() * len(own)
    taken = np.bincount(token[(first == best).all(1)], minlength=V)
    p = crossed / crossed.sum()
    return {
        "information": table_information(first[:, 0], first[:, 1]), "largest": counts.max(), "distinct": len(unique),
        "chance": entropy(p.ravel(), np.outer(p.sum(1), p.sum(0)).ravel(), base=2), "independent": within / len(first),
        "pooled": (first == best).mean(0).prod(), "token": taken.argmax(), "token_share": taken.max() / taken.sum()}


def agreement(a, b):
    overlap = np.array([len(set(x) & set(y)) for x, y in zip(a.sets, b.sets)])
    flips = overlap < K
    ordered = -np.sort(-a.p, axis=1)
    margin = ordered[:, K - 1] - ordered[:, K]
    edges = np.quantile(margin, np.linspace(0, 1, 11))
    decile = np.minimum(9, (edges[1:10][None] < margin[:, None]).sum(1))
    return {
        "overlap": overlap.mean() / K, "same_set": 1 - flips.mean(), "same_first": (a.sets[:, 0] == b.sets[:, 0]).mean(),
        "kl": (a.p * np.log(a.p / b.p)).sum(1).mean(), "edges": edges,
        "decile_tokens": np.bincount(decile, minlength=10), "flips": [flips[decile == d].mean() for d in range(10)],
        "nll": [[-x.logprob[mask].mean() for x in (a, b)] for mask in
                [a.group >= 0] + [a.group == g for g in range(len(GROUPS))]],
    }


def repetition(rows, mask):
    index = np.flatnonzero(mask)
    pairs = [(a, b) for a, b in zip(index, index[1:]) if b == a + 1 and rows.document[a] == rows.document[b]]
    first = np.mean([rows.sets[a, 0] == rows.sets[b, 0] for a, b in pairs])
    any_ = np.mean([bool(set(rows.sets[a]) & set(rows.sets[b])) for a, b in pairs])
    onehot = np.zeros((len(index), E))
    np.put_along_axis(onehot, rows.sets[index], 1, 1)
    firsts = np.bincount(rows.sets[index, 0], minlength=E) / len(index)
    chance = shuffled_repetition(rows, pairs, index)
    return chance | {
        "pairs": len(pairs), "first": first, "any": any_, "load_first": (firsts**2).sum(),
        "load_any": ((onehot @ onehot.T) > 0).mean(),
    }


def shuffled_repetition(rows, pairs, index):
    """The same of every two tokens of a document, and whether neighbours differ from that."""
    names = np.unique(rows.document[index])
    observed, expected, variance = (np.zeros((2, len(names))) for _ in range(3))
    sizes = np.zeros(len(names))
    for place, d in enumerate(names):
        own = rows.sets[rows.document == d]
        n = len(own)
        same = [own[:, :1] == own[:, 0], (np.eye(E)[own].sum(1) @ np.eye(E)[own].sum(1).T) > 0]
        sizes[place] = n - 1
        for kind in range(2):
            observed[kind, place] = np.diag(same[kind], 1).sum()
            expected[kind, place] = same[kind][~np.eye(n, dtype=bool)].mean() * (n - 1)
        # Of first choices, over all orders: two pairs of neighbours are the same, have one token in common, or none.
        k = np.bincount(own[:, 0], minlength=E)
        two, three, four = k * (k - 1), k * (k - 1) * (k - 2), k * (k - 1) * (k - 2) * (k - 3)
        apart = (two.sum() ** 2 - (two**2).sum() + four.sum()) / (n * (n - 1) * (n - 2) * (n - 3))
        variance[0, place] = (
            (n - 1) * two.sum() / (n * (n - 1)) + 2 * (n - 2) * three.sum() / (n * (n - 1) * (n - 2))
            + (n - 2) * (n - 3) * apart - expected[0, place] ** 2)
        variance[1, place] = expected[1, place] * (1 - expected[1, place] / (n - 1))
    # Under chance alone documents are independent, also where they are of one text.
    p = [unit_test(observed[k] - expected[k], sizes, names, variance[k].sum()) for k in range(2)]
    share = expected.sum(1) / sizes.sum()
    return {"document_first": share[0], "document_any": share[1], "p_first": p[0], "p_any": p[1]}


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return plain(value.tolist()) if isinstance(value, (np.ndarray, np.generic)) else value


def main():
    rng = np.random.default_rng(SEED)
    documents, rows = make_trace(rng)
    add_guesses(rows, np.random.default_rng(SEED + 1))
    write(documents, rows, HERE, [0, 10, len(documents)], attention=True)
    p = rng.uniform(0, 1, 20) ** 3
    other = [
        r | {"logits": (r["logits"] + rng.normal(0, 0.3, r["logits"].shape)).astype(np.float32),
             "logprob": (r["logprob"] - rng.gamma(1, 0.1, r["logprob"].shape)).astype(np.float32)} for r in rows]
    write(documents, other, HERE / "other", [0, len(documents)], attention=False)
    layers = [Rows(documents, rows, layer) for layer in range(L)]
    other_layers = [Rows(documents, other, layer) for layer in range(L)]
    reference = {
        "made_by": {
            "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__, "safetensors": safetensors_version, "seed": SEED,
        },
        "layers": [metrics(rows) for rows in layers],
        "aux": auxiliary(layers), "paths": paths(layers), "speculation": speculation(layers[1]),
        "saturation": saturation([other_layers, layers], other_layers),
        "agreement": [agreement(a, b) for a, b in zip(layers, other_layers)],
        "statistics": {
            "p": p, "q": false_discovery_control(p), "normal_p": [1e-9, 0.001, 0.025, 0.3, 0.5, 0.8, 0.975, 1 - 1e-9],
            "normal_z": norm.ppf([1e-9, 0.001, 0.025, 0.3, 0.5, 0.8, 0.975, 1 - 1e-9]),
            "quantile_of": p[:7], "quantiles": np.quantile(p[:7], [0, 0.025, 0.5, 0.9, 1]),
        },
    }
    (HERE / "reference.json").write_text(json.dumps(plain(reference), indent=1) + "\n")


if __name__ == "__main__":
    main()
