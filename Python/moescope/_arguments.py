"""Arguments as the engine takes them: what is not meant as an integer, a list of names or token ids is refused."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import islice
from typing import Any

import numpy as np

# Longest sequences that are read: a range can be longer than any memory, and a generator need not end.
_MOST_INTEGERS = 1 << 20
_MOST_TOKENS = 1 << 24


def _at_most(values: Iterable[Any], most: int, name: str) -> Iterator[Any]:
    if isinstance(values, range) and values[most:]:
        raise ValueError(f"{name}: expected at most {most} items, found {values!r}")
    for place, value in enumerate(islice(values, most + 1)):
        if place == most:
            raise ValueError(f"{name}: expected at most {most} items, found more")
        yield value


def integer(value: Any, name: str) -> int:
    """A Python or NumPy integer; no bool, and no float, whatever its value."""
    if not isinstance(value, bool | np.bool_):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name}: expected an integer, found {value!r} of type {type(value).__name__}")


def identifier(value: Any, name: str) -> str:
    """A name; an integer is taken as its decimal form."""
    if isinstance(value, str):
        return str(value)
    try:
        return str(integer(value, name))
    except TypeError:
        raise TypeError(f"{name}: expected a str or an integer, found {value!r} of type {type(value).__name__}") from None


def integers(values: Iterable[Any] | Any, name: str, *, minimum: int | None = 0) -> list[int]:
    """Several integers, or one. `minimum`: the least that means anything."""
    if isinstance(values, str | bytes | bytearray | Mapping):
        raise TypeError(f"{name}: expected integers, found {type(values).__name__}")
    single = not isinstance(values, Iterable) or hasattr(values, "__array__") and np.ndim(values) == 0  # type: ignore[arg-type, unused-ignore]
    found = [integer(value, name) for value in ([values] if single else _at_most(values, _MOST_INTEGERS, name))]
    for number in found:
        if minimum is not None and number < minimum:
            raise ValueError(f"{name}: expected {minimum} or more, found {number}")
    return found


def token_ids(values: Any, name: str = "tokens") -> list[int]:
    """A row of token ids: integers in a sequence, or an array or tensor of one dimension."""
    if isinstance(values, str | bytes | bytearray | memoryview | Mapping | Set) or not isinstance(values, Iterable):
        raise TypeError(f"{name}: expected a sequence of token ids, found {type(values).__name__}")
    if hasattr(values, "__array__"):
        array = np.asarray(values)
        if array.ndim != 1:
            raise ValueError(f"{name}: expected one row of token ids, found an array of shape {list(array.shape)}")
        if array.size and array.dtype.kind not in "iu":
            raise TypeError(f"{name}: expected integers, found an array of {array.dtype}")
        return [int(token) for token in array]
    return [integer(token, name) for token in _at_most(values, _MOST_TOKENS, name)]


def names(values: Iterable[str] | str, name: str) -> list[str]:
    """Several names, or one."""
    if isinstance(values, bytes | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"{name}: expected names, found {type(values).__name__}")
    return [values] if isinstance(values, str) else list(values)


def edited(name: str, value: np.ndarray[Any, Any], changed: Any) -> None:
    """Puts what an edit returned in the value's place. Nothing is stretched, cut or rounded to fit."""
    array = np.asarray(changed)
    if array.shape != value.shape:
        raise ValueError(
            f"{name}: the edit returned an array of shape {list(array.shape)}; expected {list(value.shape)}, the value's own"
        )
    if array.dtype.kind not in "iuf" or not np.can_cast(array.dtype, value.dtype, "same_kind"):
        raise TypeError(f"{name}: the edit returned an array of {array.dtype}; expected {value.dtype}")
    value[...] = array
