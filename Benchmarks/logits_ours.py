"""Run by `moescope run`: the logits of every position of token documents, a .npy of [tokens, vocabulary] f32.

Arguments: model, JSON list of documents, .npy to write, precision.
"""

import json
import sys

import moescope as ms
import numpy as np

model_path, tokens_path, output, precision = sys.argv[1:]
model = ms.load(model_path, precision=precision)
with open(tokens_path) as file:
    documents = json.load(file)
rows = [np.array(model.run(tokens, capture=["logits"], logprobs=False)["logits"]) for tokens in documents]
np.save(output, np.concatenate(rows))
