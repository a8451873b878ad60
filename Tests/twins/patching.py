import torch
from nnsight import LanguageModel

model = LanguageModel("Models/polyglot", dispatch=True, dtype=torch.float32)
clean = model.tokenizer("Select the layer and move the layer", return_tensors="pt").input_ids
other = model.tokenizer("Select the image and move the layer", return_tensors="pt").input_ids
with torch.no_grad(), model.trace(clean):
    source = list().save()
    for layer in model.model.layers:
        source.append(layer.output)

def last(logits):
    return logits[0, -2].log_softmax(-1)[other[0, -1]].item()

with torch.no_grad(), model.trace(other):
    base = model.lm_head.output.save()
effect = torch.zeros(6, other.shape[1])
for layer in range(6):
    for position in range(other.shape[1]):
        with torch.no_grad(), model.trace(other):
            model.model.layers[layer].output[0, position] = source[layer][0, position]
            logits = model.lm_head.output.save()
        effect[layer, position] = last(logits) - last(base)
print(effect.numpy().round(2))
