"""What would the model say if it stopped after each layer? The residual stream of every layer goes through the model's
own last norm and output matrix (nostalgebraist's logit lens), by putting it in the place of the last layer's output."""

from common import arguments, finish, ms, np, plt, read

TEXT = "Die Datei wird nur dann gelesen, wenn sie vorhanden ist."


def log_softmax(z: np.ndarray) -> np.ndarray:
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def main() -> None:
    parser = arguments(__doc__, documents=4, tokens=128)
    parser.add_argument("--text", default=TEXT, help="shown in the picture")
    args = parser.parse_args()
    model = ms.load(args.model, precision="exact")
    last = model.config.layers - 1

    def lens(tokens: list[int]) -> np.ndarray:
        """[1 + L, T, V] log-probabilities after the embedding and after every layer."""
        run = model.run(tokens, capture=["embed", "resid_post"], logprobs=False)
        streams = [run["embed"], *(run[f"blocks.{layer}.resid_post"] for layer in range(last + 1))]
        seen = []
        for stream in streams:
            place = {f"blocks.{last}.resid_post": lambda value, stream=stream: stream}
            seen.append(log_softmax(model.run(tokens, capture=["logits"], edit=place, logprobs=False)["logits"]))
        return np.stack(seen)

    steps = ["embedding", *(f"layer {layer}" for layer in range(last + 1))]
    nll, agrees, entropy, count = np.zeros(len(steps)), np.zeros(len(steps)), np.zeros(len(steps)), 0
    for document in read(args, model):
        log_p = lens(document["tokens"])[:, :-1]
        following = np.array(document["tokens"][1:])
        rows = np.arange(len(following))
        nll -= log_p[:, rows, following].sum(1)
        agrees += (log_p.argmax(2) == log_p[-1].argmax(1)).sum(1)
        entropy -= (np.exp(log_p) * log_p).sum((1, 2))
        count += len(following)

    tokens = model.encode(args.text)
    log_p = lens(tokens)
    figure, axis = plt.subplots(figsize=(1 + 0.8 * len(tokens), 0.5 * len(steps) + 1))
    probability = np.exp(log_p.max(2))
    image = axis.imshow(probability, aspect="auto", cmap="Blues", vmin=0, vmax=1)
    for row in range(len(steps)):
        for column, piece in enumerate(model.texts(log_p[row].argmax(1))):
            colour = "white" if probability[row, column] > 0.6 else "black"
            axis.text(column, row, piece.replace("$", r"\$"), ha="center", va="center", fontsize=7, color=colour)
    axis.set_xticks(range(len(tokens)), [piece.replace("$", r"\$") for piece in model.texts(tokens)], rotation=45)
    axis.set_yticks(range(len(steps)), steps)
    axis.set_title("most probable next token after each layer")
    plt.colorbar(image, ax=axis, label="its probability")
    finish(
        args,
        {
            "after": steps,
            "NLL (nats)": (nll / count).tolist(),
            "same first guess as the end": (agrees / count).tolist(),
            "entropy (nats)": (entropy / count).tolist(),
            "tokens": [count] * len(steps),
        },
        figure,
    )


if __name__ == "__main__":
    main()
