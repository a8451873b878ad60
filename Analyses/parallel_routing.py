"""Do translations of one text take the same experts? Normalized Jensen–Shannon divergence between the mean router
probabilities of a text and of its translation (0: the same experts, 1: as far apart as their entropies allow), layer by layer,
beside that of different texts of one language. Published for larger models: least in the middle layers (arXiv 2510.04694)."""

import tempfile

from common import arguments, finish, ms, plt, read, say


def main() -> None:
    args = arguments(__doc__, documents=30, tokens=384).parse_args()
    model = ms.load(args.model, precision=args.precision)
    documents = [document for document in read(args, model) if document["parallel_id"] is not None]
    if not documents:
        raise SystemExit(f"{args.corpus}: no document has a parallel_id")
    with tempfile.TemporaryDirectory() as folder:
        trace = ms.trace(model, documents, output=f"{folder}/trace")
        try:
            tables = ms.metrics.parallel_divergence.tables(trace, minimum_documents=2, seed=args.seed)
        except ValueError as error:
            raise SystemExit(f"{error}; raise --documents") from None
    pairs, layers = tables["parallel-divergence"], tables["parallel-divergence-layers"]
    say(f"{layers['texts'][0]} texts in {', '.join(trace.groups)}")
    names = {"layer": "layer", "mean": "translation", "mean_lower": "low", "mean_upper": "high", "baseline": "other text", "texts": "texts"}
    columns = {shown: layers[name] for name, shown in names.items()}

    figure, axis = plt.subplots(figsize=(8, 4.5))
    for a, b in dict.fromkeys(zip(pairs["group_a"], pairs["group_b"], strict=True)):
        rows = [row for row in pairs if (row["group_a"], row["group_b"]) == (a, b)]
        axis.plot([row["layer"] for row in rows], [row["divergence"] for row in rows], linewidth=0.8, alpha=0.6, label=f"{a}–{b}")
    axis.plot(columns["layer"], columns["translation"], color="black", linewidth=2.5, label="all translations")
    axis.plot(columns["layer"], columns["other text"], color="black", linestyle="--", label="other texts, same language")
    axis.set(xlabel="layer", ylabel="divergence (0 to 1)", title="routing of a text and its translation")
    axis.legend(fontsize=7, ncols=2)
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
