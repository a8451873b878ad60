#!/usr/bin/env python3
"""Measures transformers over a corpus of token documents: router logits and the log-probability of every token, written to
disk as a trace would be; prints JSON. Documents are sorted by length and padded, the usual way to batch them.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()


def batches(documents: list[list[int]], size: int) -> list[list[list[int]]]:
    ordered = sorted(documents, key=len)
    return [ordered[first : first + size] for first in range(0, len(ordered), size)]


@torch.inference_mode()
def run(model: torch.nn.Module, documents: list[list[int]], size: int, folder: Path) -> None:
    """One pass over the corpus."""
    for number, batch in enumerate(batches(documents, size)):
        longest = max(map(len, batch))
        tokens = torch.zeros((len(batch), longest), dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for row, document in enumerate(batch):
            tokens[row, : len(document)] = torch.tensor(document)
            mask[row, : len(document)] = 1
        output = model(input_ids=tokens, attention_mask=mask, output_router_logits=True, use_cache=False)
        logits = output.logits[:, :-1].float()
        chosen = logits.gather(2, tokens[:, 1:, None])[..., 0]
        logprobs = chosen - logits.logsumexp(2)
        routers = torch.stack(output.router_logits).float()
        np.savez(folder / f"{number}.npz", logprobs=logprobs.numpy(), routers=routers.numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("corpus", type=Path, help='JSON Lines with "tokens"')
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--experts", choices=("grouped_mm", "batched_mm", "eager"), default="grouped_mm")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--limit", type=int, help="only so many documents, evenly from the corpus")
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    documents = [json.loads(line)["tokens"] for line in arguments.corpus.read_text().splitlines()]
    if arguments.limit and arguments.limit < len(documents):
        documents = documents[:: len(documents) // arguments.limit][: arguments.limit]
    model = AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=getattr(torch, arguments.dtype), experts_implementation=arguments.experts
    ).eval()
    tokens = sum(map(len, documents))
    speeds = []
    with tempfile.TemporaryDirectory() as folder:
        # The first batches also warm it up.
        run(model, documents[: arguments.batch], arguments.batch, Path(folder))
        for _ in range(arguments.repeat):
            start = time.perf_counter()
            run(model, documents, arguments.batch, Path(folder))
            speeds.append(tokens / (time.perf_counter() - start))
    print(json.dumps({"tokens": tokens, "tokens_per_second": speeds}))


if __name__ == "__main__":
    main()
