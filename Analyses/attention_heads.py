"""A gallery of attention heads: which look at the previous token, which at the first, and which complete what was seen
before (induction: from a token to the one after its earlier occurrence, on random tokens said twice)."""

from common import arguments, finish, heat_map, ms, np, plt, read


def main() -> None:
    parser = arguments(__doc__, documents=3, tokens=128)
    parser.add_argument("--length", type=int, default=48, help="random tokens, said twice")
    parser.add_argument("--top", type=int, default=4, help="heads shown of each kind")
    args = parser.parse_args()
    model = ms.load(args.model, precision="exact")
    c = model.config
    names = [f"blocks.{layer}.attn.pattern" for layer in range(c.layers)]

    def scores(pattern: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[H, t, t] to mass on the previous and on the first token, mean over queries from the fourth on."""
        rows = np.arange(3, pattern.shape[1])
        return pattern[:, rows, rows - 1].mean(1), pattern[:, rows, 0].mean(1)

    previous, first, induction = (np.zeros((c.layers, c.heads)) for _ in range(3))
    documents = read(args, model)
    for document in documents:
        run = model.run(document["tokens"], capture=names, logprobs=False)
        for layer, name in enumerate(names):
            a, b = scores(run[name])
            previous[layer] += a / len(documents)
            first[layer] += b / len(documents)

    random = np.random.default_rng(args.seed).integers(260, c.vocab_size, size=args.length).tolist()
    repeated = model.run(model.encode("") + random + random, capture=names)
    queries = np.arange(args.length, 2 * args.length) + 1  # of the second time
    for layer, name in enumerate(names):
        induction[layer] = repeated[name][:, queries, queries - args.length + 1].mean(1)
    gain = repeated.logprob[queries[1:]].mean() - repeated.logprob[queries[1:] - args.length].mean()

    kinds = {"previous token": previous, "first token": first, "induction": induction}
    columns: dict[str, list] = {"kind": [], "layer": [], "head": [], "score": [], "rank": []}
    figure, axes = plt.subplots(2, 3, figsize=(14, 8))
    for column, (kind, score) in enumerate(kinds.items()):
        order = np.argsort(-score, axis=None)
        for rank, index in enumerate(order[: args.top]):
            layer, head = (int(i) for i in np.unravel_index(index, score.shape))
            for name, value in zip(columns, (kind, layer, head, float(score[layer, head]), rank + 1), strict=True):
                columns[name].append(value)
        layer, head = (int(i) for i in np.unravel_index(order[0], score.shape))
        labels = [str(i) for i in range(c.layers)], [str(i) for i in range(c.heads)]
        heat_map(axes[0, column], score, *labels, f"{kind}: mean attention by layer and head")
        shown = repeated if kind == "induction" else run
        axes[1, column].imshow(shown[names[layer]][head] ** 0.5, cmap="magma")
        axes[1, column].set_title(f"layer {layer}, head {head} (square root)")
    figure.suptitle(f"Second time the random tokens cost {-gain:+.2f} nats each")
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
