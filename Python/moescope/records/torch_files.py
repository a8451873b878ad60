"""Files of `torch.save`, read without torch: tensors become NumPy arrays, and nothing but plain values and tensors is made.

The format: a ZIP archive with NAME/data.pkl, a pickle whose persistent ids name storages, and NAME/data/KEY with each storage's bytes
(pytorch/pytorch, torch/serialization.py). A pickle can name any function; here only those that rebuild tensors are known.
"""

from __future__ import annotations

import collections
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from moescope.records.reading import DAMAGE
from moescope.writing import RecordError

_TYPES: Final = {
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    # Its upper half is a float's; widened when a tensor is made of it.
    "BFloat16Storage": np.uint16,
}


#: What a damaged pickle raises beside what other damaged files do.
_DAMAGE: Final = (*DAMAGE, pickle.UnpicklingError, LookupError, TypeError, AttributeError, AssertionError)


class _Storage:
    """The type of a storage, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name


def _rebuild(storage: tuple[str, NDArray[Any]], offset: int, size: Any, stride: Any, *_: Any) -> NDArray[Any]:
    name, values = storage
    if name == "BFloat16Storage":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) if all(size) else offset - 1
    # A tensor that was expanded before it was saved has more values than its storage.
    if math.prod(size) > max(len(values), 1 << 20):
        raise ValueError(f"a tensor of {math.prod(size):,} values in a storage of {len(values):,}")
    if offset < 0 or any(step < 0 for step in stride) or last >= len(values):
        raise ValueError("a tensor reaches past its storage")
    strides = [step * values.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(values[offset:], tuple(size), strides).copy()


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined, misc, unused-ignore]
    # The one that is written in Python: the other makes room for as many memoized objects as a number in the file says.

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(archive.open(f"{folder}data.pkl"))
        self._archive = archive
        self._folder = folder
        self._loaded: dict[str, NDArray[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _TYPES:
            return _Storage(name)
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        raise pickle.UnpicklingError(f"{module}.{name} is neither a tensor nor a plain value")

    def persistent_load(self, identifier: Any) -> Any:
        kind, storage, key, _, count = identifier
        if kind != "storage" or not isinstance(storage, _Storage):
            raise pickle.UnpicklingError(f"{kind} is no storage")
        if key not in self._loaded:
            data = self._archive.read(f"{self._folder}data/{key}")
            self._loaded[key] = np.frombuffer(data, dtype=_TYPES[storage.name], count=count)
        return storage.name, self._loaded[key]


def load(file: Path) -> Any:
    """What `torch.save` wrote. Raises RecordError for what is no such file, or holds more than plain values and tensors."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = [name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")]
            if len(found) != 1:
                raise RecordError(f"{file}: expected a file of torch.save, found no data.pkl in it")
            return _Unpickler(archive, found[0].removesuffix("data.pkl")).load()
    except RecordError:
        raise
    except _DAMAGE as error:
        raise RecordError(f"{file}: expected a file of torch.save: {str(error)[:120] or type(error).__name__}") from None
