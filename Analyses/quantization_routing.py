"""Does a quantized model take the same experts? The model in every GGUF type against its own weights, same text, exact
arithmetic: share of choices kept, sets of experts that differ (by how narrow the choice was), router divergence, and what it
costs in log-probability. Beside them the noise floor: the same weights in fast arithmetic."""

import tempfile
from pathlib import Path

from common import arguments, finish, interval, ms, np, plt, read, say

TYPES = ["BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K"]
DECILES = 10


class Traced:
    """Router logits [L, N, E], chosen experts [L, N, K] and log-probabilities of all documents, BOS left out."""

    def __init__(self, model: ms.Model, texts: list[list[int]]) -> None:
        runs = model.run_many(texts, capture=["router_logits"])
        self.logits = np.concatenate([np.array(run["router_logits"])[:, 1:] for run in runs], axis=1)
        self.chosen = np.concatenate([np.array(run.expert_indices)[:, 1:] for run in runs], axis=1)
        self.nll = [run.nll for run in runs]

    @property
    def log_probs(self) -> np.ndarray:
        z = self.logits.astype(np.float64)
        z = z - z.max(-1, keepdims=True)
        return z - np.log(np.exp(z).sum(-1, keepdims=True))


def compare(reference: Traced, other: Traced, deciles: np.ndarray, seed: int) -> dict:
    """One row of the table, and the share of tokens with another set of experts by decile of the margin."""
    kept = (reference.chosen[..., :, None] == other.chosen[..., None, :]).any(-1).mean(-1)  # [L, N]
    flipped = kept < 1
    p, q = reference.log_probs, other.log_probs
    delta = [y - x for x, y in zip(reference.nll, other.nll, strict=True)]
    mean, low, high = interval(delta, seed)
    return {
        "experts kept": kept.mean(),
        "other set": flipped.mean(),
        "first layer": flipped[0].mean(),
        "last layer": flipped[-1].mean(),
        "narrowest tenth": flipped[deciles == 0].mean(),
        "widest tenth": flipped[deciles == DECILES - 1].mean(),
        "router KL": (np.exp(p) * (p - q)).sum(-1).mean(),
        "ΔNLL": mean,
        "low": low,
        "high": high,
        "_flips": [flipped[deciles == decile].mean() for decile in range(DECILES)],
    }


def main() -> None:
    parser = arguments(__doc__, documents=15, tokens=256)
    parser.add_argument("--types", nargs="+", default=TYPES, help="GGUF types, as for moescope quantize")
    args = parser.parse_args()
    model = ms.load(args.model, precision="exact")
    c = model.config
    texts = [document["tokens"] for document in read(args, model)]
    reference = Traced(model, texts)
    ranked = -np.sort(-reference.logits, axis=-1)
    margin = ranked[..., c.experts_per_token - 1] - ranked[..., c.experts_per_token]
    # Tenths of the margin, layer by layer: a layer of wide margins is not all in the last.
    edges = np.quantile(margin, np.linspace(0, 1, DECILES + 1)[1:-1], axis=1)  # [9, L]
    deciles = (margin[None] > edges[..., None]).sum(0)
    say(f"{len(texts)} documents, {margin.shape[1]} tokens; NLL {np.mean(reference.nll):.4f} nats per token")

    rows = {"same weights, fast": compare(reference, Traced(ms.load(args.model, precision="fast"), texts), deciles, args.seed)}
    sizes: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in args.types:
            file = Path(folder) / f"{kind}.gguf"
            sizes[kind] = ms.quantize(args.model, file, type=kind) / 1e6
            rows[kind] = compare(reference, Traced(ms.load(file, precision="exact"), texts), deciles, args.seed)
            file.unlink()

    columns: dict[str, list] = {"weights": list(rows), "MB": [sizes.get(name) for name in rows]}
    for name in next(iter(rows.values())):
        if not name.startswith("_"):
            columns[name] = [float(row[name]) for row in rows.values()]

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5))
    for name, row in rows.items():
        floor = name not in sizes
        left.plot(
            range(1, DECILES + 1), np.maximum(row["_flips"], 1e-5), marker="o", markersize=3, label=name,
            color="black" if floor else None, linestyle="--" if floor else "-",
        )  # fmt: skip
    left.set(yscale="log", xlabel="tenth of the margin (1: narrowest)", ylabel="share of tokens", title="tokens with another set of experts")
    left.legend(fontsize=7)
    places = range(len(rows))
    means = np.array(columns["ΔNLL"])
    right.errorbar(means, places, xerr=[means - columns["low"], np.array(columns["high"]) - means], fmt="o", capsize=3)
    right.axvline(0, color="grey", linewidth=0.8)
    right.set_yticks(places, list(rows))
    right.set(xscale="symlog", xlabel="ΔNLL, nats per token (symlog), 95 % interval over documents", title="cost in log-probability")
    right.set_xscale("symlog", linthresh=1e-3)
    right.invert_yaxis()
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
