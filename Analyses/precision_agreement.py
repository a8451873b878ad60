"""Does fast arithmetic choose the same experts as exact arithmetic? Share of choices that differ, by layer and by how
narrow the choice was (margin between the logits of choice K and K + 1), and what it costs in log-probability."""

from common import arguments, finish, interval, ms, np, plt, read, say


def main() -> None:
    args = arguments(__doc__, documents=10, tokens=256).parse_args()
    exact = ms.load(args.model, precision="exact")
    fast = ms.load(args.model, precision="fast")
    c = exact.config
    texts = [document["tokens"] for document in read(args, exact)]
    a = exact.run_many(texts, capture=["router_logits"])
    b = fast.run_many(texts, capture=["router_logits"])

    z, z_fast = (np.concatenate([run["router_logits"] for run in runs], axis=1) for runs in (a, b))  # [L, N, E]
    chosen, chosen_fast = (np.concatenate([run.expert_indices for run in runs], axis=1) for runs in (a, b))
    # Chosen by both, whatever the order: [L, N].
    common = (chosen[..., :, None] == chosen_fast[..., None, :]).any(-1).mean(-1)
    ranked = -np.sort(-z, axis=-1)
    margin = ranked[..., c.experts_per_token - 1] - ranked[..., c.experts_per_token]
    edges = np.quantile(margin, np.linspace(0, 1, 11))
    decile = np.clip(np.searchsorted(edges, margin, side="right") - 1, 0, 9)

    delta = [y.nll - x.nll for x, y in zip(a, b, strict=True)]
    mean, low, high = interval(delta, args.seed)
    say(f"{z.shape[1]} tokens; ΔNLL {mean:+.5f} [{low:+.5f}, {high:+.5f}] nats per token")
    columns = {
        "layer": list(range(c.layers)),
        "agreement": common.mean(1).tolist(),
        "tokens with a different set": (common < 1).mean(1).tolist(),
        "largest logit difference": np.abs(z - z_fast).max((1, 2)).tolist(),
        "mean logit difference": np.abs(z - z_fast).mean((1, 2)).tolist(),
        "median margin": np.median(margin, axis=1).tolist(),
    }

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4))
    for layer in range(c.layers):
        flips = [(common[layer][decile[layer] == d] < 1).mean() if (decile[layer] == d).any() else np.nan for d in range(10)]
        left.plot(range(1, 11), flips, marker="o", label=f"layer {layer}")
    left.set(xlabel="decile of the margin (1: narrowest)", ylabel="share of tokens", title="tokens with a different set of experts")
    left.legend(fontsize=7)
    right.hist(delta, bins=30)
    right.set(xlabel="NLL fast − exact, per document (nats per token)", ylabel="documents", title="cost in log-probability")
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
