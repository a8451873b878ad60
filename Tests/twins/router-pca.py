import matplotlib.pyplot as plt
import numpy as np
import torch
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("Models/polyglot", dtype=torch.float32)
rows = torch.cat([layer.mlp.gate.weight for layer in model.model.layers]).detach().numpy()
centred = rows - rows.mean(0)
_, scale, directions = np.linalg.svd(centred, full_matrices=False)
explained = scale**2 / (scale**2).sum()
plt.scatter(*(centred @ directions[:2].T).T, c=np.repeat(range(6), 8))
plt.gca().set(xlabel=f"first component, {explained[0]:.0%}", ylabel=f"second component, {explained[1]:.0%}")
plt.savefig("pca.png")
