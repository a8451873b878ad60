"""What would the model say if it stopped after each layer? The residual stream of every layer goes through the model's
own last norm and output matrix (nostalgebraist's logit lens), by putting it in the place of the last layer's output."""

from common import arguments, finish, ms, np, plt, read

TEXT = "Die Datei wird nur dann gelesen, wenn sie vorhanden ist."


def main() -> None:
    parser = arguments(__doc__, documents=4, tokens=128)
    parser.add_argument("--text", default=TEXT, help="shown in the picture")
    args = parser.parse_args()
    model = ms.load(args.model, precision="exact")
    last = model.config.layers - 1

    def lens(tokens: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """After the embedding and after every layer: logits [1 + L, T, V] and log-probabilities of the tokens [1 + L, T]."""
        run = model.run(tokens, capture=["embed", "resid_post"], logprobs=False)
        streams = [run["embed"], *(run[f"blocks.{layer}.resid_post"] for layer in range(last + 1))]
        logits, logprob = [], []
        for stream in streams:
            place = {f"blocks.{last}.resid_post": lambda value, stream=stream: stream}
            seen = model.run(tokens, capture=["logits"], edit=place)
            logits.append(seen["logits"])
            logprob.append(seen.logprob)
        return np.stack(logits), np.stack(logprob)

    steps = ["embedding", *(f"layer {layer}" for layer in range(last + 1))]
    nll, agrees, count = np.zeros(len(steps)), np.zeros(len(steps)), 0
    for document in read(args, model):
        logits, logprob = lens(document["tokens"])
        nll -= logprob[:, 1:].sum(1)
        guesses = logits[:, :-1].argmax(2)
        agrees += (guesses == guesses[-1]).sum(1)
        count += guesses.shape[1]

    tokens = model.encode(args.text)
    logits, _ = lens(tokens)
    figure, axis = plt.subplots(figsize=(1 + 0.8 * len(tokens), 0.5 * len(steps) + 1))
    # Of the most probable token: exp(max z) over Σ exp z.
    probability = 1 / np.exp(logits - logits.max(2, keepdims=True)).sum(2)
    image = axis.imshow(probability, aspect="auto", cmap="Blues", vmin=0, vmax=1)
    for row in range(len(steps)):
        for column, piece in enumerate(model.texts(logits[row].argmax(1))):
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
            "tokens": [count] * len(steps),
        },
        figure,
    )


if __name__ == "__main__":
    main()
