"""Traces written from arrays: what a reader of other programs' records hands over, document by document.

n tokens of a document · L layers that have a router · K experts per token · E experts.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from moescope import _moescope
from moescope.cards import Card

#: Rows of a shard, as a run packs them, and the most bytes of one.
_SHARD_ROWS: Final = 8192
_SHARD_BYTES: Final = 1 << 27

#: What a record may lack, in the manifest's order.
_OMISSIBLE: Final = ("token", "logprob", "expert_weights")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder that gets its name when all is written into it; nothing is left of it where that fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        staged.chmod(0o755)
        yield staged
        os.replace(staged, target)
    except BaseException:
        rmtree(staged, ignore_errors=True)
        raise


class RecordError(ValueError):
    """A record that cannot be read: the message names file, place, what was expected and what was found, in one line."""

    def __init__(self, message: str) -> None:
        # What was found may hold anything; a terminal gets no control characters from it.
        super().__init__("".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in message))


@dataclass
class Document:
    """One document of a record. None: the record does not have it."""

    id: str
    #: [n, L, K], in the order of the card's layers with a router.
    experts: NDArray[Any]
    #: Where it comes from, for errors: "requests.jsonl, line 3".
    place: str
    group: str = ""
    #: [n]
    token: NDArray[Any] | None = None
    #: [n]; what stands in the first row is not looked at.
    logprob: NDArray[Any] | None = None
    #: [n, L, K]
    weights: NDArray[Any] | None = None
    #: [n, L, E]
    logits: NDArray[Any] | None = None
    #: [n]; most probable next token, -1 in the last row.
    predicted: NDArray[Any] | None = None
    #: Whether each token's experts come by falling weight, where there are no weights to tell.
    ordered: bool = False
    #: parallel_id, cluster, prompt_tokens, truncated, text_sha256, as `documents.jsonl` has them.
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[bool, ...]:
        """Which of token, logprob, weights and logits there are, and whether the order of experts is known."""
        has = [value is not None for value in (self.token, self.logprob, self.weights, self.logits)]
        return (*has, self.weights is not None or self.ordered)


class TraceWriter:
    """Writes a trace; it gets its name when `commit` has read it back, and before that nothing is at its place.

        with TraceWriter("traces/theirs", card, provenance="vllm") as writer:
            for document in documents:
                writer.add(document)
            writer.commit(source="requests.jsonl", sha256=..., sources=[...])
    """

    def __init__(
        self, output: str | PathLike[str], card: Card, format: str | None, manifest: Mapping[str, Any] | None = None
    ) -> None:
        """manifest: fields that differ from those of an imported record, for a trace that comes back from an export."""
        self._output = fspath(output)
        self._card = card
        self._format = format
        self._fields = dict(manifest or {})
        self._writer: Any = None
        self._parts: tuple[bool, ...] | None = None
        self._first = ""
        self._pending: list[Document] = []
        self._rows = 0
        self._limit = _SHARD_ROWS
        self._vocabulary: str | None = None
        self.documents = 0
        self.tokens = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.abandon()

    def vocabulary(self, text: str) -> None:
        """vocabulary.json, to be called before the first document."""
        self._vocabulary = text

    def add(self, document: Document) -> None:
        """Checks a document against the card and those before it, and writes a shard now and then."""
        _check(document, self._card)
        if self._parts is None:
            self._parts, self._first = document.parts, document.place
            self._open(document)
        elif document.parts != self._parts:
            names = ("token ids", "log-probabilities", "weights", "router logits", "the order of experts")
            name, here = next(
                (name, here)
                for name, here, there in zip(names, document.parts, self._parts, strict=True)
                if here != there
            )
            word = "has" if here else "does not have"
            raise RecordError(
                f"{document.place}: the document {word} {name}, unlike {self._first}; import them as two traces"
            )
        if self._rows + len(document.experts) > self._limit:
            self._flush()
        self._pending.append(document)
        self._rows += len(document.experts)

    def commit(self, *, source: str, sha256: str, provenance: Mapping[str, Any] | None) -> None:
        """Completes the trace, reads it back and gives it its name.

        source, sha256: what the corpus is called, and the hash of the files that it was read from.
        """
        if self._writer is None:
            raise RecordError(f"{source}: the record holds no document")
        self._flush()
        self._writer.commit(source, sha256, None if provenance is None else json.dumps(provenance))
        self._writer = None

    def _open(self, document: Document) -> None:
        has_token, has_logprob, has_weights, has_logits, is_ordered = document.parts
        absent = [name for name, there in zip(_OMISSIBLE, (has_token, has_logprob, has_weights), strict=True) if not there]
        if not is_ordered:
            absent.append("choice_order")
        logits = document.logits
        capture: dict[str, Any] = {
            "layers": self._card.layers_captured,
            "attention_summary": False,
            "attention_pattern": [],
        }
        if logits is not None:
            capture["router_logits"] = "f16" if logits.dtype == np.float16 else "f32"
        if document.predicted is not None:
            capture["predicted"] = True
        if absent:
            capture["absent"] = absent
        manifest = {
            "format": "moescope-trace",
            "version": 2,
            "status": "partial",
            "model": self._card.fields,
            "tokenizer": {"kind": "none", "sha256": ""},
            "capture": capture,
            "interventions": [],
            "compute": {"precision": "unknown", "isa": "unknown", "threads": 0, "version": _moescope.version},
            "corpus": {"source": "", "sha256": "", "documents": 0, "tokens": 0, "groups": {}},
            "shards": [],
            "created": "",
            "updated": "",
            **self._fields,
        }
        manifest["capture"] = {**manifest["capture"], **capture}
        row = 12 + document.experts[0].size * 6 + (0 if logits is None else logits[0].nbytes)
        self._limit = max(1, min(_SHARD_ROWS, _SHARD_BYTES // row))
        self._writer = _moescope.write_trace(self._output, json.dumps(manifest))
        if self._vocabulary is not None:
            self._writer.vocabulary(self._vocabulary)

    def _flush(self) -> None:
        if not self._pending:
            return
        documents = self._pending
        lines = [_line(document, self.documents + place) for place, document in enumerate(documents)]
        experts = self._card.experts
        index = np.uint8 if experts < 256 else np.uint16
        columns: list[tuple[str, Any]] = []

        def layers(name: str, kind: Any) -> NDArray[Any]:
            """[L, n, …] of all documents, from their [n, L, …]."""
            values = np.concatenate([getattr(document, name) for document in documents])
            return np.ascontiguousarray(values.swapaxes(0, 1), dtype=kind)

        columns.append(("expert_indices", layers("experts", index)))
        first = documents[0]
        if first.weights is not None:
            columns.append(("expert_weights", layers("weights", np.float32)))
        if first.logits is not None:
            half = first.logits.dtype == np.float16
            columns.append(("router_logits", layers("logits", np.float16 if half else np.float32)))
        if first.token is not None:
            columns.append(("token", np.concatenate([_rows(document.token) for document in documents]).astype(np.int32)))
        if first.predicted is not None:
            values = np.concatenate([_rows(document.predicted) for document in documents])
            columns.append(("predicted", values.astype(np.int32)))
        if first.logprob is not None:
            parts = [np.array(document.logprob, dtype=np.float32) for document in documents]
            for part in parts:
                part[0] = np.nan
            columns.append(("logprob", np.concatenate(parts)))
        self._writer.append(json.dumps(lines), columns)
        self.documents += len(documents)
        self.tokens += self._rows
        self._pending, self._rows = [], 0


def _rows(values: NDArray[Any] | None) -> NDArray[Any]:
    return np.empty(0) if values is None else values


def _line(document: Document, index: int) -> dict[str, Any]:
    """A line of documents.jsonl. The hash of a text that nobody has is that of its token ids; without these, empty."""
    tokens = document.token
    digest = "" if tokens is None else hashlib.sha256(np.ascontiguousarray(tokens, dtype="<i4").tobytes()).hexdigest()
    line = {
        "index": index,
        "id": document.id,
        "group": document.group,
        "text_sha256": digest,
        "tokens": len(document.experts),
        "truncated": False,
        "shard": 0,
        "first_row": 0,
        "parallel_id": None,
    }
    return line | document.fields


def _check(document: Document, card: Card) -> None:
    """Raises RecordError for a shape that contradicts the card, and for values that cannot be."""
    place, experts = document.place, document.experts
    expected = (len(card.expert_layers), card.experts_per_token)
    if experts.ndim != 3 or experts.shape[1:] != expected or not len(experts):
        raise RecordError(
            f"{place}: expected experts [tokens, {expected[0]}, {expected[1]}], as the card {card.path} says, "
            f"found {list(experts.shape)}"
        )
    n = len(experts)
    if experts.dtype.kind not in "iu":
        raise RecordError(f"{place}: expected experts as integers, found {experts.dtype}")

    def where(mask: NDArray[np.bool_]) -> str:
        row, layer = (int(number) for number in np.argwhere(mask)[0][:2])
        return f"{place}: token {row}, layer {card.expert_layers[layer]}"

    # One past the last stands for a slot that an intervention left empty, which no other program has.
    outside = (experts < 0) | (experts >= card.experts + (1 if card.allows_empty_slots else 0))
    if outside.any():
        value = int(experts[outside][0])
        raise RecordError(f"{where(outside)}: expected an expert from 0 to {card.experts - 1}, found {value}")
    if card.experts_per_token > 1 and not card.allows_empty_slots:
        ordered = np.sort(experts, axis=2)
        twice = (ordered[:, :, 1:] == ordered[:, :, :-1]).any(axis=2)
        if twice.any():
            raise RecordError(
                f"{where(twice)}: an expert is there twice; expected {card.experts_per_token} different ones "
                "(a row that was not recorded, as of tokens that a cache answered?)"
            )
    shapes = {
        "token": (document.token, (n,)),
        "logprob": (document.logprob, (n,)),
        "weights": (document.weights, experts.shape),
        "logits": (document.logits, (n, expected[0], card.experts)),
    }
    for name, (values, shape) in shapes.items():
        if values is None:
            continue
        kinds, wanted = ("iu", "token ids as integers") if name == "token" else ("iuf", f"{name} as numbers")
        if values.dtype.kind not in kinds:
            raise RecordError(f"{place}: expected {wanted}, found {values.dtype}")
        if values.shape != shape:
            raise RecordError(f"{place}: expected {name} {list(shape)}, found {list(values.shape)}")
    vocabulary = card.fields.get("vocab_size", 0)
    if document.token is not None:
        if not vocabulary:
            raise RecordError(f"{card.path}: expected vocab_size, as the record has token ids, found none")
        bad = (document.token < 0) | (document.token >= vocabulary)
        if bad.any():
            row = int(np.argmax(bad))
            raise RecordError(
                f"{place}: token {row}: expected an id from 0 to {vocabulary - 1}, found {int(document.token[row])}"
            )
    if document.logprob is not None and n > 1 and not (document.logprob[1:] <= 0).all():
        row = 1 + int(np.argmax(~(document.logprob[1:] <= 0)))
        raise RecordError(f"{place}: token {row}: expected a log-probability, 0 or less, found {document.logprob[row]}")
    if document.weights is not None:
        if not np.isfinite(document.weights).all():
            raise RecordError(f"{where(~np.isfinite(document.weights).all(axis=2))}: expected weights that are numbers")
        if not card.allows_empty_slots and not document.ordered:
            order = np.argsort(-document.weights, axis=2, kind="stable")
            document.weights = np.take_along_axis(document.weights, order, axis=2)
            document.experts = np.take_along_axis(document.experts, order, axis=2)
