"""What a pass changes: edits by Python functions and declared interventions, for all documents or for each its own."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final

import numpy as np

from moescope import _arguments, _moescope
from moescope.interventions import Intervention, to_json
from moescope.runs import Hook, layer_of

Edit = Callable[[Any], Any] | Callable[[Any, Hook], Any]
#: For all documents a mapping from hook points to functions; or a mapping for each document (None: none).
Edits = Mapping[str, Edit] | Iterable[Mapping[str, Edit] | None]
#: For all documents; or, where one of them is a list or None, for each document its own.
Interventions = Intervention | Iterable[Intervention | Sequence[Intervention] | None]

#: What stands for the groups, edits or interventions that are not there.
_END: Final = object()
#: Tokens of one batch, where nobody says otherwise.
BATCH_TOKENS: Final = 8192

_Callback = Callable[[_moescope.Array, str, int | None], None]


@dataclass(frozen=True)
class Document:
    """One document on its way to the engine."""

    #: Its place among the texts.
    number: int
    tokens: list[int]
    group: str
    #: Its own edits and interventions; those for all are elsewhere.
    edits: Mapping[str, Edit]
    interventions: Sequence[Intervention]


def described(
    texts: Iterable[list[int]],
    groups: Iterable[str] | None,
    edits: Iterable[Mapping[str, Edit] | None] | None,
    interventions: Iterable[Sequence[Intervention]] | None,
) -> Iterator[Document]:
    """Documents with what is their own. Raises ValueError where there are fewer groups, edits or interventions than texts."""
    others = {"groups": groups, "edit": edits, "interventions": interventions}
    nothing: dict[str, Any] = {"groups": "", "edit": None, "interventions": ()}
    columns = [
        repeat(nothing[name]) if values is None else chain(values, repeat(_END)) for name, values in others.items()
    ]
    for number, (tokens, *own) in enumerate(zip(texts, *columns, strict=False)):
        for name, value in zip(others, own, strict=True):
            if value is _END:
                raise ValueError(f"{name}: expected one per document, found {number} for more documents")
        group, edit, changes = own
        yield Document(number, tokens, group, edit or {}, changes)


def batches(documents: Iterable[Document], most: int) -> Iterator[list[Document]]:
    """Consecutive documents of at most `most` tokens together, at least one document each. Takes no more than it gives and one."""
    batch: list[Document] = []
    rows = 0
    for document in documents:
        if batch and rows + len(document.tokens) > most:
            yield batch
            batch, rows = [], 0
        batch.append(document)
        rows += len(document.tokens)
    if batch:
        yield batch


def split_edits(edit: Edits | None) -> tuple[Mapping[str, Edit], Iterable[Mapping[str, Edit] | None] | None]:
    """Edits for all documents, and those for each."""
    if edit is None or isinstance(edit, Mapping):
        return edit or {}, None
    return {}, edit


def split_interventions(
    interventions: Interventions,
) -> tuple[Sequence[Intervention], Sequence[Sequence[Intervention]] | None]:
    """Interventions for all documents, and those for each."""
    if isinstance(interventions, Intervention):
        return [interventions], None
    given = list(interventions)
    if not any(value is None or isinstance(value, Sequence) for value in given):
        to_json(given)  # type: ignore[arg-type] # refuses what is no intervention
        return given, None  # type: ignore[return-value]
    own = [[] if value is None else [value] if isinstance(value, Intervention) else list(value) for value in given]
    for changes in own:
        to_json(changes)
    return [], own


def callbacks(batch: Sequence[Document], shared: Mapping[str, Edit]) -> list[tuple[str, _Callback]]:
    """The engine's callbacks for a batch: what functions return, if anything, replaces the value."""
    made = [(name, _whole(function, batch)) for name, function in shared.items()]
    names = dict.fromkeys(name for document in batch for name in document.edits)
    return made + [(name, _each(name, batch)) for name in names]


def scoped(batch: Sequence[Document], shared: Sequence[Intervention]) -> tuple[str, list[str]]:
    """A batch's interventions as JSON, and its documents' groups. Where documents have interventions of their own, each is a
    group by itself, and interventions name the documents they are for."""
    if not any(document.interventions for document in batch):
        return to_json(shared), [document.group for document in batch]
    places: dict[tuple[int, str], list[str]] = {}
    for document in batch:
        for place, change in enumerate([*shared, *document.interventions]):
            fields = dict(change.fields)
            if "groups" not in fields or document.group in fields.pop("groups"):
                # By place in the list first: the order within a document stays.
                places.setdefault((place, json.dumps(fields)), []).append(str(document.number))
    ordered = sorted(places.items(), key=lambda item: item[0][0])
    changes = [{**json.loads(fields), "groups": documents} for (_, fields), documents in ordered]
    return json.dumps(changes), [str(document.number) for document in batch]


def _whole(function: Edit, batch: Sequence[Document]) -> _Callback:
    """A function for the values of all documents."""
    takes_hook = _required_parameters(function) >= 2
    rows = _rows(batch)

    def edit(array: _moescope.Array, name: str, document: int | None) -> None:
        value = np.asarray(array)
        if document is None:
            hook = Hook(name, layer_of(name), None, rows)
        else:
            hook = Hook(name, layer_of(name), batch[document].number)
        _apply(function, takes_hook, value, hook)

    return edit


def _each(name: str, batch: Sequence[Document]) -> _Callback:
    """The documents' own functions under a name."""
    rows = _rows(batch)
    functions = {
        place: (document, document.edits[name], _required_parameters(document.edits[name]) >= 2)
        for place, document in enumerate(batch)
        if name in document.edits
    }

    def edit(array: _moescope.Array, point: str, document: int | None) -> None:
        value = np.asarray(array)
        for place, (owner, function, takes_hook) in functions.items():
            if document is None or document == place:
                part = value[rows[owner.number]] if document is None else value
                _apply(function, takes_hook, part, Hook(point, layer_of(point), owner.number))

    return edit


def _apply(function: Edit, takes_hook: bool, value: np.ndarray[Any, Any], hook: Hook) -> None:
    arguments = (value, hook) if takes_hook else (value,)
    changed = function(*arguments)
    if changed is not None and changed is not value:
        _arguments.edited(hook.name, value, changed)


def _rows(batch: Sequence[Document]) -> dict[int, slice]:
    """Each document's rows in its batch."""
    rows, first = {}, 0
    for document in batch:
        rows[document.number] = slice(first, first + len(document.tokens))
        first += len(document.tokens)
    return rows


def _required_parameters(function: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1  # built in C, without a signature
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(1 for p in parameters if p.kind in positional and p.default is inspect.Parameter.empty)
