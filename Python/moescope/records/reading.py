"""What the readers of records share: arrays out of JSON and archives, layers in the order of a card, errors that name the file."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moescope import TraceError
from moescope.cards import Card, CardError
from moescope.writing import Document, RecordError

#: Yields the documents of one file.
Reader = Callable[[Path, Card], Iterator[Document]]


#: What libraries raise on files that are not what their names say: zipfile, NumPy's header parser, json, csv, pyarrow.
DAMAGE = (
    ValueError, OverflowError, EOFError, RuntimeError, MemoryError, SyntaxError, tokenize.TokenError, struct.error, zlib.error, csv.Error,
    zipfile.BadZipFile,
)  # fmt: skip


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Makes what a library says of a damaged file one line that names it."""
    try:
        yield
    except (RecordError, CardError, TraceError):
        raise
    except Exception as error:
        # pyarrow's own OSErrors have no number; others of its are of no kind but their own, and it may not be there.
        is_damage = error.errno is None if isinstance(error, OSError) else isinstance(error, DAMAGE)
        if not is_damage and not type(error).__module__.startswith("pyarrow"):
            raise
        raise RecordError(f"{file}: it cannot be read: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def archive(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file. Raises RecordError for anything else in it."""
    try:
        with np.load(file, allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
    except (*DAMAGE, OSError, AttributeError) as error:
        raise RecordError(f"{file}: expected a NumPy archive: {_first_line(error)}") from None
    for name, values in arrays.items():
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "iufbU":
            found = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
            raise RecordError(f"{file}: {name}: expected an array of numbers or texts, found {found}")
        if values.dtype.kind == "U":
            scalars = np.frombuffer(values.tobytes(), np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
            if (scalars > 0x10FFFF).any():
                raise RecordError(f"{file}: {name}: expected Unicode, found the number {int(scalars.max()):#x}")
    return arrays


def json_lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects of a JSON Lines file, or of a JSON file that holds one object or an array of them, with their places."""
    with file.open(encoding="utf-8") as lines:
        if file.suffix == ".json":
            try:
                content = json.load(lines)
            except ValueError as error:
                raise RecordError(f"{file}: not valid JSON: {error}") from None
            items = content if isinstance(content, list) else [content]
            for number, item in enumerate(items):
                yield f"{file}, item {number}", _object(item, f"{file}, item {number}")
            return
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            place = f"{file}, line {number}"
            try:
                item = json.loads(line)
            except ValueError as error:
                raise RecordError(f"{place}: not valid JSON: {error}") from None
            yield place, _object(item, place)


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RecordError(f"{place}: expected a JSON object, found {type(value).__name__}")
    return value


def array(value: Any, place: str, name: str, *, dimensions: int) -> NDArray[Any]:
    """An array of integers or numbers from nested lists, from the base64 text of a .npy file, or {"data", "shape", "dtype"}."""
    try:
        if isinstance(value, str):
            found: NDArray[Any] = np.load(io.BytesIO(base64.b64decode(value, validate=True)), allow_pickle=False)
        elif isinstance(value, dict):
            data = base64.b64decode(value["data"], validate=True)
            found = np.frombuffer(data, dtype=np.dtype(value.get("dtype", "int32"))).reshape(value["shape"])
        else:
            found = np.asarray(value)
    except (ValueError, TypeError, KeyError, EOFError, binascii.Error) as error:
        raise RecordError(f"{place}: {name}: expected an array of {dimensions} dimensions: {error}") from None
    if found.ndim != dimensions or found.dtype.kind not in "iuf":
        raise RecordError(
            f"{place}: {name}: expected numbers in {dimensions} dimensions, found {found.dtype} {list(found.shape)}"
        )
    return found


def in_layers(values: NDArray[Any], card: Card, place: str, name: str) -> NDArray[Any]:
    """[n, L, …] in the card's layers with a router, from those or from all layers of the model."""
    if values.shape[1] == len(card.expert_layers):
        return values
    if values.shape[1] == card.layers:
        return values[:, card.expert_layers]
    expected = f"{len(card.expert_layers)} layers with experts"
    if card.layers != len(card.expert_layers):
        expected += f", or all {card.layers}"
    raise RecordError(f"{place}: {name}: expected {expected}, as the card {card.path} says, found {values.shape[1]}")


def logprobs(values: Any, count: int) -> NDArray[Any] | None:
    """[n] of the rows, from a list that may have None first; None where one is missing elsewhere: absent, not zero."""
    if not isinstance(values, list) or len(values) < count:
        return None
    numbers = [value if isinstance(value, int | float) and not isinstance(value, bool) else None for value in values]
    if any(value is None for value in numbers[1:count]):
        return None
    return np.array([np.nan, *numbers[1:count]], dtype=np.float32)
