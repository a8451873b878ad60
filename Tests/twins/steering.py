import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("Models/polyglot", dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained("Models/polyglot")
router = model.model.layers[5].mlp.gate

def steer(module, inputs, output):
    logits = torch.nn.functional.linear(inputs[0].reshape(-1, module.weight.shape[1]), module.weight)
    logits[:, 2] -= 3 * logits.std(-1, correction=0)
    weights, chosen = logits.softmax(-1).topk(2)
    return logits, weights / weights.sum(-1, keepdim=True), chosen

prompt = tokenizer("La fumée", return_tensors="pt")
for name in ("plain", "steered"):
    hook = router.register_forward_hook(steer) if name == "steered" else None
    tokens = model.generate(**prompt, max_new_tokens=20, do_sample=False)
    if hook:
        hook.remove()
    seen = []
    hook = router.register_forward_hook(lambda module, inputs, output: seen.append(output[2]))
    model(tokens)
    hook.remove()
    print(name, tokenizer.decode(tokens[0]), (seen[0] == 2).any(1).sum().item(), "of", len(seen[0]))
