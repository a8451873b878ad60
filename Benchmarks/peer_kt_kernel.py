#!/usr/bin/env python3
"""Measures kt-kernel on one block of Mixtral-8x7B's experts in bf16, without router and attention; prints JSON: its version and
variant for this processor, tokens per second of every run after a warm-up, and the largest difference from numpy, as a share.

It needs a processor with AMX, which kt-kernel is made for; --any measures the path that it has for others.
"""

import argparse
import importlib.util
import json
import os
import sys
import time
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np

HIDDEN, FEED_FORWARD, EXPERTS, CHOICES = 4096, 14336, 8, 2
CLASSES = ("AMXBF16_MOE", "AVX2BF16_MOE")


def module(name: str, path: Path) -> ModuleType:
    spec: ModuleSpec | None = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        sys.exit(f"error: {path} is no module of Python")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def extension(*, anywhere: bool) -> tuple[str, ModuleType]:
    """kt-kernel's own choice for this processor. Its package is not imported: that asks for one version of PyTorch, which the
    kernels do not need."""
    found = importlib.util.find_spec("kt_kernel")
    if found is None or found.origin is None:
        sys.exit("error: kt-kernel is not installed; Scripts/setup bench installs it where the processor has AMX")
    folder = Path(found.origin).parent
    variant = module("cpu_detect", folder / "_cpu_detect.py").detect_cpu_features()
    if variant != "amx" and not anywhere:
        sys.exit(f"error: kt-kernel is compared on processors with AMX (amx_tile, amx_bf16, amx_int8); this one is {variant}")
    files = sorted(folder.glob(f"_kt_kernel_ext_{variant}.*.so"))
    if not files:
        sys.exit(f"error: {folder} has no kernels for {variant}")
    return variant, module("kt_kernel_ext", files[0])


def bf16(values: np.ndarray) -> np.ndarray:
    """f32 rounded to bf16 (nearest, ties to even), as the 16 bits."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def f32(values: np.ndarray) -> np.ndarray:
    return (values.astype(np.uint32) << 16).view(np.float32)


class Block:
    """Experts of random weights, and rows for them."""

    def __init__(self, hidden: int, feed_forward: int, tokens: int) -> None:
        generator = np.random.default_rng(17)

        def random(rows: int, columns: int) -> np.ndarray:
            return bf16(generator.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02))

        self.hidden, self.feed_forward = hidden, feed_forward
        self.gate = [random(feed_forward, hidden) for _ in range(EXPERTS)]
        self.up = [random(feed_forward, hidden) for _ in range(EXPERTS)]
        self.down = [random(hidden, feed_forward) for _ in range(EXPERTS)]
        self.x = bf16(generator.standard_normal((tokens, hidden), dtype=np.float32))
        self.chosen = np.stack([generator.permutation(EXPERTS)[:CHOICES] for _ in range(tokens)]).astype(np.int64)
        self.weights = generator.dirichlet([2] * CHOICES, tokens).astype(np.float32)

    def expected(self, row: int) -> np.ndarray:
        x, out = f32(self.x[row]), np.zeros(self.hidden, np.float32)
        for expert, weight in zip(self.chosen[row], self.weights[row], strict=True):
            gate, up = f32(self.gate[expert]) @ x, f32(self.up[expert]) @ x
            out += weight * (f32(self.down[expert]) @ (gate / (1 + np.exp(-gate)) * up))
        return out


class Engine:
    """kt-kernel with the weights of a block."""

    def __init__(self, kernels: ModuleType, block: Block, threads: int) -> None:
        pool = kernels.WorkerPoolConfig()
        pool.subpool_count, pool.subpool_numa_map, pool.subpool_thread_count = 1, [0], [threads]
        self.block, self.workers = block, kernels.CPUInfer(pool)
        self.on_gpu = np.zeros(EXPERTS, np.uint8)
        config = kernels.moe.MOEConfig(EXPERTS, CHOICES, block.hidden, block.feed_forward, self.on_gpu.ctypes.data)
        config.layer_idx, config.pool, config.max_len = 0, self.workers.backend_, len(block.x)
        for name in ("gate", "up", "down"):
            setattr(config, f"{name}_projs", [[matrix.ctypes.data for matrix in getattr(block, name)]])
            setattr(config, f"{name}_scales", [[0] * EXPERTS])
        found = [getattr(kernels.moe, name) for name in CLASSES if hasattr(kernels.moe, name)]
        if not found:
            raise SystemExit(f"error: kt-kernel has none of {', '.join(CLASSES)}")
        self.moe = found[0](config)
        order = np.arange(EXPERTS, dtype=np.int64)
        self.workers.submit(self.moe.load_weights_task(order.ctypes.data))
        self.workers.sync()
        self.count, self.out = np.array([len(block.x)], np.int32), np.zeros_like(block.x)

    def run(self) -> float:
        """Seconds."""
        block, begin = self.block, time.perf_counter()
        arrays = (block.chosen, block.weights, block.x, self.out)
        self.workers.submit(
            self.moe.forward_task(self.count.ctypes.data, CHOICES, *(array.ctypes.data for array in arrays), False)
        )
        self.workers.sync()
        return time.perf_counter() - begin

    def difference(self) -> float:
        """The largest difference from numpy in eight rows, as a share of the largest value."""
        rows = range(0, len(self.out), max(1, len(self.out) // 8))
        expected = np.stack([self.block.expected(row) for row in rows])
        return float(np.abs(f32(self.out[list(rows)]) - expected).max() / np.abs(expected).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--hidden", type=int, default=HIDDEN)
    parser.add_argument("--feed-forward", type=int, default=FEED_FORWARD)
    parser.add_argument("--any", action="store_true", help="measure it on a processor without AMX too")
    arguments = parser.parse_args()
    variant, kernels = extension(anywhere=arguments.any)
    # What it says while it works and at its end goes to standard error.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    engine = Engine(kernels, Block(arguments.hidden, arguments.feed_forward, arguments.tokens), arguments.threads)
    seconds = [engine.run() for _ in range(arguments.repeat + 1)][1:]
    difference = engine.difference()
    speeds = [arguments.tokens / one for one in seconds]
    result = {"version": version("kt-kernel"), "variant": variant, "tokens_per_second": speeds, "difference": difference}
    with output:
        print(json.dumps(result), file=output)


if __name__ == "__main__":
    main()
