import torch
from nnsight import LanguageModel

model = LanguageModel("Models/polyglot", dispatch=True, dtype=torch.float32)
with torch.no_grad(), model.trace("Der Rauch steigt auf."):
    logits = list().save()
    for layer in model.model.layers:
        logits.append(layer.mlp.gate.output[0])
logits = torch.stack(logits)  # [layers, tokens, experts]
tokens = model.tokenizer.convert_ids_to_tokens(model.tokenizer("Der Rauch steigt auf.").input_ids)
for token, experts in zip(tokens, logits[3].topk(2).indices.tolist()):
    print(f"{token:12} experts {experts} of layer 3")
