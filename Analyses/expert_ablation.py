"""What does each expert do for each language? Every expert of a layer is switched off in turn; the paired change of the
negative log-probability per document says what it was worth (nats per token, 95 % bootstrap interval over documents).
The control arms switch off as many random experts of other layers."""

import tempfile

from common import arguments, finish, heat_map, ms, np, plt, read, say, traced


def main() -> None:
    parser = arguments(__doc__, documents=12, tokens=160)
    parser.add_argument("--layer", type=int, help="whose experts (default: the layer that tells languages apart best)")
    parser.add_argument("--controls", type=int, default=4, help="random experts of other layers")
    args = parser.parse_args()
    model = ms.load(args.model, precision=args.precision)
    documents = read(args, model)
    experts = model.config.experts
    with tempfile.TemporaryDirectory() as folder:
        trace = traced(args, model, f"{folder}/trace")
        information = ms.metrics.information(trace, seed=args.seed)
        best = information["layer"][int(np.argmax(information["information"]))]
        layer = args.layer if args.layer is not None else best
        shares = [row for row in ms.metrics.domain_share(trace, seed=args.seed) if row["layer"] == layer]
        languages = trace.groups
        layers = trace.layers
    say(f"layer {layer}, {len(documents)} documents, {experts + args.controls + 1} runs")

    arms = {f"expert {expert}": [ms.ablate(layer=layer, experts=[expert])] for expert in range(experts)}
    others = [(w, e) for w in layers if w != layer for e in range(experts)]
    for where, expert in np.random.default_rng(args.seed).permutation(others)[: args.controls].tolist():
        arms[f"control {where}.{expert}"] = [ms.ablate(layer=where, experts=[expert])]
    effects = {(e["arm"], e["group"]): e for e in ms.experiment(model, documents, arms=arms, seed=args.seed).effects if not e["pooled"]}

    def cell(effect: dict) -> str:
        if effect["difference"] is None:
            return effect["note"]
        return f"{effect['difference']:+.3f} [{effect['difference_lower']:+.3f}, {effect['difference_upper']:+.3f}]"

    columns: dict[str, list] = {"ablated": list(arms)}
    for language in languages:
        columns[language] = [cell(effects[arm, language]) for arm in arms]
    counts = {g: [row["assignments"] for row in shares if row["group"] == g] for g in languages}
    say("most used expert: " + ", ".join(f"{language} {int(np.argmax(counts[language]))}" for language in languages))

    matrix = np.array([[effects[arm, language]["difference"] for language in languages] for arm in arms], dtype=float)
    figure, axis = plt.subplots(figsize=(1.2 * len(languages) + 3, 0.4 * len(arms) + 1.5))
    heat_map(axis, matrix, list(arms), languages, f"layer {layer}: ΔNLL when ablated (nats per token)", signed=True)
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
