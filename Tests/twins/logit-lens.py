import torch
from nnsight import LanguageModel

model = LanguageModel("Models/polyglot", dispatch=True, dtype=torch.float32)
with torch.no_grad(), model.trace("Die Datei wird nur dann gelesen, wenn sie vorhanden ist."):
    guesses = list().save()
    for layer in model.model.layers:
        guesses.append(model.lm_head(model.model.norm(layer.output)).argmax(-1))
for layer, tokens in enumerate(guesses):
    print(f"layer {layer}:", *model.tokenizer.convert_ids_to_tokens(tokens.flatten()))
