import pandas as pd
import torch
from nnsight import LanguageModel

model = LanguageModel("Models/polyglot", dispatch=True, dtype=torch.float32)
frame = pd.read_json("Models/polyglot/heldout.jsonl", lines=True).groupby("group").head(6)
counts = {group: torch.zeros(6, 8) for group in frame.group.unique()}
for text, group in zip(frame.text, frame.group):
    tokens = model.tokenizer(text, return_tensors="pt", truncation=True, max_length=64).input_ids
    with torch.no_grad(), model.trace(tokens):
        chosen = list().save()
        for layer in model.model.layers:
            chosen.append(layer.mlp.gate.output[2])
    for layer, experts in enumerate(chosen):
        counts[group][layer] += torch.bincount(experts[1:].flatten(), minlength=8)
shares = {group: count / count.sum(1, keepdim=True) for group, count in counts.items()}
print(pd.DataFrame({group: share[5].numpy() for group, share in shares.items()}).T.round(2))
