"""Writing a model as a GGUF file of another type."""

from __future__ import annotations

from os import PathLike, fspath

from moescope import _moescope
from moescope.loading import built_in


def quantize(model: str | PathLike[str], output: str | PathLike[str], *, type: str) -> int:
    """Writes a model (a Hugging Face folder, a .gguf file, or a built-in name) as a GGUF file; gives its size in bytes.

    :param type: "Q4_K_M", "Q8_0", "F16", …: as `moescope quantize --type`, which is the same function.
    """
    path = fspath(model)
    return _moescope.quantize(built_in(path) or path, type, fspath(output))
