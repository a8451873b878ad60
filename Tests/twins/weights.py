import torch
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("Models/polyglot", dtype=torch.float32)
mlp = model.model.layers[3].mlp
rows = torch.nn.functional.normalize(mlp.gate.weight.detach())
print("cosines of the router's rows\n", (rows @ rows.T).numpy().round(2))
downs = mlp.experts.down_proj.detach().flatten(1)  # [experts, hidden × width]
print("correlations of what experts write\n", torch.corrcoef(downs).numpy().round(2))
