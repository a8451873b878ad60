"""Traces as tables of other programs: `moescope export`, and `export` from Python.

Every table is written file by file from an Arrow stream of the engine: memory is that of one batch and one row group for each file that
is being written, whatever the trace's size.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np

from moescope import TraceError
from moescope._optional import require_pyarrow
from moescope.progress import put_line
from moescope.records import numpy_archives
from moescope.traces import Trace, open_trace
from moescope.writing import new_folder

FORMATS: Final = ("parquet", "arrow", "csv", "npz")
TABLES: Final = ("documents", "tokens", "routing", "load")

#: Rows of a Parquet row group: what a reader skips or reads at once.
_ROW_GROUP: Final = 1 << 20
#: Bytes that a thread gathers before it writes them.
_HELD_BYTES: Final = 1 << 26
#: Tokens in one file of tokens, and tokens times layers in one of routing, about: files are written side by side.
_FILE_ROWS: Final = 1 << 24
#: Bytes of a page of Parquet: long float columns are cut so that readers can skip.
_PAGE_BYTES: Final = 1 << 20
#: The group's folder where a document has none.
_UNGROUPED: Final = "__HIVE_DEFAULT_PARTITION__"


def export(
    trace: Trace,
    output: str | PathLike[str],
    *,
    format: str = "parquet",
    tables: Sequence[str] = TABLES,
    groups: Sequence[str] | None = None,
    logits: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Writes tables of a trace into the folder `output`, which must not be there.

    format: "parquet" (ZSTD, partitioned by group), "arrow" (IPC files), "csv" or "npz"; all but npz need pyarrow.
    tables: of "documents", "tokens" (one row for each token), "routing" (one row for each token and layer) and "load".
    groups: only documents of these groups.
    logits: router logits too, where the trace has them.
    threads: files written at a time; None: as many as processors.
    progress: called with the token-layers and tokens written, and all of them.

    Nothing is left of the folder where that fails.
    """
    if format not in FORMATS:
        raise ValueError(f"format: expected one of {', '.join(FORMATS)}, found {format!r}")
    for name in tables:
        if name not in TABLES:
            raise ValueError(f"tables: expected {', '.join(TABLES)}, found {name!r}")
    target = Path(fspath(output))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target}: something is there already; choose another folder")
    if logits and not trace.manifest["capture"].get("router_logits"):
        raise ValueError(f"logits: the trace {trace.path} has no router logits")
    for group in groups or ():
        if group not in trace.groups:
            raise ValueError(f"groups: the trace has no group {group!r}; it has {', '.join(trace.groups)}")
    if format != "npz":
        require_pyarrow(f"writing {format}")
    with new_folder(target) as staged:
        job = _Export(trace, staged, format, groups, logits, progress)
        job.run(tables, threads or os.cpu_count() or 1)
    return target


