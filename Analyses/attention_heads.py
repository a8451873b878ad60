"""A gallery of attention heads: which look at the previous token, which at the first, and which complete what was seen
before (induction: from a token to the one after its earlier occurrence, on random tokens said twice)."""

import tempfile

from common import arguments, finish, heat_map, ms, np, pivot, plt, read, traced


def main() -> None:
    parser = arguments(__doc__, documents=3, tokens=128)
    parser.add_argument("--length", type=int, default=48, help="random tokens, said twice")
    parser.add_argument("--top", type=int, default=4, help="heads shown of each kind")
    args = parser.parse_args()
    model = ms.load(args.model, precision="exact")
    documents = read(args, model)
    random = np.random.default_rng(args.seed).integers(260, model.config.vocab_size, size=args.length).tolist()
    repeated = model.encode("") + random + random
    with tempfile.TemporaryDirectory() as folder:
        heads = ms.metrics.attention(traced(args, model, f"{folder}/texts", capture=["attention_summary"]), seed=args.seed)
        twice = ms.trace(
            model, [{"tokens": repeated}], output=f"{folder}/twice", capture=["attention_summary", "attention_pattern:*.*"]
        )
        induction = ms.metrics.attention(twice, seed=args.seed)
        second = len(repeated) - args.length
        gain = twice.logprob[second + 1 :].mean() - twice.logprob[second + 1 - args.length : second].mean()

    columns: dict[str, list] = {"kind": [], "layer": [], "head": [], "score": [], "rank": []}
    figure, axes = plt.subplots(2, 3, figsize=(14, 8))
    kinds = {"previous token": (heads, "previous"), "first token": (heads, "first"), "induction": (induction, "induction")}
    for column, (kind, (table, name)) in enumerate(kinds.items()):
        best = sorted((row for row in table if row[name] is not None), key=lambda row: -row[name])
        for rank, row in enumerate(best[: args.top]):
            for key, value in zip(columns, (kind, row["layer"], row["head"], row[name], rank + 1), strict=True):
                columns[key].append(value)
        layers, numbers, score = pivot(table, "layer", "head", name)
        heat_map(axes[0, column], score, [str(i) for i in layers], [str(i) for i in numbers], f"{kind}: mean attention by layer and head")
        layer, head = best[0]["layer"], best[0]["head"]
        pattern = f"blocks.{layer}.attn.pattern"
        shown = model.run(repeated if kind == "induction" else documents[-1]["tokens"], capture=[pattern], logprobs=False)
        axes[1, column].imshow(shown[pattern][head] ** 0.5, cmap="magma")
        axes[1, column].set_title(f"layer {layer}, head {head} (square root)")
    figure.suptitle(f"Second time the random tokens cost {-gain:+.2f} nats each")
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
