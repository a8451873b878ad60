"""Corpora as researchers hold them: files, texts, mappings, data frames, data sets."""

from __future__ import annotations

import difflib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Final

from moescope import _arguments, _moescope

if TYPE_CHECKING:
    from moescope.model import Model

#: What `moescope.trace` and `moescope.experiment` read; see `moescope.trace`.
Corpus = str | PathLike[str] | Iterable[Any] | Mapping[str, Sequence[Any]]

_FIELDS: Final = ("text", "tokens", "id", "group", "parallel_id", "cluster")
#: JSON of this length goes to the engine at once.
_BATCH_CHARACTERS: Final = 1 << 18
#: Columns that often hold what a group is.
_GROUP_LIKE: Final = _moescope.group_like_fields.split()


def source(
    model: Model,
    corpus: Corpus,
    *,
    text: str | None = None,
    group: str | None = None,
    id: str | None = None,
    max_tokens: int | None = None,
) -> tuple[str | None, _moescope.Corpus | None]:
    """A corpus as the engine takes it: a path; or documents, tokenized as they come, whose texts are not kept."""
    chosen = {"text": text, "group": group, "id": id}
    if not isinstance(corpus, str | PathLike):
        found = documents(corpus, text=text, group=group, id=id)
    else:
        from moescope import corpus_files

        if fspath(corpus) == "-" or not corpus_files.is_readable(corpus):
            named = [name for name, column in chosen.items() if column is not None]
            if named:
                raise TypeError(
                    f"{named[0]}: a file's fields are named text, id and group; read the file with pandas or json to choose others"
                )
            return fspath(corpus), None
        found = corpus_files.read(corpus, text=text, group=group, id=id)
    tokenized = _moescope.corpus(model._native, max_tokens)
    lines: list[str] = []
    size = 0
    for document in found:
        lines.append(json.dumps(document))
        size += len(lines[-1])
        if size > _BATCH_CHARACTERS:
            tokenized.append(f"[{','.join(lines)}]")
            lines, size = [], 0
    if lines:
        tokenized.append(f"[{','.join(lines)}]")
    return None, tokenized


def documents(
    corpus: Any, *, text: str | None = None, group: str | None = None, id: str | None = None
) -> Iterator[dict[str, Any]]:
    """The documents of a corpus that is no path, one after the other, as the engine's JSON has them.

    text, group, id: the columns that hold them, where they have other names.
    """
    return _documents(_rows(corpus), {"text": text, "group": group, "id": id})


def _rows(corpus: Any) -> Iterator[Any]:
    """The corpus, document by document: texts or mappings."""
    if isinstance(corpus, bytes | bytearray):
        raise TypeError(f"corpus: expected texts, mappings or a data frame, found {type(corpus).__name__}")
    if hasattr(corpus, "collect") and hasattr(corpus, "collect_schema"):
        raise TypeError("corpus: a lazy frame has no rows yet; give corpus.collect()")
    if hasattr(corpus, "itertuples"):  # pandas
        columns = {str(name): corpus[name].astype(object).where(corpus[name].notna(), None).tolist() for name in corpus.columns}
        return _from_columns(columns)
    if hasattr(corpus, "iter_rows"):  # Polars
        return iter(corpus.iter_rows(named=True))
    if hasattr(corpus, "to_pylist") and hasattr(corpus, "column_names"):  # a pyarrow Table or RecordBatch
        batches = corpus.to_batches() if hasattr(corpus, "to_batches") else [corpus]
        return (row for batch in batches for row in batch.to_pylist())
    if hasattr(corpus, "read_next_batch"):  # a pyarrow RecordBatchReader
        return (row for batch in corpus for row in batch.to_pylist())
    if isinstance(corpus, Mapping):
        return _from_mapping(corpus)
    if hasattr(corpus, "tolist"):  # a pandas Series, a NumPy array
        return iter(corpus.tolist())
    if not isinstance(corpus, Iterable):
        raise TypeError(f"corpus: expected texts, mappings or a data frame, found {type(corpus).__name__}")
    return iter(corpus)


def _from_mapping(corpus: Mapping[str, Any]) -> Iterator[Any]:
    values = list(corpus.values())
    if values and all(hasattr(value, "column_names") for value in values):
        raise TypeError(f"corpus: these are several data sets; choose one: corpus[{next(iter(corpus))!r}]")
    if not values or any(isinstance(value, str | bytes) or not isinstance(value, Iterable) for value in values):
        raise TypeError("corpus: a mapping of columns has a list for each name; a single document goes into a list: [corpus]")
    return _from_columns({str(name): list(value) for name, value in corpus.items()})


