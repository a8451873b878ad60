import pandas as pd
import torch
from nnsight import LanguageModel

frame = pd.read_json("Models/polyglot/heldout.jsonl", lines=True).groupby("group").head(5)
names = {"original": torch.float32, "rounded": torch.bfloat16}
chosen, nll = {}, {}
for name, dtype in names.items():
    model = LanguageModel("Models/polyglot", dispatch=True, dtype=dtype)
    chosen[name], nll[name] = [], []
    for text in frame.text:
        tokens = model.tokenizer(text, return_tensors="pt", truncation=True, max_length=64).input_ids
        with torch.no_grad(), model.trace(tokens):
            experts = list().save()
            for layer in model.model.layers:
                experts.append(layer.mlp.gate.output[2])
            logits = model.lm_head.output.save()
        chosen[name].append(torch.stack(experts))
        nll[name].append(torch.nn.functional.cross_entropy(logits[0, :-1].float(), tokens[0, 1:]).item())
first, second = (torch.cat(chosen[name], 1) for name in names)  # [layers, tokens, 2]
print((first.unsqueeze(3) == second.unsqueeze(2)).any(3).float().mean((1, 2)))
print(sum(nll["rounded"]) / len(frame) - sum(nll["original"]) / len(frame))
