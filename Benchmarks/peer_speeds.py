"""What the programs of llama.cpp's family take and measure alike."""

import argparse
import os
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Engine(Protocol):
    """A model and a context."""

    vocabulary: int

    def forget(self) -> None: ...
    def read(self, tokens: list[int], position: int, *, all_logits: bool = False) -> None: ...


def parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of every such program."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("model", type=Path)
    made.add_argument("--prefill", type=int, default=512)
    made.add_argument("--decode", type=int, default=64)
    made.add_argument("--repeat", type=int, default=3)
    made.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    made.add_argument("--repack", type=int, choices=(0, 1), default=0, help="1: weights repacked while loading")
    made.add_argument("--flash", type=int, choices=(0, 1), default=1, help="1: flash attention")
    return made


def decode(llama: Any, context: Any, tokens: list[int], position: int, *, all_logits: bool = False) -> None:
    """Reads tokens through a library's C API; logits of the last one are kept, or of all."""
    batch = llama.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for index, token in enumerate(tokens):
        batch.token[index] = token
        batch.pos[index] = position + index
        batch.n_seq_id[index] = 1
        batch.seq_id[index][0] = 0
        batch.logits[index] = all_logits or index == len(tokens) - 1
    status = llama.llama_decode(context, batch)
    llama.llama_batch_free(batch)
    if status:
        raise SystemExit(f"error: llama_decode: {status}")


def random_tokens(count: int, vocabulary: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(3, vocabulary, count).tolist()


def speeds(engine: Engine, prefill: int, decode: int, repeat: int) -> dict[str, list[float]]:
    """Tokens per second of every run after a warm-up.

    Prefill makes every token's logits: llama.cpp computes the last layer's experts only for tokens whose logits are wanted, which in
    a model of two layers leaves almost half of the work out.
    """
    result: dict[str, list[float]] = {"prefill": [], "decode": []}
    for run in range(repeat + 1):
        if prefill:
            engine.forget()
            tokens = random_tokens(prefill, engine.vocabulary, 7)
            start = time.perf_counter()
            engine.read(tokens, 0, all_logits=True)
            taken = time.perf_counter() - start
            if run:
                result["prefill"].append(prefill / taken)
        if decode:
            engine.forget()
            engine.read(random_tokens(32, engine.vocabulary, 8), 0)
            tokens = random_tokens(decode, engine.vocabulary, 9 + run)
            start = time.perf_counter()
            for index, token in enumerate(tokens):
                engine.read([token], 32 + index)
            taken = time.perf_counter() - start
            if run:
                result["decode"].append(decode / taken)
    return result
