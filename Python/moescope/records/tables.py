"""Parquet: an export of ours made a trace again, and the same layout for anyone else.

Anyone else's layout: a file, or a folder of files, with the columns `document` (integer or text), `position` (from 0), `layer` (the model's number)
and `experts` (a list of K integers); optionally `weights` (a list of K), `logits` (a list of E), and `group`. Rows of a document follow one
another: by layer, then position, or by position, then layer. `token` and `logprob` may be there too, the same in each layer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from moescope._optional import require_pyarrow
from moescope.cards import Card
from moescope.traces import Trace, open_trace
from moescope.writing import Document, RecordError, TraceWriter

_NEEDED: Final = ("document", "position", "layer", "experts")
#: Rows read at a time.
_BATCH: Final = 1 << 17


def read(file: Path, card: Card) -> Iterator[Document]:
    """Documents of a table in anyone's Parquet files, in the order in which they are there."""
    dataset = _dataset(file)
    names = dataset.schema.names
    _check_columns(file, names, _NEEDED)
    wanted = [*_NEEDED, *(name for name in ("weights", "logits", "group", "token", "logprob") if name in names)]
    for key, rows in _documents(_rows(dataset, wanted)):
        yield _assembled(key, rows, card, f"{file}, document {key}")


def is_export(paths: Sequence[str | PathLike[str]]) -> bool:
    """Whether it is a folder that `moescope export` wrote."""
    return len(paths) == 1 and (Path(fspath(paths[0])) / "trace.json").is_file()


def restore(paths: Sequence[str | PathLike[str]], output: str | PathLike[str]) -> Trace:
    """The trace that was exported, document by document in its order; what was not exported is not captured."""
    folder = Path(fspath(paths[0]))
    require_pyarrow("reading Parquet")
    from pyarrow import parquet  # type: ignore[import-untyped, unused-ignore]

    try:
        summary = json.loads((folder / "trace.json").read_text(encoding="utf-8"))
        manifest = summary["manifest"]
        model = manifest["model"]
        capture = dict(manifest["capture"])
        corpus = {name: manifest["corpus"][name] for name in ("source", "sha256", "documents")}
        card = Card(
            str(folder / "trace.json"),
            {**model, "experts_per_token": capture.get("experts_per_token") or model["experts_per_token"]},
            captured=tuple(int(layer) for layer in capture["layers"]),
            allows_empty_slots=bool(manifest["interventions"]),
        )
        layers = len(card.expert_layers)
        _ = (card.layers, card.experts, card.experts_per_token)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise RecordError(f"{folder / 'trace.json'}: expected what `moescope export` wrote: {error}") from None
    for name in ("documents.parquet", "tokens", "routing"):
        if not (folder / name).exists():
            raise RecordError(f"{folder / name}: it is missing; export the tables documents, tokens and routing")
    listed = parquet.read_table(folder / "documents.parquet")
    _check_columns(folder / "documents.parquet", listed.schema.names, ("index", "id", "group", "tokens"))
    for field in listed.schema:
        if str(field.type) not in ("string", "large_string", "null", "bool", "int64", "int32"):
            raise RecordError(f"{folder / 'documents.parquet'}: {field.name}: expected texts or integers, found {field.type}")
    lines = listed.to_pylist()
    for name in ("attention_summary", "attention_pattern", "speculative", "predicted", "columns", "router_logits", "absent"):
        capture.pop(name, None)
    kept = ("tokenizer", "interventions", "compute", "generation")
    fields = {name: manifest[name] for name in kept if manifest.get(name) is not None}
    # The model as it was: an intervention's K is the capture's.
    fields["model"] = model
    fields["capture"] = capture
    whole = len(lines) == corpus["documents"]
    with TraceWriter(output, card, None, fields) as writer:
        if summary.get("vocabulary") is not None:
            writer.vocabulary(json.dumps(summary["vocabulary"]))
        sizes = {line["index"]: line["tokens"] for line in lines}
        tokens = _by_document(_files(folder / "tokens"), ["token", "logprob", "predicted"], sizes)
        routing = _by_document(
            _files(folder / "routing"),
            ["layer", "experts", "weights", "logits"],
            {index: length * layers for index, length in sizes.items()},
        )
        for line in lines:
            index = line.pop("index")
            place = f"{folder}, document {index}"
            document = _assembled(line.pop("id"), routing(index), card, place)
            row = tokens(index)
            document.token = row.get("token")
            document.logprob = row.get("logprob")
            document.predicted = row.get("predicted")
            document.group = line.pop("group") or ""
            if document.weights is None:
                document.ordered = "choice_order" not in manifest["capture"].get("absent", [])
            document.fields = {key: value for key, value in line.items() if value is not None and key != "tokens"}
            # Written as it is: the order of equal weights is the model's.
            document.ordered = document.ordered or document.weights is not None
            writer.add(document)
        provenance = manifest.get("provenance")
        if not whole:
            source = {"name": folder.name, "documents": len(lines), "tokens": writer.tokens}
            provenance = {"kind": "subset", "sources": [source]}
        writer.commit(source=corpus["source"], sha256=corpus["sha256"], provenance=provenance)
    return open_trace(output)


def _check_columns(file: Path, names: Sequence[str], needed: Sequence[str]) -> None:
    for name in needed:
        if name not in names:
            raise RecordError(f"{file}: expected the column {name}, found {', '.join(names)}")