class _Export:
    def __init__(
        self,
        trace: Trace,
        folder: Path,
        format: str,
        groups: Sequence[str] | None,
        logits: bool,
        progress: Callable[[int, int], object] | None,
    ) -> None:
        self.trace = trace
        self.folder = folder
        self.format = format
        self.logits = logits
        self.progress = progress
        names = trace.documents["group"]
        wanted = set(names if groups is None else groups)
        #: Indices of the documents of each group.
        self.members: dict[str, list[int]] = {}
        for index, group in enumerate(names):
            if group in wanted:
                self.members.setdefault(group, []).append(index)
        self.lengths: list[int] = trace.documents["tokens"]
        self.done = 0
        self.total = sum(self.lengths[index] for documents in self.members.values() for index in documents)

    def run(self, tables: Sequence[str], threads: int) -> None:
        """Writes the small tables, then the large ones, so many files at a time."""
        self._summary()
        if "documents" in tables:
            self._small("documents", self._documents())
        if "load" in tables:
            self._small("load", self.trace.load())
        parts = [
            (name, group, number, documents)
            for name in ("tokens", "routing")
            if name in tables
            for group, members in sorted(self.members.items())
            for number, documents in enumerate(self._parts(name, members, threads))
        ]
        width = len(self.trace.layers)
        self.total *= ("tokens" in tables) + width * ("routing" in tables)
        with ThreadPoolExecutor(threads) as pool:
            # Long files first, so that no thread is left alone with one in the end.
            parts.sort(key=lambda part: -sum(self.lengths[index] for index in part[3]))
            jobs = [pool.submit(self._write, *part) for part in parts]
            try:
                for job in jobs:
                    job.result()
            except BaseException:
                for job in jobs:
                    job.cancel()
                raise

    def _parts(self, table: str, documents: list[int], threads: int) -> list[list[int]]:
        """Documents of one file each: as many as make a file large, but enough files for all threads."""
        layers = len(self.trace.layers) if table == "routing" else 1
        all_rows = sum(self.lengths[index] for index in documents) * layers
        spread = max(1, all_rows // max(1, threads))
        limit = min(_FILE_ROWS, max(_ROW_GROUP, spread if len(self.members) < threads else _FILE_ROWS))
        parts: list[list[int]] = [[]]
        rows = 0
        for index in documents:
            length = self.lengths[index] * layers
            if parts[-1] and rows + length > limit:
                parts.append([])
                rows = 0
            parts[-1].append(index)
            rows += length
        return parts

    def _summary(self) -> None:
        """trace.json: what the tables cannot hold, for whoever makes a trace of them again."""
        vocabulary = self.trace._native.vocabulary()
        content = {
            "format": "moescope-export",
            "version": 1,
            "manifest": self.trace.manifest,
            "documents": sum(len(members) for members in self.members.values()),
            "vocabulary": None if vocabulary is None else json.loads(vocabulary),
        }
        (self.folder / "trace.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    def _documents(self) -> dict[str, list[Any]]:
        keep = sorted(index for members in self.members.values() for index in members)
        rows = json.loads(self.trace._native.documents)
        names = ("index", "id", "group", "tokens", "truncated", "parallel_id", "cluster", "prompt_tokens", "text_sha256")
        return {name: [rows[index].get(name) for index in keep] for name in names}

    def _small(self, name: str, columns: Any) -> None:
        if self.format == "npz":
            names = columns.columns if hasattr(columns, "columns") else list(columns)
            arrays: dict[str, Any] = {key: _plain_array(columns[key]) for key in names}
            np.savez_compressed(self.folder / f"{name}.npz", **arrays)
            return
        import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]

        if isinstance(columns, dict):
            integers = ("index", "tokens", "prompt_tokens")
            types = {key: pa.int64() if key in integers else pa.bool_() if key == "truncated" else pa.string() for key in columns}
            table = pa.table({key: pa.array(values, types[key]) for key, values in columns.items()})
        else:
            table = pa.table(columns)
        with self._sink(name, self.folder / f"{name}.{self.format}", table.schema) as sink:
            sink.write_table(table) if self.format == "parquet" else sink.write(table)

    def _write(self, table: str, group: str, number: int, documents: list[int]) -> None:
        if self.format == "npz":
            return self._write_archive(table, group, number, documents)
        import pyarrow as pa

        partition = f"group={quote(group, safe=' ') if group else _UNGROUPED}"
        folder = self.folder / table / partition
        folder.mkdir(parents=True, exist_ok=True)
        reader = pa.RecordBatchReader.from_stream(self._stream(table, documents))
        if self.format == "csv":
            reader = _flattened(reader)
        with self._sink(table, folder / f"part-{number:04d}.{self.format}", reader.schema) as sink:
            for part in _gathered(reader):
                # Column by column: a batch at a time costs more than what is in it.
                sink.write_table(part, row_group_size=_ROW_GROUP) if self.format == "parquet" else sink.write_table(part)
                self._advance(len(part))

    def _stream(self, table: str, documents: list[int]) -> Any:
        return self.trace._stream(table, documents, group=False, logits=self.logits and table == "routing")

    def _advance(self, rows: int) -> None:
        self.done += rows
        if self.progress is not None:
            self.progress(self.done, self.total)

    def _sink(self, table: str, path: Path, schema: Any) -> Any:
        if self.format == "parquet":
            return parquet_writer(path, schema)
        import pyarrow as pa
        from pyarrow import csv

        if self.format == "arrow":
            return pa.ipc.new_file(path, schema, options=pa.ipc.IpcWriteOptions(compression="zstd"))
        return csv.CSVWriter(path, schema)

    def _write_archive(self, table: str, group: str, number: int, documents: list[int]) -> None:
        """An .npz of the layout that `moescope import --from npz` reads; one file holds tokens and routing."""
        if table != "routing":
            return
        stem = quote(group, safe="") or "ungrouped"
        folder = self.folder / "routing"
        folder.mkdir(exist_ok=True)
        arrays = numpy_archives.arrays(self.trace, documents, logits=self.logits)
        np.savez(folder / f"{stem}-{number:04d}.npz", **arrays)
        self._advance(sum(self.lengths[index] for index in documents) * len(self.trace.layers))


def _gathered(reader: Any) -> Iterable[Any]:
    """Batches as tables of a row group each, or of as many bytes as threads may hold."""
    import pyarrow as pa

    held: list[Any] = []
    rows = size = 0
    for batch in reader:
        held.append(batch)
        rows += len(batch)
        size += batch.nbytes
        if rows >= _ROW_GROUP or size >= _HELD_BYTES:
            yield pa.Table.from_batches(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held)


def parquet_writer(path: Path, schema: Any) -> Any:
    """A writer of a file as `moescope export` makes them: ZSTD, large row groups, dictionaries where values repeat."""
    from pyarrow import parquet

    # Dictionaries of what hardly repeats cost time and save nothing.
    repeating = [name for field in schema if (name := _repeating(field)) is not None]
    return parquet.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=repeating or False,
        data_page_size=_PAGE_BYTES,
        write_page_index=True,
        store_schema=True,
    )


