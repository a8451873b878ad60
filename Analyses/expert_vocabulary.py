"""Which tokens does an expert get? For every expert the tokens that are routed to it most reliably: n(x, e) / n(x) over
occurrences of token x (OLMoE's vocabulary specialization), among tokens seen often enough. Chance is K / E."""

import tempfile

from common import arguments, finish, ms, plt, say, traced


def main() -> None:
    parser = arguments(__doc__, documents=40, tokens=384)
    parser.add_argument("--layer", type=int, help="default: the last")
    parser.add_argument("--count", type=int, default=15, help="occurrences a token needs")
    parser.add_argument("--top", type=int, default=8, help="tokens shown per expert, 10 at most")
    args = parser.parse_args()
    model = ms.load(args.model, precision=args.precision)
    c = model.config
    with tempfile.TemporaryDirectory() as folder:
        trace = traced(args, model, f"{folder}/trace")
        layer = trace.layers[-1] if args.layer is None else args.layer
        if layer not in trace.layers:
            parser.error(f"--layer: the model has routers in layers {trace.layers}")
        tables = ms.metrics.vocabulary.tables(trace, minimum_count=args.count, seed=args.seed)
        loads = ms.metrics.load(trace, layers=[layer], seed=args.seed)
    tokens = [row for row in tables["vocabulary"] if row["layer"] == layer and row["side"] == "input" and row["rank"] <= args.top]
    layers = [row for row in tables["vocabulary-layers"] if row["side"] == "input"]
    here = next(row for row in layers if row["layer"] == layer)
    say(f"{here['token_ids']} kinds of token seen at least {args.count} times, {here['occurrences']} occurrences")

    columns: dict[str, list] = {"expert": [], "load": [], "tokens (share of occurrences)": []}
    figure, axes = plt.subplots(2, -(-c.experts // 2), figsize=(14, 6), squeeze=False)
    for load, axis in zip(loads, axes.flat, strict=False):
        best = [row for row in tokens if row["expert"] == load["expert"]]
        pieces = model.texts([row["token"] for row in best])
        columns["expert"].append(load["expert"])
        columns["load"].append(load["share"])
        columns["tokens (share of occurrences)"].append(
            "  ".join(f"{piece} {row['share']:.2f}" for piece, row in zip(pieces, best, strict=True))
        )
        axis.barh([piece.replace("$", r"\$") for piece in pieces][::-1], [row["share"] for row in best][::-1])
        axis.axvline(c.experts_per_token / c.experts, color="grey", linewidth=0.8)
        axis.set(title=f"expert {load['expert']}", xlim=(0, 1))
    say("specialization by layer: " + "  ".join(f"{row['layer']}: {row['specialization']:.2f}" for row in layers))
    figure.suptitle(f"layer {layer}: tokens each expert gets most reliably")
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
