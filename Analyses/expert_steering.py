"""What happens to each language when one expert is favoured or avoided? Its router logit is moved by λ standard
deviations (arXiv 2510.04694); ΔNLL in nats per token against the untouched run, 95 % bootstrap interval."""

import tempfile

from common import arguments, finish, ms, np, plt, read, say, traced


def main() -> None:
    parser = arguments(__doc__, documents=10, tokens=160)
    parser.add_argument("--group", default="de", help="steer the expert that this language prefers most over the others")
    parser.add_argument("--layer", type=int, help="of the expert (default: found from --group)")
    parser.add_argument("--expert", type=int, help="default: found from --group")
    parser.add_argument("--strengths", type=float, nargs="+", default=[-2, -1, -0.5, 0.5, 1, 2], help="λ")
    parser.add_argument("--prompt", default="Der", help="also continue this text, untouched and steered")
    args = parser.parse_args()
    model = ms.load(args.model, precision=args.precision)
    with tempfile.TemporaryDirectory() as folder:
        trace = traced(args, model, f"{folder}/trace")
        languages = trace.groups
        if args.group not in languages:
            parser.error(f"--group: the corpus has {', '.join(languages)}")
        preference = [row for row in ms.metrics.task_experts(trace, seed=args.seed) if row["group"] == args.group]
    if args.layer is not None:
        preference = [row for row in preference if row["layer"] == args.layer]
    if args.expert is not None:
        preference = [row for row in preference if row["expert"] == args.expert]
    if not preference:
        parser.error("--layer, --expert: the model has no such expert")
    chosen = max(preference, key=lambda row: row["difference"])
    layer, expert = chosen["layer"], chosen["expert"]
    say(f"layer {layer}, expert {expert}: it sees {chosen['difference']:+.2f} more of {args.group}'s tokens than of others'")

    changes = {f"{strength:+}": [ms.steer(layer=layer, experts=[expert], by=strength)] for strength in args.strengths}
    effects = [e for e in ms.experiment(model, read(args, model), arms=changes, seed=args.seed).effects if not e["pooled"]]
    columns: dict[str, list] = {
        "λ": [float(e["arm"]) for e in effects],
        "language": [e["group"] for e in effects],
        "ΔNLL": [e["difference"] for e in effects],
        "low": [e["difference_lower"] for e in effects],
        "high": [e["difference_upper"] for e in effects],
        "documents": [e["documents"] for e in effects],
    }
    for strength, change in changes.items():
        text = "".join(step.text for step in model.generate(args.prompt, max_tokens=24, interventions=change))
        say(f"λ {strength}: {args.prompt}{text!r}")

    figure, axis = plt.subplots(figsize=(7, 4))
    strengths, means, low, high = (np.array(columns[name], dtype=float) for name in ("λ", "ΔNLL", "low", "high"))
    for language in languages:
        rows = np.array(columns["language"]) == language
        errors = [means[rows] - low[rows], high[rows] - means[rows]]
        axis.errorbar(strengths[rows], means[rows], errors, marker="o", capsize=3, label=language)
    axis.axhline(0, color="grey", linewidth=0.8)
    axis.set(xlabel="λ (standard deviations)", ylabel="ΔNLL (nats per token)", title=f"steering expert {layer}.{expert}")
    axis.legend()
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
