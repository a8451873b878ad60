"""What happens to each language when one expert is favoured or avoided? Its router logit is moved by λ standard
deviations (arXiv 2510.04694); ΔNLL in nats per token against the untouched run, 95 % bootstrap interval."""

from common import arguments, expert_counts, finish, interval, ms, np, plt, read, say


def main() -> None:
    parser = arguments(__doc__, documents=10, tokens=160)
    parser.add_argument("--group", default="de", help="steer the expert that this language prefers most over the others")
    parser.add_argument("--layer", type=int, help="of the expert (default: found from --group)")
    parser.add_argument("--expert", type=int, help="default: found from --group")
    parser.add_argument("--strengths", type=float, nargs="+", default=[-2, -1, -0.5, 0.5, 1, 2], help="λ")
    parser.add_argument("--prompt", default="Der", help="also continue this text, untouched and steered")
    args = parser.parse_args()
    model = ms.load(args.model, precision=args.precision)
    documents = read(args, model)
    texts = [document["tokens"] for document in documents]
    groups = np.array([document["group"] for document in documents])
    languages = sorted(set(groups))
    if args.group not in languages:
        parser.error(f"--group: the corpus has {', '.join(languages)}")

    untouched = model.run_many(texts)
    counts = np.stack([expert_counts(run, model.config.experts) for run in untouched])
    own, other = counts[groups == args.group].sum(0), counts[groups != args.group].sum(0)
    preference = own / own.sum(1, keepdims=True) - other / other.sum(1, keepdims=True)
    layer, expert = (int(i) for i in np.unravel_index(preference.argmax(), preference.shape))
    layer = args.layer if args.layer is not None else layer
    expert = args.expert if args.expert is not None else int(preference[layer].argmax())
    say(f"layer {layer}, expert {expert}: {args.group} chooses it {preference[layer, expert]:+.2f} more often than others")

    columns: dict[str, list] = {"λ": [], "language": [], "ΔNLL": [], "low": [], "high": [], "documents": []}
    for strength in args.strengths:
        change = [ms.steer(layer=layer, experts=[expert], by=strength)]
        runs = model.run_many(texts, interventions=change)
        delta = np.array([a.nll - b.nll for a, b in zip(runs, untouched, strict=True)])
        for language in languages:
            mean, low, high = interval(delta[groups == language], args.seed)
            values = (strength, language, mean, low, high, int((groups == language).sum()))
            for name, value in zip(columns, values, strict=True):
                columns[name].append(value)
        text = "".join(step.text for step in model.generate(args.prompt, max_tokens=24, interventions=change))
        say(f"λ {strength:+}: {args.prompt}{text!r}")

    figure, axis = plt.subplots(figsize=(7, 4))
    for language in languages:
        rows = [i for i, name in enumerate(columns["language"]) if name == language]
        means = np.array(columns["ΔNLL"])[rows]
        errors = np.abs(np.array([columns["low"], columns["high"]])[:, rows] - means)
        axis.errorbar(np.array(columns["λ"])[rows], means, errors, marker="o", capsize=3, label=language)
    axis.axhline(0, color="grey", linewidth=0.8)
    axis.set(xlabel="λ (standard deviations)", ylabel="ΔNLL (nats per token)", title=f"steering expert {layer}.{expert}")
    axis.legend()
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
