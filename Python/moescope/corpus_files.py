"""Corpora as other programs keep them: Parquet and Arrow files, CSV, compressed JSON lines, folders of Hugging Face `datasets`.

Files are read as streams: what is in memory is one batch, and the documents that are chosen. `--max-documents` ends the reading; a sample is
drawn in one pass (Vitter 1985, algorithm R), the same for the same seed, and keeps the order of the files.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any, Final

from moescope._optional import require_pyarrow
from moescope.corpora import documents as checked

_TABLES: Final = (".parquet", ".pq")
_ARROW: Final = (".arrow", ".feather", ".ipc")
_SEPARATED: Final = {".csv": ",", ".tsv": "\t"}
_LINES: Final = (".jsonl", ".ndjson", ".json")
_COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst")


def is_readable(path: str | PathLike[str]) -> bool:
    """Whether the engine leaves this corpus to Python: it reads JSON Lines, plain or in gzip, and folders of .txt itself."""
    name = Path(fspath(path))
    kind, packed = _kind(name)
    if name.is_dir():
        return (name / "state.json").is_file() or (name / "dataset_dict.json").is_file() or any(_tables(name))
    return kind in (*_TABLES, *_ARROW, *_SEPARATED) or packed in (".bz2", ".xz", ".zst")


def read(
    path: str | PathLike[str],
    *,
    text: str | None = None,
    group: str | None = None,
    id: str | None = None,
    max_documents: int | None = None,
    sample: int | None = None,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Documents of a corpus file or folder, as `moescope.trace` takes them.

    text, group, id: the columns that hold them, where they have other names.
    max_documents: only the first so many. sample: so many, drawn evenly with the seed; of the first max_documents, where both are given.

    Raises ValueError or FileNotFoundError naming the file; ImportError saying what to install.
    """
    file = Path(fspath(path))
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file or folder")
    for name, value in (("max_documents", max_documents), ("sample", sample)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: expected at least 1, found {value}")
    rows: Iterable[Any] = rows_of(file, [name for name in (text, group, id) if name is not None])
    try:
        documents = islice(checked(rows, text=text, group=group, id=id), max_documents)
        yield from documents if sample is None else _sample(documents, sample, seed)
    except (ValueError, TypeError) as problem:
        message = str(problem).removeprefix("corpus: ")
        raise ValueError(message if message.startswith(str(file)) else f"{file}: {message}") from None


def _sample(documents: Iterator[dict[str, Any]], count: int, seed: int) -> list[dict[str, Any]]:
    """So many documents, each equally likely, in their order; a document without an id keeps the number that it has in the files."""
    chance = random.Random(seed)
    kept: list[tuple[int, dict[str, Any]]] = []
    for number, document in enumerate(documents):
        if number < count:
            kept.append((number, document))
            continue
        place = chance.randrange(number + 1)
        if place < count:
            kept[place] = number, document
    return [document for _, document in sorted(kept, key=lambda item: item[0])]


def rows_of(file: Path, columns: list[str]) -> Iterator[Any]:
    """Mappings of a file or folder, batch by batch."""
    if file.is_dir():
        yield from _folder(file)
        return
    kind, packed = _kind(file)
    if kind in _TABLES:
        yield from _parquet(file)
    elif kind in _ARROW:
        yield from _arrow(file)
    elif kind in _SEPARATED:
        with _opened(file, packed) as lines:
            reader = csv.DictReader(lines, delimiter=_SEPARATED[kind])
            missing = [name for name in columns if name not in (reader.fieldnames or [])]
            if missing:
                raise ValueError(f"{file}: there is no column {missing[0]!r}; columns: {', '.join(reader.fieldnames or [])}")
            csv.field_size_limit(1 << 30)
            yield from reader
    elif kind in _LINES:
        with _opened(file, packed) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    yield json.loads(line)
                except ValueError as problem:
                    raise ValueError(f"{file}, line {number}: not valid JSON: {problem}") from None
    else:
        known = ", ".join((*_TABLES, *_ARROW, *_SEPARATED, *_LINES))
        raise ValueError(f"{file}: expected a name that ends in {known} (and {', '.join(_COMPRESSED)})")


def _kind(file: Path) -> tuple[str, str]:
    """The name's ending, and that of a compression after it: (".csv", ".zst")."""
    suffix = file.suffix.lower()
    if suffix in _COMPRESSED:
        return file.with_suffix("").suffix.lower() or ".jsonl", suffix
    return suffix, ""


def _opened(file: Path, packed: str) -> IO[str]:
    if packed == ".gz":
        return gzip.open(file, "rt", encoding="utf-8", newline="")
    if packed == ".bz2":
        return bz2.open(file, "rt", encoding="utf-8", newline="")
    if packed == ".xz":
        return lzma.open(file, "rt", encoding="utf-8", newline="")
    if packed == ".zst":
        pa = require_pyarrow(f"{file}: reading .zst")
        return io.TextIOWrapper(pa.CompressedInputStream(str(file), "zstd"), encoding="utf-8", newline="")
    return file.open(encoding="utf-8-sig", newline="")


def _parquet(file: Path) -> Iterator[Mapping[str, Any]]:
    pa = require_pyarrow(f"{file}: reading Parquet")
    from pyarrow import parquet  # type: ignore[import-untyped, unused-ignore]

    try:
        table = parquet.ParquetFile(file)
    except (pa.ArrowException, OSError) as problem:
        raise ValueError(f"{file}: expected Parquet: {str(problem).splitlines()[0]}") from None
    for batch in table.iter_batches(1024):
        yield from batch.to_pylist()


def _arrow(file: Path) -> Iterator[Mapping[str, Any]]:
    """Arrow's file format, or its stream format, which `datasets` writes under the same ending."""
    pa = require_pyarrow(f"{file}: reading Arrow")
    try:
        with pa.memory_map(str(file)) as source:
            try:
                reader = pa.ipc.open_file(source)
                batches: Iterable[Any] = (reader.get_batch(number) for number in range(reader.num_record_batches))
            except pa.ArrowInvalid:
                batches = pa.ipc.open_stream(source)
            for batch in batches:
                yield from batch.to_pylist()
    except pa.ArrowException as problem:
        raise ValueError(f"{file}: expected Arrow: {str(problem).splitlines()[0]}") from None


def _folder(folder: Path) -> Iterator[Mapping[str, Any]]:
    """A data set that `datasets` saved to disk, or a folder of Parquet files, in the order of their names."""
    if (folder / "dataset_dict.json").is_file():
        splits = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8")).get("splits", [])
        choice = folder / splits[0] if splits else folder
        raise ValueError(f"{folder}: these are several data sets ({', '.join(splits)}); choose one: {choice}")
    state = folder / "state.json"
    if state.is_file():
        for entry in json.loads(state.read_text(encoding="utf-8")).get("_data_files", []):
            yield from _arrow(folder / Path(entry["filename"]).name)
        return
    tables = _tables(folder)
    for file in tables:
        yield from _parquet(file)
    # A folder of texts, as the engine reads it: the group is the first folder of a path.
    for file in () if tables else sorted(folder.rglob("*.txt"), key=lambda file: str(file.relative_to(folder))):
        name = file.relative_to(folder)
        group = name.parts[0] if len(name.parts) > 1 else ""
        yield {"id": name.as_posix(), "group": group, "text": file.read_text(encoding="utf-8")}


def _tables(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in _TABLES)


def main(request: dict[str, Any]) -> None:
    """JSON lines on standard output, for the engine."""
    path = request.pop("path")
    for document in read(path, **request):
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except (OSError, ValueError, TypeError, ImportError) as problem:
        print(f"Error: {problem}", file=sys.stderr)
        sys.exit(1)
