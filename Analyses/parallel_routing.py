"""Do translations of one text take the same experts? Jensen–Shannon distance between the mean router probabilities of a
text and of its translation, beside that to an unrelated text of the same language pair, layer by layer. Published for
larger models: least in the middle layers (arXiv 2510.04694)."""

from itertools import combinations

from common import arguments, finish, interval, ms, np, plt, read, say


def entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(np.maximum(p, 1e-30))).sum(-1)


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Jensen–Shannon divergence over (log E − mean entropy): 0 alike, 1 as far apart as their entropies allow."""
    divergence = entropy((a + b) / 2) - (entropy(a) + entropy(b)) / 2
    return divergence / (np.log(a.shape[-1]) - (entropy(a) + entropy(b)) / 2)


def main() -> None:
    args = arguments(__doc__, documents=30, tokens=384).parse_args()
    model = ms.load(args.model, precision=args.precision)
    documents = [document for document in read(args, model) if document["parallel_id"] is not None]
    if not documents:
        raise SystemExit(f"{args.corpus}: no document has a parallel_id")
    runs = model.run_many([document["tokens"] for document in documents], capture=["router_probs"], logprobs=False)
    # text → language → [L, E] mean router probabilities, BOS left out
    texts: dict[str, dict[str, np.ndarray]] = {}
    for document, run in zip(documents, runs, strict=True):
        texts.setdefault(document["parallel_id"], {})[document["group"]] = run["router_probs"][:, 1:].mean(1)
    languages = sorted({document["group"] for document in documents})
    names = list(texts)
    say(f"{len(names)} texts in {', '.join(languages)}")

    layers = model.config.layers
    same: list[np.ndarray] = []
    other: list[np.ndarray] = []
    by_pair: dict[str, np.ndarray] = {}
    for a, b in combinations(languages, 2):
        both = [name for name in names if {a, b} <= texts[name].keys()]
        if len(both) < 2:
            continue
        paired = np.stack([distance(texts[name][a], texts[name][b]) for name in both])
        shuffled = np.stack([distance(texts[x][a], texts[y][b]) for x, y in zip(both, both[1:] + both[:1], strict=True)])
        same.append(paired)
        other.append(shuffled)
        by_pair[f"{a}–{b}"] = paired.mean(0)
    if not same:
        raise SystemExit("no two languages have two texts in common; raise --documents")
    # A text counts once, whatever the number of its language pairs.
    count = min(len(paired) for paired in same)
    related = np.mean([paired[:count] for paired in same], axis=0)
    unrelated = np.mean([shuffled[:count] for shuffled in other], axis=0)

    columns: dict[str, list] = {"layer": list(range(layers)), "translation": [], "low": [], "high": [], "unrelated text": []}
    for layer in range(layers):
        mean, low, high = interval(related[:, layer], args.seed)
        for name, value in zip(list(columns)[1:], (mean, low, high, float(unrelated[:, layer].mean())), strict=True):
            columns[name].append(value)
    columns["texts"] = [count] * layers

    figure, axis = plt.subplots(figsize=(8, 4.5))
    for pair, values in by_pair.items():
        axis.plot(values, linewidth=0.8, alpha=0.6, label=pair)
    axis.plot(columns["translation"], color="black", linewidth=2.5, label="all translations")
    axis.plot(columns["unrelated text"], color="black", linestyle="--", label="unrelated texts")
    axis.set(xlabel="layer", ylabel="distance (0 to 1)", title="routing of a text and its translation")
    axis.legend(fontsize=7, ncols=2)
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
