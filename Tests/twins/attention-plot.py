import matplotlib.pyplot as plt
import torch
from nnsight import LanguageModel

model = LanguageModel("Models/polyglot", dispatch=True, dtype=torch.float32, attn_implementation="eager")
text = "Der Rauch steigt auf, und der Hund schläft."
with torch.no_grad(), model.trace(text):
    patterns = model.model.layers[1].self_attn.output[1].save()
tokens = model.tokenizer.convert_ids_to_tokens(model.tokenizer(text).input_ids)
figure, axes = plt.subplots(1, len(patterns[0]), figsize=(3 * len(patterns[0]), 3))
for head, (axis, pattern) in enumerate(zip(axes, patterns[0])):
    axis.imshow(pattern, vmin=0, vmax=1, cmap="Blues")
    axis.set(title=f"layer 1, head {head}", xticks=range(len(tokens)), yticks=range(len(tokens)))
    axis.set_xticklabels(tokens, rotation=90), axis.set_yticklabels(tokens)
figure.savefig("attention.png", bbox_inches="tight")
