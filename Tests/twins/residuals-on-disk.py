import json
import os

import torch
from nnsight import LanguageModel

model = LanguageModel("Models/polyglot", dispatch=True, dtype=torch.float32)
lines = (json.loads(line)["text"] for line in open("Models/polyglot/heldout.jsonl"))
texts = (text[start : start + 120] for text in lines for start in (0, 200, 400))
os.makedirs("residuals", exist_ok=True)
for number, text in zip(range(500), texts):
    with torch.no_grad(), model.trace(text):
        stream = list().save()
        for layer in model.model.layers:
            stream.append(layer.output)
    torch.save(torch.stack(stream), f"residuals/{number:06}.pt")