def _repeating(field: Any) -> str | None:
    """The path of the column's values in Parquet where a dictionary makes them smaller: texts, and numbers of experts."""
    import pyarrow as pa

    kind = field.type
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
        return str(field.name)
    if pa.types.is_fixed_size_list(kind) and pa.types.is_integer(kind.value_type):
        return f"{field.name}.list.{kind.value_field.name}"
    return None


def _plain_array(values: Iterable[Any]) -> np.ndarray[Any, Any]:
    """An array that NumPy reads without pickles: a missing text is "", a missing number −1."""
    values = list(values)
    if any(isinstance(value, str) for value in values):
        return np.array([value or "" for value in values], dtype=np.str_)
    if all(value is None for value in values):
        return np.array([""] * len(values), dtype=np.str_)
    return np.array([-1 if value is None else value for value in values])


def _flattened(reader: Any) -> Any:
    """Batches whose lists are columns of their own: experts_0, experts_1, … Texts are safe for spreadsheets' readers as CSV's own quotes are."""
    import pyarrow as pa

    def fields() -> Iterable[Any]:
        for field in reader.schema:
            if pa.types.is_fixed_size_list(field.type):
                for slot in range(field.type.list_size):
                    yield pa.field(f"{field.name}_{slot}", field.type.value_type)
            elif pa.types.is_dictionary(field.type):
                yield pa.field(field.name, field.type.value_type)
            else:
                yield field

    schema = pa.schema(list(fields()))

    def batches() -> Iterable[Any]:
        for batch in reader:
            columns = []
            for column in batch.columns:
                if pa.types.is_fixed_size_list(column.type):
                    values = column.flatten().to_numpy(zero_copy_only=False).reshape(len(batch), -1)
                    columns += [pa.array(values[:, slot]) for slot in range(values.shape[1])]
                elif pa.types.is_dictionary(column.type):
                    columns.append(column.dictionary_decode())
                else:
                    columns.append(column)
            yield pa.record_batch(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


class _Line:
    """Progress on standard error: now and then, and at the end."""

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < (0.5 if sys.stderr.isatty() else 10):
            return
        self._last = now
        rate = done / max(now - self._start, 1e-9)
        put_line(f"exporting: {done / max(total, 1):.0%} · {rate / 1e6:.1f} million rows/s")


def main(request: dict[str, Any]) -> None:
    """The command `moescope export`."""
    trace = open_trace(request["trace"])
    start = time.monotonic()
    line = _Line()
    export(
        trace,
        request["output"],
        format=request["format"],
        tables=request["tables"],
        groups=request.get("groups"),
        logits=request["logits"],
        threads=request.get("threads"),
        progress=line,
    )
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    seconds = time.monotonic() - start
    size = sum(file.stat().st_size for file in Path(request["output"]).rglob("*") if file.is_file())
    capture = trace.manifest["capture"]
    left = [
        words
        for there, words in (
            (capture.get("router_logits") and not request["logits"], "router logits (--logits)"),
            (capture.get("attention_summary"), "attention summaries"),
            (capture.get("attention_pattern"), "attention patterns"),
            (capture.get("speculative"), "guessed experts"),
        )
        if there
    ]
    note = f" Not exported: {', '.join(left)}." if left else ""
    print(f"{request['output']}: {size / 1e6:,.1f} MB in {seconds:.1f} s.{note}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except (TraceError, OSError, ValueError, ImportError) as problem:
        print(f"Error: {problem}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; nothing is left of the tables", file=sys.stderr)
        sys.exit(130)
