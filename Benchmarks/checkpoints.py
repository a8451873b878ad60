"""The checkpoints and corpora that sections measure, made when first asked for."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from make_checkpoint import SHAPES, make
from make_newer_checkpoint import make as make_newer
from measure import MOESCOPE, ROOT, WORK, execute, say

POLYGLOT = ROOT / "Models" / "polyglot"


def checkpoint(shape: str, kind: str, **changes: int) -> Path:
    """A random checkpoint of a shape of make_checkpoint.py, with other layers or experts where `changes` says so."""
    name = shape + "".join(f"-{key}{value}" for key, value in changes.items())
    path = WORK / "checkpoints" / (f"{name}.hf" if kind == "hf" else f"{name}.{kind}.gguf")
    # config.json is written last.
    if not (path / "config.json" if kind == "hf" else path).exists():
        say(f"making {path.name}")
        make(replace(SHAPES[shape], **changes), kind, path)
    return path


def newer_checkpoint(shape: str) -> Path:
    """A folder of a shape of make_newer_checkpoint.py."""
    path = WORK / "checkpoints" / f"{shape}.hf"
    # config.json is written last.
    if not (path / "config.json").exists():
        say(f"making {path.name}")
        make_newer(shape, path, None)
    return path


def quantized(model: str | Path, kind: str) -> Path:
    """A folder or a built-in model as a GGUF file, made by `moescope quantize`."""
    path = WORK / "checkpoints" / f"{Path(model).stem}.{kind}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        execute([MOESCOPE, "quantize", model, "--type", kind, "--output", path])
    return path


def read_anew(model: Path) -> Path:
    """A model's files as they are in memory after a restart, whatever wrote them: read from disk, from end to end.

    What was just written in small pieces lies in small pages, and weights are read from those 5 % slower by every program that maps
    the file.
    """
    for path in sorted(model.iterdir()) if model.is_dir() else [model]:
        with path.open("rb", buffering=0) as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            piece = bytearray(1 << 24)
            while file.readinto(piece):
                pass
    return model


def random_corpus(documents: int, vocabulary: int, lengths: tuple[int, int]) -> Path:
    """Documents of random tokens behind a BOS, lengths uniform from `lengths`, both included."""
    generator = np.random.default_rng(11)
    name = f"random-{documents}x{lengths[0]}-{lengths[1]}-{vocabulary}.jsonl"
    return write_corpus(
        name,
        [[1, *generator.integers(3, vocabulary, length - 1).tolist()] for length in generator.integers(
            lengths[0], lengths[1] + 1, documents)],
    )  # fmt: skip


def polyglot_corpus(documents: int, lengths: tuple[int, int]) -> Path:
    """Pieces of the built-in model's held-out texts, as tokens, lengths uniform from `lengths`."""
    generator = np.random.default_rng(12)
    whole = polyglot_documents()
    result: list[list[int]] = []
    while len(result) < documents:
        length = int(generator.integers(lengths[0], lengths[1] + 1))
        text = whole[len(result) % len(whole)]
        first = int(generator.integers(1, max(2, len(text) - length)))
        result.append([1, *text[first : first + length - 1]])
    return write_corpus(f"polyglot-{documents}x{lengths[0]}-{lengths[1]}.jsonl", result)


def polyglot_documents() -> list[list[int]]:
    """The held-out texts' tokens, BOS first."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(POLYGLOT / "tokenizer.json"))
    lines = (POLYGLOT / "heldout.jsonl").read_text().splitlines()
    return [tokenizer.encode(json.loads(line)["text"]).ids for line in lines]


def write_corpus(name: str, documents: list[list[int]]) -> Path:
    path = WORK / "corpora" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": str(number), "tokens": tokens}) for number, tokens in enumerate(documents)]
    path.write_text("\n".join(lines) + "\n")
    return path
