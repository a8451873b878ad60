"""Does a quantized model take the same experts? The model in every GGUF type against its own weights, same text, exact
arithmetic: share of choices kept, sets of experts that differ (by how narrow the choice was), router divergence, and what it
costs in log-probability. Beside them the noise floor: the same weights in fast arithmetic."""

import tempfile
from pathlib import Path

from common import arguments, finish, ms, np, plt, say, traced

TYPES = ["BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K"]


def main() -> None:
    parser = arguments(__doc__, documents=15, tokens=256)
    parser.add_argument("--types", nargs="+", default=TYPES, help="GGUF types, as for moescope quantize")
    args = parser.parse_args()
    rows: dict[str, dict] = {}
    flips: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        reference = traced(args, ms.load(args.model, precision="exact"), f"{folder}/reference")

        def compare(name: str, model: ms.Model, size: float | None = None) -> None:
            """One row of the table, and the share of tokens with another set of experts by tenth of the margin."""
            tables = ms.metrics.compare(reference, traced(args, model, f"{folder}/{name}"), seed=args.seed)
            overall, layers = next(iter(tables["agreement-overall"])), tables["agreement"]["same_set"]
            effect = next(iter(tables["agreement-nll"]))
            flips[name] = tables["agreement-overall-margins"]["flips"]
            rows[name] = {
                "weights": name,
                "MB": size,
                "experts kept": overall["overlap"],
                "other set": 1 - overall["same_set"],
                "first layer": 1 - layers[0],
                "last layer": 1 - layers[-1],
                "narrowest tenth": flips[name][0],
                "widest tenth": flips[name][-1],
                "router KL": overall["kl"],
                "ΔNLL": effect["difference"],
                "low": effect["difference_lower"],
                "high": effect["difference_upper"],
            }
            if size is None:
                say(f"{effect['documents']} documents, {effect['tokens']} tokens; NLL {effect['first']:.4f} nats per token")

        floor = "same weights, fast"
        compare(floor, ms.load(args.model, precision="fast"))
        for kind in args.types:
            file = Path(folder) / f"{kind}.gguf"
            size = ms.quantize(args.model, file, type=kind) / 1e6
            compare(kind, ms.load(file, precision="exact"), size)
            file.unlink()
    columns = {name: [row[name] for row in rows.values()] for name in rows[floor]}

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5))
    for name, values in flips.items():
        left.plot(
            range(1, len(values) + 1), np.maximum(values, 1e-5), marker="o", markersize=3, label=name,
            color="black" if name == floor else None, linestyle="--" if name == floor else "-",
        )  # fmt: skip
    left.set(yscale="log", xlabel="tenth of the margin (1: narrowest)", ylabel="share of tokens", title="tokens with another set of experts")
    left.legend(fontsize=7)
    places = range(len(rows))
    means, low, high = (np.array(columns[name], dtype=float) for name in ("ΔNLL", "low", "high"))
    right.errorbar(means, places, xerr=[means - low, high - means], fmt="o", capsize=3)
    right.axvline(0, color="grey", linewidth=0.8)
    right.set_yticks(places, list(rows))
    right.set(xlabel="ΔNLL, nats per token (symlog), 95 % interval over documents", title="cost in log-probability")
    right.set_xscale("symlog", linthresh=1e-3)
    right.invert_yaxis()
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
