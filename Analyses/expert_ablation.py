"""What does each expert do for each language? Every expert of a layer is switched off in turn; the paired change of the
negative log-probability per document says what it was worth (nats per token, 95 % bootstrap interval over documents).
The control arms switch off as many random experts of other layers."""

from common import arguments, expert_counts, finish, heat_map, interval, ms, np, plt, read, say


def most_informative(counts: np.ndarray, groups: np.ndarray) -> int:
    """The layer whose experts say most about the group: [documents, L, E] counts to information in nats, plug-in."""
    joint = np.stack([counts[groups == group].sum(0) for group in np.unique(groups)])
    joint /= joint.sum((0, 2), keepdims=True)
    independent = joint.sum(0, keepdims=True) * joint.sum(2, keepdims=True)
    terms = np.zeros_like(joint)
    np.divide(joint, independent, out=terms, where=joint > 0)
    return int((joint * np.log(terms, out=np.zeros_like(terms), where=terms > 0)).sum((0, 2)).argmax())


def main() -> None:
    parser = arguments(__doc__, documents=12, tokens=160)
    parser.add_argument("--layer", type=int, help="whose experts (default: the layer that tells languages apart best)")
    parser.add_argument("--controls", type=int, default=4, help="random experts of other layers")
    args = parser.parse_args()
    model = ms.load(args.model, precision=args.precision)
    documents = read(args, model)
    texts = [document["tokens"] for document in documents]
    groups = np.array([document["group"] for document in documents])
    languages = sorted(set(groups))
    experts = model.config.experts

    untouched = model.run_many(texts)
    counts = np.stack([expert_counts(run, experts) for run in untouched])
    layer = args.layer if args.layer is not None else most_informative(counts, groups)
    say(f"layer {layer}, {len(texts)} documents, {sum(map(len, texts))} tokens, {experts + args.controls + 1} runs")

    def change(where: int, expert: int) -> np.ndarray:
        """[documents] ΔNLL in nats per token."""
        runs = model.run_many(texts, interventions=[ms.ablate(layer=where, experts=[expert])])
        return np.array([a.nll - b.nll for a, b in zip(runs, untouched, strict=True)])

    effects = {f"expert {expert}": change(layer, expert) for expert in range(experts)}
    random = np.random.default_rng(args.seed)
    others = [(w, e) for w in range(model.config.layers) if w != layer for e in range(experts)]
    for where, expert in random.permutation(others)[: args.controls]:
        effects[f"control {where}.{expert}"] = change(int(where), int(expert))

    columns: dict[str, list] = {"ablated": list(effects)}
    matrix = np.zeros((len(effects), len(languages)))
    for column, language in enumerate(languages):
        cells = []
        for row, delta in enumerate(effects.values()):
            mean, low, high = interval(delta[groups == language], args.seed)
            matrix[row, column] = mean
            cells.append(f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]")
        columns[language] = cells
    totals = counts[:, layer].reshape(len(texts), -1)
    favourites = {g: int(totals[groups == g].sum(0).argmax()) for g in languages}
    say("most used expert: " + ", ".join(f"{language} {expert}" for language, expert in favourites.items()))

    figure, axis = plt.subplots(figsize=(1.2 * len(languages) + 3, 0.4 * len(effects) + 1.5))
    heat_map(axis, matrix, list(effects), languages, f"layer {layer}: ΔNLL when ablated (nats per token)", signed=True)
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
