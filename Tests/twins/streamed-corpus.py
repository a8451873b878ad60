import json
import os

import torch
from nnsight import LanguageModel

model = LanguageModel("Models/polyglot", dispatch=True, dtype=torch.float32)

def documents():
    with open("Models/polyglot/heldout.jsonl") as lines:
        for number, line in zip(range(60), lines):
            yield json.loads(line)

os.makedirs("traces", exist_ok=True)
for number, document in enumerate(documents()):
    tokens = model.tokenizer(document["text"], return_tensors="pt", truncation=True, max_length=64).input_ids
    with torch.no_grad(), model.trace(tokens):
        logits = list().save()
        for layer in model.model.layers:
            logits.append(layer.mlp.gate.output[0])
    torch.save({"id": document["id"], "group": document["group"], "tokens": tokens, "logits": torch.stack(logits)}, f"traces/{number}.pt")
