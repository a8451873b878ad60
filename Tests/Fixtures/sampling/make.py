"""What `transformers` would sample from, for SamplerTests: logits, options, and the probabilities left.

    .venv-parity/bin/python Tests/Fixtures/sampling/make.py

Made with transformers 5.23.0, torch 2.15.0, numpy's default_rng(11). Processors in the order of `generate`: repetition
penalty, temperature, top-k, top-p, min-p.
"""

import json
from pathlib import Path

import numpy as np
import torch
from transformers.generation import logits_process as p

OPTIONS = [
    {"temperature": 1.0},
    {"temperature": 0.5},
    {"temperature": 1.7, "top_k": 5},
    {"temperature": 1.0, "top_p": 0.9},
    {"temperature": 0.8, "top_p": 0.35},
    {"temperature": 1.0, "top_p": 0.01},
    {"temperature": 1.0, "min_p": 0.2},
    {"temperature": 2.5, "min_p": 0.05, "top_k": 12},
    {"temperature": 1.2, "top_k": 10, "top_p": 0.6},
    {"temperature": 0.9, "top_k": 20, "top_p": 0.95, "min_p": 0.1},
    {"temperature": 1.0, "repetition_penalty": 1.4},
    {"temperature": 0.7, "repetition_penalty": 0.6, "top_p": 0.8},
]


def main() -> None:
    random = np.random.default_rng(11)
    cases = []
    for options in OPTIONS:
        logits = np.round(random.normal(0, 2.5, 48), 3)
        seen = random.integers(0, 48, 10).tolist()
        ids = torch.tensor([seen])
        scores = torch.tensor(logits, dtype=torch.float32)[None]
        steps = [p.TemperatureLogitsWarper(options["temperature"])]
        if "repetition_penalty" in options:
            steps.insert(0, p.RepetitionPenaltyLogitsProcessor(options["repetition_penalty"]))
        if "top_k" in options:
            steps.append(p.TopKLogitsWarper(options["top_k"]))
        if "top_p" in options:
            steps.append(p.TopPLogitsWarper(options["top_p"]))
        if "min_p" in options:
            steps.append(p.MinPLogitsWarper(options["min_p"]))
        for step in steps:
            scores = step(ids, scores)
        probabilities = torch.softmax(scores[0].double(), -1).tolist()
        kept = sorted(((value, -token) for token, value in enumerate(probabilities) if value > 0), reverse=True)
        cases.append({
            "options": options, "logits": logits.tolist(), "seen": seen,
            "tokens": [-token for _, token in kept], "probabilities": [round(value, 7) for value, _ in kept],
        })  # fmt: skip
    (Path(__file__).parent / "cases.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
