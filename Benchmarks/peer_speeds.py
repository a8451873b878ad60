"""What the programs of llama.cpp's family measure alike."""

import time
from typing import Protocol

import numpy as np


class Engine(Protocol):
    """A model and a context."""

    vocabulary: int

    def forget(self) -> None: ...
    def read(self, tokens: list[int], position: int) -> None: ...


def random_tokens(count: int, vocabulary: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(3, vocabulary, count).tolist()


def speeds(engine: Engine, prefill: int, decode: int, repeat: int) -> dict[str, list[float]]:
    """Tokens per second of every run after a warm-up."""
    result: dict[str, list[float]] = {"prefill": [], "decode": []}
    for run in range(repeat + 1):
        if prefill:
            engine.forget()
            tokens = random_tokens(prefill, engine.vocabulary, 7)
            start = time.perf_counter()
            engine.read(tokens, 0)
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
