import matplotlib.pyplot as plt
import torch
from nnsight import LanguageModel

model = LanguageModel("Models/polyglot", dispatch=True, dtype=torch.float32)
text = "Die Datei wird nur dann gelesen, wenn sie vorhanden ist."
tokens = model.tokenizer(text, return_tensors="pt").input_ids

def nll(logits):
    return torch.nn.functional.cross_entropy(logits[0, :-1], tokens[0, 1:]).item()

with torch.no_grad(), model.trace(tokens):
    base = model.lm_head.output.save()
cost = torch.zeros(6, 8)
for layer in range(6):
    for expert in range(8):
        with torch.no_grad(), model.trace(tokens):
            probs, weights, chosen = model.model.layers[layer].mlp.gate.output
            model.model.layers[layer].mlp.gate.output = (probs, torch.where(chosen == expert, 0.0, weights), chosen)
            logits = model.lm_head.output.save()
        cost[layer, expert] = nll(logits) - nll(base)
plt.imshow(cost, cmap="RdBu_r")
plt.savefig("ablation.png")