def _dataset(path: Path) -> Any:
    require_pyarrow("reading Parquet")
    import pyarrow as pa
    from pyarrow import dataset

    try:
        return dataset.dataset(path, format="parquet", partitioning="hive")
    except (pa.ArrowException, OSError) as error:
        raise RecordError(f"{path}: expected Parquet: {str(error).splitlines()[0]}") from None


def _rows(dataset: Any, columns: list[str]) -> Iterator[dict[str, Any]]:
    for batch in dataset.to_batches(columns=columns, batch_size=_BATCH, batch_readahead=1, fragment_readahead=1):
        if len(batch):
            yield {name: _values(batch.column(name)) for name in columns}


def _values(column: Any) -> NDArray[Any]:
    """A column as an array; lists of one length as [rows, length]."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_fixed_size_list(column.type):
        return np.asarray(column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size))
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lengths = np.unique(column.value_lengths().to_numpy(zero_copy_only=False))
        if len(lengths) != 1:
            raise RecordError(f"expected lists of one length, found {lengths.tolist()[:4]}")
        return np.asarray(column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), int(lengths[0])))
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _documents(rows: Iterator[dict[str, Any]]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Runs of rows of one document, across batches."""
    key: Any = None
    held: list[dict[str, Any]] = []
    for batch in rows:
        documents = batch["document"]
        edges = [0, *(np.flatnonzero(documents[1:] != documents[:-1]) + 1).tolist(), len(documents)]
        for start, end in zip(edges, edges[1:], strict=False):
            if held and documents[start] != key:
                yield key, _joined(held)
                held = []
            key = documents[start]
            held.append({name: values[start:end] for name, values in batch.items()})
    if held:
        yield key, _joined(held)


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _assembled(key: Any, rows: dict[str, Any], card: Card, place: str) -> Document:
    """A document from its rows, whichever of layer and position runs first."""
    _check_columns(Path(place), list(rows), ("layer", "position", "experts"))
    layers, positions = rows["layer"], rows["position"]
    for name in ("layer", "position"):
        if rows[name].dtype.kind not in "iu":
            raise RecordError(f"{place}: {name}: expected integers, found {rows[name].dtype}")
    expected = np.array(card.expert_layers)
    n = int(positions.max()) + 1
    order = np.lexsort((layers, positions))
    if len(layers) != n * len(expected) or not (
        (positions[order].reshape(n, -1) == np.arange(n)[:, None]).all() and (layers[order].reshape(n, -1) == expected).all()
    ):
        raise RecordError(
            f"{place}: expected one row for each of {n} positions in each of the layers {expected.tolist()} of the card {card.path}, "
            f"found {len(layers)} rows (do the rows of a document follow one another?)"
        )

    def shaped(name: str) -> Any:
        values = rows.get(name)
        return None if values is None else values[order].reshape(n, len(expected), *values.shape[1:])

    experts = shaped("experts")
    group = rows["group"][0] if "group" in rows else None
    first = order.reshape(n, len(expected))[:, 0]
    return Document(
        id=str(key),
        experts=experts,
        place=place,
        group="" if group is None else str(group),
        token=rows["token"][first] if "token" in rows else None,
        logprob=rows["logprob"][first] if "logprob" in rows else None,
        weights=shaped("weights"),
        logits=shaped("logits"),
    )


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def _by_document(files: list[Path], columns: list[str], sizes: Mapping[int, int]) -> Callable[[int], dict[str, Any]]:
    """Rows of a document by its index. Every file is read forward once, as far as a document needs it.

    sizes: the rows of each document.
    """
    from pyarrow import parquet

    owner: dict[int, int] = {}
    readers: list[Iterator[tuple[int, dict[str, Any]]]] = []

    def batches(file: Any, wanted: list[str]) -> Iterator[dict[str, Any]]:
        for batch in file.iter_batches(_BATCH, columns=wanted):
            yield {name: _values(batch.column(name)) for name in wanted}

    for place, path in enumerate(files):
        file = parquet.ParquetFile(path)
        _check_columns(path, file.schema_arrow.names, ("document", "position"))
        for batch in file.iter_batches(1 << 20, columns=["document"]):
            for index in np.unique(batch.column(0).to_numpy()).tolist():
                owner[index] = place
        wanted = ["document", "position", *(name for name in columns if name in file.schema_arrow.names)]
        readers.append(_grouped(batches(file, wanted), sizes, path))
    held: dict[int, dict[str, Any]] = {}

    def rows(index: int) -> dict[str, Any]:
        while index not in held:
            found = next(readers[owner[index]], None) if index in owner else None
            if found is None:
                raise RecordError(f"document {index}: expected {sizes[index]} rows, found fewer")
            held[found[0]] = found[1]
        return held.pop(index)

    return rows


def _grouped(
    batches: Iterator[dict[str, Any]], sizes: Mapping[int, int], file: Path
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Documents as soon as all their rows are there: those of routing come layer by layer for several documents at a time."""
    parts: dict[int, list[dict[str, Any]]] = {}
    counts: dict[int, int] = {}
    for batch in batches:
        documents = batch["document"]
        edges = [0, *(np.flatnonzero(documents[1:] != documents[:-1]) + 1).tolist(), len(documents)]
        for start, end in zip(edges, edges[1:], strict=False):
            index = int(documents[start])
            parts.setdefault(index, []).append({name: values[start:end] for name, values in batch.items()})
            counts[index] = counts.get(index, 0) + end - start
            if counts[index] > sizes.get(index, 0):
                raise RecordError(f"{file}: document {index}: expected {sizes.get(index, 0)} rows, found more")
            if counts[index] == sizes[index]:
                yield index, _joined(parts.pop(index))
