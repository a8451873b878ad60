import numpy as np
import pandas as pd
import torch
from nnsight import LanguageModel

model = LanguageModel("Models/polyglot", dispatch=True, dtype=torch.float32)
frame = pd.read_json("Models/polyglot/heldout.jsonl", lines=True).groupby("group").head(16)
label, names = pd.factorize(frame.group)
means = []
for text in frame.text.str[:200]:
    with torch.no_grad(), model.trace(text):
        stream = model.model.layers[2].output.save()
    means.append(stream[0, 1:].mean(0).numpy())
x, y = np.c_[np.stack(means), np.ones(len(means))], np.eye(len(names))[label]
test = np.arange(len(x)) % 4 == 0
weights = np.linalg.solve(x[~test].T @ x[~test] + np.eye(x.shape[1]), x[~test].T @ y[~test])
print("accuracy", np.mean((x[test] @ weights).argmax(1) == label[test]), "of", test.sum(), "documents")
