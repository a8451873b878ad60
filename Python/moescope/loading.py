"""Opening a model: a folder, a file, a name on the Hub, or the built-in one."""

from __future__ import annotations

import os
import warnings
from os import PathLike, fspath
from pathlib import Path
from typing import overload

from moescope import _moescope
from moescope.model import Model, Precision


@overload
def load(
    model: str, *, precision: Precision = ..., threads: int | None = ..., memory: int | str | None = ...
) -> Model: ...
@overload
def load(
    model: PathLike[str], *, precision: Precision = ..., threads: int | None = ..., memory: int | str | None = ...
) -> Model: ...
def load(
    model: str | PathLike[str],
    *,
    precision: Precision = "fast",
    threads: int | None = None,
    memory: int | str | None = None,
) -> Model:
    """Opens a model: a Hugging Face folder, a `.gguf` file, a name on the Hub, or `"polyglot"`, the built-in one.

    A name such as `"mistralai/Mixtral-8x7B-v0.1"` is looked for in this machine's Hugging Face cache (HF_HUB_CACHE, HF_HOME, else
    ~/.cache/huggingface/hub), with `@REVISION` for another than main; nothing is downloaded.

    precision: "exact" computes in f32 throughout and is the reference. "precise" is nearly exact and fast, on processors with
        AMX only. "fast" rounds activations for the large products: to bf16, or two parts of it (AMX), to int8 (quantized
        weights), or to 16-bit integers with a scale per block (unquantized weights).
    threads: to compute with; by default all processors.
    memory: bytes, or text such as "12G", that the model may take with what runs on it. Weights of more than half of it
        are read from disk once per pass. By default three quarters of what is free.

    Raises FileNotFoundError, or CheckpointError naming file and tensor.
    """
    path = fspath(model)
    opened = Model(
        _moescope.load(built_in(path) or path, precision, threads, None if memory is None else str(memory))
    )
    for notice in opened._facts["notices"]:
        warnings.warn(f"{opened.path}: {notice}", stacklevel=2)
    return opened


def built_in(name: str) -> str | None:
    """A built-in model that came with this package, or lies in its checkout; MOESCOPE_MODELS goes before both."""
    if name != "polyglot" or os.environ.get("MOESCOPE_MODELS"):
        return None
    package = Path(__file__).resolve().parent
    for folder in (package / "Models" / name, package.parents[1] / "Models" / name):
        if (folder / "config.json").exists():
            return str(folder)
    return None
