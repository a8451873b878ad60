"""The plain layout for anyone else: NumPy archives.

An .npz file is one document, or several with `lengths` [documents] (int), whose rows follow one another:

* experts [n, L, K], integers; L are the layers with a router of the card, or all layers of the model
* weights [n, L, K] and logits [n, L, E], float32 or float16: as the model applied them, and before the score function
* token [n], integers; logprob [n], natural logs, what stands in a document's first row is not looked at
* id, group: one text, or one for each document; parallel_id, cluster: the same

Only `experts` must be there; what is not there is absent from the trace.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from moescope.cards import Card
from moescope.records.reading import archive, in_layers
from moescope.traces import Trace
from moescope.writing import Document, RecordError

_COLUMNS: Final = ("experts", "weights", "logits", "token", "logprob")
_TEXTS: Final = ("id", "group", "parallel_id", "cluster")


def read(file: Path, card: Card) -> Iterator[Document]:
    arrays = archive(file)
    if "experts" not in arrays:
        raise RecordError(f"{file}: expected experts, found {', '.join(arrays) or 'nothing'}")
    unknown = set(arrays) - {*_COLUMNS, *_TEXTS, "lengths"}
    if unknown:
        raise RecordError(
            f"{file}: {sorted(unknown)[0]}: expected {', '.join((*_COLUMNS, *_TEXTS, 'lengths'))}; take other arrays out"
        )
    experts = arrays["experts"]
    if experts.ndim != 3:
        raise RecordError(f"{file}: expected experts [tokens, layers, {card.experts_per_token}], found {list(experts.shape)}")
    n = len(experts)
    for name in _COLUMNS[1:]:
        if name in arrays and (not arrays[name].ndim or len(arrays[name]) != n):
            raise RecordError(f"{file}: {name}: expected {n} rows, as experts has, found {list(arrays[name].shape)}")
    for name in ("experts", "weights", "logits"):
        if name in arrays and arrays[name].ndim == 3:
            arrays[name] = in_layers(arrays[name], card, str(file), name)
    lengths = arrays.get("lengths", np.array([n]))
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 1).any() or int(lengths.sum()) != n:
        raise RecordError(f"{file}: lengths: expected integers, 1 or more, that add up to {n}, found {lengths.tolist()[:8]}")
    start = 0
    for number, length in enumerate(lengths.tolist()):
        rows = slice(start, start + length)
        texts = {name: _text(arrays.get(name), number, len(lengths), file, name) for name in _TEXTS}
        default = file.stem if len(lengths) == 1 else f"{file.stem}-{number}"
        yield Document(
            id=texts["id"] or default,
            group=texts["group"] or "",
            experts=arrays["experts"][rows],
            place=f"{file}, document {number}",
            token=_part(arrays.get("token"), rows),
            logprob=_part(arrays.get("logprob"), rows),
            weights=_part(arrays.get("weights"), rows),
            logits=_part(arrays.get("logits"), rows),
            fields={name: texts[name] for name in ("parallel_id", "cluster") if texts[name]},
        )
        start += length


def _part(values: Any, rows: slice) -> Any:
    return None if values is None else values[rows]


def _text(values: Any, number: int, count: int, file: Path, name: str) -> str | None:
    if values is None:
        return None
    if values.ndim == 0:
        return str(values)
    if values.shape != (count,):
        raise RecordError(f"{file}: {name}: expected one text, or {count}, found {list(values.shape)}")
    return str(values[number])


def arrays(trace: Trace, documents: list[int], *, logits: bool) -> dict[str, Any]:
    """Some documents of a trace in this layout, in the types of the trace."""
    picked = operator.itemgetter(*documents) if len(documents) > 1 else lambda values: (values[documents[0]],)
    table = trace.documents
    chosen = np.isin(trace.document, documents)
    capture = trace.manifest["capture"]
    absent = capture.get("absent", [])
    kind = np.uint8 if trace.manifest["model"]["experts"] < 256 else np.uint16
    found: dict[str, Any] = {
        "lengths": np.array(picked(table["tokens"])),
        "id": np.array(picked(table["id"]), dtype=np.str_),
        "group": np.array(picked(table["group"]), dtype=np.str_),
        "experts": np.stack([trace.expert_indices(layer)[chosen].astype(kind) for layer in trace.layers], axis=1),
    }
    for name in ("parallel_id", "cluster"):
        if any(value is not None for value in picked(table[name])):
            found[name] = np.array([value or "" for value in picked(table[name])], dtype=np.str_)
    if "expert_weights" not in absent:
        found["weights"] = np.stack([trace.expert_weights(layer)[chosen] for layer in trace.layers], axis=1)
    if "token" not in absent:
        found["token"] = trace.tokens[chosen]
    if "logprob" not in absent:
        found["logprob"] = trace.logprob[chosen]
    if logits:
        half = np.float16 if capture["router_logits"] == "f16" else np.float32
        found["logits"] = np.stack([trace.router_logits(layer)[chosen].astype(half) for layer in trace.layers], axis=1)
    return found
