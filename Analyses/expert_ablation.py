"""What does each expert do for each language? Every expert of a layer is switched off in turn; the paired change of the
negative log-probability per document says what it was worth (nats per token, 95 % bootstrap interval over documents).
Below: what a language's own expert costs it beyond random others of the layer that meet the same share of its tokens, and the
same per unit of routed weight. One half of the documents chooses own experts and controls, the other half is scored."""

import tempfile

from common import arguments, finish, heat_map, ms, np, plt, read, say, traced


def main() -> None:
    parser = arguments(__doc__, documents=24, tokens=160)
    parser.add_argument("--layer", type=int, help="whose experts (default: the layer that tells languages apart best)")
    parser.add_argument("--controls", type=int, default=20, help="random draws of each language's control")
    args = parser.parse_args()
    model = ms.load(args.model, precision=args.precision)
    documents = read(args, model)
    layer = args.layer
    if layer is None:
        with tempfile.TemporaryDirectory() as folder:
            information = ms.metrics.information(traced(args, model, f"{folder}/trace"), seed=args.seed)
        layer = information["layer"][int(np.argmax(information["information"]))]
    say(f"layer {layer}, {len(documents)} documents")

    result = ms.experiment(
        model, documents, "ablation", layers=[layer], matrix=True, random_controls=args.controls, minimum_documents=2, seed=args.seed
    )
    effects = {(row["expert"], row["group"]): row for row in result.matrix if not row["pooled"]}
    languages = sorted({language for _, language in effects})
    experts = sorted({expert for expert, _ in effects})
    matched = {row["target"]: row for row in result.contrasts if row["control"] == "random"}

    def cell(row: dict | None, name: str = "difference") -> str:
        if row is None or row[name] is None:
            return row["note"] or "" if row else "no control"
        lower, upper = row[f"{name}_lower"], row[f"{name}_upper"]
        return f"{row[name]:+.3f}" + (f" [{lower:+.3f}, {upper:+.3f}]" if lower is not None else "")

    columns: dict[str, list] = {
        "ablated": [f"expert {expert}" for expert in experts] + ["own less random of the same load", "the same per unit of routed weight"]
    }
    for language in languages:
        own = matched.get(language)
        columns[language] = [cell(effects[expert, language]) for expert in experts] + [cell(own), cell(own, "per_weight")]
        if own:
            say(f"{language}: its own expert meets {own['own_share']:.0%} of its tokens, {own['arms']} controls {own['control_share']:.0%}")

    matrix = np.array([[effects[expert, language]["difference"] for language in languages] for expert in experts], dtype=float)
    figure, axis = plt.subplots(figsize=(1.2 * len(languages) + 3, 0.4 * len(experts) + 1.5))
    title = f"layer {layer}: ΔNLL when ablated (nats per token)"
    heat_map(axis, matrix, columns["ablated"][: len(experts)], languages, title, signed=True)
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
