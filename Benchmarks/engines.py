"""The engines, each as a program that is started, measures, and prints JSON."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from measure import MOESCOPE, ROOT, WORK, Finished, execute

HERE = ROOT / "Benchmarks"


def bench(model: Path | str, *options: str | int) -> dict:
    """`moescope bench --json`."""
    return json.loads(execute([MOESCOPE, "bench", model, "--json", *map(str, options)]).output)


@dataclass
class Traced:
    tokens_per_second: float
    seconds: float
    peak_bytes: int
    said: str


def trace(model: Path | str, corpus: Path, output: Path, *options: str | int) -> Traced:
    """`moescope trace`; the time is what it says itself, from the first wave to the complete trace."""
    execute(["rm", "-rf", output])
    run: Finished = execute([MOESCOPE, "trace", model, "--corpus", corpus, "--output", output, *map(str, options)])
    found = re.search(r"complete, ([\d,]+) tokens in ([\d.]+) s \(([\d,]+) tokens/s\)", run.errors)
    if found is None:
        sys.exit(f"error: moescope trace said nothing of its speed:\n{run.errors}")
    _, seconds, speed = (float(text.replace(",", "")) for text in found.groups())
    return Traced(speed, seconds, run.peak_bytes, run.errors)


def llama(model: Path, *options: str | int) -> dict:
    """peer_llama.py's measurements of one model with one setting."""
    return json.loads(execute([sys.executable, HERE / "peer_llama.py", model, *map(str, options)]).output)


def ik_llama(model: Path, *options: str | int) -> dict:
    """peer_ik_llama.py's measurements of one model with one setting."""
    return json.loads(execute([sys.executable, HERE / "peer_ik_llama.py", model, *map(str, options)]).output)


def kt_kernel(*options: str | int) -> dict:
    """peer_kt_kernel.py's measurements of one block of experts."""
    return json.loads(execute([sys.executable, HERE / "peer_kt_kernel.py", *map(str, options)]).output)


def transformers(model: Path, corpus: Path, *options: str | int) -> dict:
    """peer_transformers.py's measurements of one model with one setting."""
    command = [sys.executable, HERE / "peer_transformers.py", model, corpus, *map(str, options)]
    return json.loads(execute(command).output)


def best_llama_setting(
    model: Path, prefill: int, decode: int, quick: bool, program: Callable[..., dict] = llama
) -> dict[str, list[str]]:
    """The options of llama.cpp (or of ik_llama.cpp) with the highest prefill and decoding speed on this machine, each tried
    once and remembered."""
    memory = WORK / "settings" / f"{program.__name__}-{model.stem}-{prefill}-{decode}{'-quick' if quick else ''}.json"
    if memory.exists():
        return json.loads(memory.read_text())
    # Batches of 512 are what 512 tokens can fill; threads beyond the processors never help.
    tried = []
    for repack, flash in product((0, 1), (1,) if quick else (0, 1)):
        options = ["--repack", str(repack), "--flash", str(flash)]
        speed = program(model, "--prefill", prefill, "--decode", decode, "--repeat", 1, *options)
        tried.append((max(speed["prefill"]), max(speed["decode"]), options))
    best = {
        "prefill": max(tried, key=lambda one: one[0])[2],
        "decode": max(tried, key=lambda one: one[1])[2],
    }
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps(best) + "\n")
    return best


def best_transformers_settings(model: Path, corpus: Path, quick: bool) -> list[list[str]]:
    """transformers' fastest experts and batch for each number type, on a part of the corpus; the fastest type comes first.
    Each is tried once and remembered."""
    memory = WORK / "settings" / f"transformers-types-{model.stem}{'-quick' if quick else ''}.json"
    if memory.exists():
        return json.loads(memory.read_text())
    best = []
    for dtype in ("float32", "bfloat16"):
        tried = []
        for experts, batch in product(("grouped_mm",) if quick else ("grouped_mm", "eager"), (16,) if quick else (8, 32)):
            options = ["--dtype", dtype, "--experts", experts, "--batch", str(batch)]
            speed = transformers(model, corpus, "--limit", 2 * batch, "--repeat", 1, *options)
            tried.append((max(speed["tokens_per_second"]), options))
        best.append(max(tried, key=lambda one: one[0]))
    settings = [options for _, options in sorted(best, key=lambda one: -one[0])]
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps(settings) + "\n")
    return settings
