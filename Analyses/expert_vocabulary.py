"""Which tokens does an expert get? For every expert the tokens that are routed to it most reliably: n(x, e) / n(x) over
occurrences of token x (OLMoE's vocabulary specialization), among tokens seen often enough. Chance is K / E."""

from common import arguments, finish, ms, np, plt, read, say


def main() -> None:
    parser = arguments(__doc__, documents=40, tokens=384)
    parser.add_argument("--layer", type=int, help="default: the last")
    parser.add_argument("--count", type=int, default=15, help="occurrences a token needs")
    parser.add_argument("--top", type=int, default=8, help="tokens shown per expert")
    args = parser.parse_args()
    model = ms.load(args.model, precision=args.precision)
    c = model.config
    layer = c.layers - 1 if args.layer is None else args.layer
    if not 0 <= layer < c.layers:
        parser.error(f"--layer: the model has layers 0 to {c.layers - 1}")

    runs = model.run_many([document["tokens"] for document in read(args, model)], logprobs=False)
    tokens = np.concatenate([run.tokens[1:] for run in runs])
    chosen = np.concatenate([run.expert_indices[:, 1:] for run in runs], axis=1)  # [L, N, K]
    seen = np.bincount(tokens, minlength=c.vocab_size)
    often = np.flatnonzero(seen >= args.count)
    say(f"{len(tokens)} tokens, {len(often)} kinds of token seen at least {args.count} times")

    def shares(choices: np.ndarray) -> np.ndarray:
        """[N, K] to [V, E]: of the occurrences of a token, the share that went to the expert."""
        together = np.zeros((c.vocab_size, c.experts))
        np.add.at(together, (np.repeat(tokens, choices.shape[1]), choices.ravel()), 1)
        return together / np.maximum(seen, 1)[:, None]

    here = shares(chosen[layer])[often]
    pieces = model.texts(often)
    columns: dict[str, list] = {"expert": [], "load": [], "specialization": [], "tokens (share of occurrences)": []}
    figure, axes = plt.subplots(2, -(-c.experts // 2), figsize=(14, 6), squeeze=False)
    for expert, axis in zip(range(c.experts), axes.flat, strict=False):
        best = np.argsort(-here[:, expert], kind="stable")[: args.top]
        columns["expert"].append(expert)
        columns["load"].append(float((chosen[layer] == expert).mean()))
        # Mean over kinds of token of the share, weighted by the share: 1 where every token of the expert is its own.
        weight = here[:, expert] * seen[often]
        columns["specialization"].append(float((weight * here[:, expert]).sum() / max(weight.sum(), 1e-9)))
        columns["tokens (share of occurrences)"].append(
            "  ".join(f"{pieces[i]} {here[i, expert]:.2f}" for i in best)
        )
        axis.barh([pieces[i].replace("$", r"\$") for i in best][::-1], here[best, expert][::-1])
        axis.axvline(c.experts_per_token / c.experts, color="grey", linewidth=0.8)
        axis.set(title=f"expert {expert}", xlim=(0, 1))
    overall = [float(shares(chosen[each])[often].max(1).mean()) for each in range(c.layers)]
    say("mean of a token's largest share, by layer: " + "  ".join(f"{each}: {value:.2f}" for each, value in enumerate(overall)))
    figure.suptitle(f"layer {layer}: tokens each expert gets most reliably")
    finish(args, columns, figure)


if __name__ == "__main__":
    main()
