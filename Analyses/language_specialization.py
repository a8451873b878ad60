"""Which experts prefer which language? Information between language and expert, and the share of each expert."""

import tempfile

from common import arguments, finish, heat_map, ms, np, pivot, plt, say, traced


def main() -> None:
    parser = arguments(__doc__, documents=0, tokens=512)
    parser.add_argument("--trace", help="use this trace instead of running the model")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.trace:
            trace = ms.open_trace(args.trace)
        else:
            model = ms.load(args.model, precision=args.precision)
            say(f"{model}")
            trace = traced(args, model, f"{folder}/trace")
        information = ms.metrics.information(trace, by="group", seed=args.seed)
        shares = {layer: pivot(ms.metrics.domain_share(trace, layers=[layer], seed=args.seed), "group", "expert", "share") for layer in trace.layers}

    figure, axes = plt.subplots(2, -(-len(shares) // 2), figsize=(14, 6), squeeze=False)
    for axis, (layer, (groups, experts, share)) in zip(axes.flat, shares.items(), strict=False):
        heat_map(axis, share, groups, [str(e) for e in experts], f"layer {layer}: share of choices")
    wanted = ("layer", "information", "information_lower", "information_upper", "share", "p_value", "p_adjusted")
    columns = {name: information[name] for name in wanted}
    for number, group in enumerate(trace.groups):
        rows = [share[number] for _, _, share in shares.values()]
        columns[f"{group}: top expert"] = [
            "–" if np.isnan(row).all() else f"{int(np.nanargmax(row))} ({np.nanmax(row):.2f})" for row in rows
        ]
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
