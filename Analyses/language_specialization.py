"""Which experts prefer which language? Information between language and expert, and the share of each expert."""

import tempfile

from common import arguments, finish, heat_map, ms, np, plt, read, say


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
            trace = ms.trace(model, read(args, model), output=f"{folder}/trace", progress=True)
        information = ms.metrics.information(trace, by="group", seed=args.seed)

        # Share of a group's choices that go to each expert; uniform is 1/E. BOS routes alike everywhere.
        kept = trace.position > 0
        experts = trace.manifest["model"]["experts"]
        shares = np.zeros((len(trace.layers), len(trace.groups), experts))
        for place, layer in enumerate(trace.layers):
            chosen = trace.expert_indices(layer)
            for number, group in enumerate(trace.groups):
                counts = np.bincount(chosen[kept & (trace.group == group)].ravel(), minlength=experts)
                shares[place, number] = counts[:experts] / counts.sum()

    figure, axes = plt.subplots(2, -(-len(shares) // 2), figsize=(14, 6), squeeze=False)
    for axis, share, layer in zip(axes.flat, shares, trace.layers, strict=False):
        heat_map(axis, share, trace.groups, [str(e) for e in range(experts)], f"layer {layer}: share of choices")
    wanted = ("layer", "information", "information_lower", "information_upper", "share", "null_upper", "p_value", "q_value")
    columns = {name: information[name] for name in wanted}
    favourite = shares.argmax(2)
    for number, group in enumerate(trace.groups):
        columns[f"{group}: top expert"] = [
            f"{favourite[place, number]} ({shares[place, number].max():.2f})" for place in range(len(shares))
        ]
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