def _from_columns(columns: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"corpus: columns differ in length: {', '.join(f'{name} {count}' for name, count in lengths.items())}")
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _documents(rows: Iterable[Any], chosen: Mapping[str, str | None]) -> Iterator[dict[str, Any]]:
    """Documents as the engine's JSON has them.

    chosen: for "text", "group" and "id" the columns that hold them, where they were named.
    """
    columns: dict[str, str | None] = {}
    for number, row in enumerate(rows):
        place = f"corpus: document {number}"
        if _is_missing(row):
            raise ValueError(f"{place}: the text is missing; leave such rows out")
        if not isinstance(row, str | Mapping):
            raise TypeError(f"{place}: expected a text or a mapping, found {type(row).__name__}")
        if isinstance(row, str):
            named = next((name for name, column in chosen.items() if column is not None), None)
            if named is not None:
                raise TypeError(f"{named}: names a column, and {place.removeprefix('corpus: ')} is a text by itself")
            yield {"id": str(number), "group": "", "text": row}
            continue
        if not columns:
            columns = _columns(row, chosen)
        yield _document(row, columns, chosen, number, place)


def _document(
    row: Mapping[str, Any], columns: Mapping[str, str | None], chosen: Mapping[str, str | None], number: int, place: str
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, column in columns.items():
        if column is None or column not in row:
            # Mappings need not all have the same fields, but a column that was asked for is there.
            if chosen.get(field) is not None:
                raise ValueError(f"{place}: there is no {column!r}, which was named as {field}=")
            continue
        if _is_missing(row[column]):
            if field in ("parallel_id", "cluster"):
                continue
            raise ValueError(f"{place}: {column} is missing; fill it, or leave such rows out")
        found[field] = row[column]
    if "text" not in found and "tokens" not in found:
        raise ValueError(f"{place}: expected \"text\" or \"tokens\", found {', '.join(map(repr, row)) or 'nothing'}")
    document: dict[str, Any] = {"id": str(found.get("id", number)), "group": str(found.get("group", ""))}
    if "text" in found:
        if not isinstance(found["text"], str):
            raise TypeError(f"{place}: {columns['text']}: expected a str, found {type(found['text']).__name__}")
        document["text"] = str(found["text"])
    if "tokens" in found:
        document["tokens"] = _arguments.token_ids(found["tokens"])
    for name in ("parallel_id", "cluster"):
        if name in found:
            document[name] = _arguments.identifier(found[name], f"{place}: {name}")
    return document


def _columns(row: Mapping[str, Any], chosen: Mapping[str, str | None]) -> dict[str, str | None]:
    """For each field the column that holds it, decided on the first document.

    Raises ValueError where a named column, or any text, is not there. Warns of a column that looks like what is missing.
    """
    names = [str(name) for name in row]
    columns: dict[str, str | None] = {field: field for field in _FIELDS}
    for field, column in chosen.items():
        if column is None:
            continue
        if column not in names:
            near = difflib.get_close_matches(column, names, 1)
            raise ValueError(
                f"{field}: there is no column {column!r}; columns: {', '.join(names)}"
                + (f". Did you mean {near[0]!r}?" if near else "")
            )
        columns[field] = column
    if chosen.get("text") is not None:
        columns["tokens"] = None
    elif "text" not in names and "tokens" not in names:
        raise ValueError(f"corpus: there is no column \"text\" or \"tokens\"; columns: {', '.join(names)}. Name it with text=")
    used = {column for column in columns.values() if column in names}
    if columns["group"] not in names:
        like = next((name for name in names if name.lower() in _GROUP_LIKE and name not in used), None)
        if like is not None:
            warnings.warn(f"corpus: no groups are given; group={like!r} would compare documents by that column", stacklevel=5)
    for name in names:
        near = difflib.get_close_matches(name.lower(), [field for field in _FIELDS if columns[field] not in names], 1, 0.8)
        if name not in used and near:
            warnings.warn(f"corpus: {name!r} is not read; did you mean {near[0]!r}?", stacklevel=5)
    return columns


def _is_missing(value: Any) -> bool:
    """None, NaN, pandas' NA and NaT: the last are told by their types' names, as pandas may not be there."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or isinstance(value, float) and value != value
