"""Does fast arithmetic choose the same experts as exact arithmetic? Share of choices that differ, by layer and by how
narrow the choice was (margin of probability between choice K and K + 1), and what it costs in log-probability."""

import tempfile

from common import arguments, finish, ms, plt, say, traced


def main() -> None:
    args = arguments(__doc__, documents=10, tokens=256).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        exact, fast = (traced(args, ms.load(args.model, precision=p), f"{folder}/{p}") for p in ("exact", "fast"))
        tables = ms.metrics.compare(exact, fast, seed=args.seed)
        delta = fast.nll_by_document() - exact.nll_by_document()
    agreement, margins, effect = tables["agreement"], tables["agreement-margins"], next(iter(tables["agreement-nll"]))
    bounds = f" [{effect['difference_lower']:+.5f}, {effect['difference_upper']:+.5f}]" if effect["difference"] is not None else ""
    say(f"{effect['tokens']} tokens; ΔNLL {effect['second'] - effect['first']:+.5f}{bounds} nats per token")
    columns = {
        "layer": agreement["layer"],
        "agreement": agreement["overlap"],
        "tokens with the same set": agreement["same_set"],
        "router KL": agreement["kl"],
        "median margin": [row["margin_to"] for row in margins if row["decile"] == 5],
    }

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4))
    for layer in agreement["layer"]:
        rows = [row for row in margins if row["layer"] == layer]
        left.plot([row["decile"] for row in rows], [row["flips"] for row in rows], marker="o", label=f"layer {layer}")
    left.set(xlabel="decile of the margin (1: narrowest)", ylabel="share of tokens", title="tokens with a different set of experts")
    left.legend(fontsize=7)
    right.hist(delta, bins=30)
    right.set(xlabel="NLL fast − exact, per document (nats per token)", ylabel="documents", title="cost in log-probability")
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
