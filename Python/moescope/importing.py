"""Traces of routing that another program recorded: `moescope import`, and `import_record` from Python."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

from moescope import TraceError, _moescope
from moescope.cards import Card, CardError, read_card
from moescope.records import llama, megatron, numpy_archives, sglang, tables, vllm
from moescope.records.reading import Reader, naming
from moescope.tables import Table
from moescope.traces import Trace, open_trace
from moescope.writing import Document, RecordError, TraceWriter, new_folder

#: Who wrote the files, and what reads them.
READERS: Final[dict[str, Reader]] = {
    "vllm": vllm.read,
    "sglang": sglang.read,
    "llama-moe-trace": llama.read,
    "megatron": megatron.read,
    "npz": numpy_archives.read,
    "parquet": tables.read,
}
_SUFFIXES: Final[dict[str, tuple[str, ...]]] = {
    "vllm": (".jsonl", ".json", ".npz"),
    "sglang": (".pt",),
    "llama-moe-trace": (".csv",),
    "megatron": (".jsonl",),
    "npz": (".npz",),
}


def import_record(
    files: Sequence[str | PathLike[str]] | str | PathLike[str],
    *,
    format: str,
    output: str | PathLike[str],
    model: str | PathLike[str] | None = None,
    group: str | None = None,
) -> Trace:
    """Makes a trace of a record, in bounded memory.

    files: the record's files, or folders that hold them, in the order of the documents.
    format: who wrote them: "vllm", "sglang", "llama-moe-trace", "megatron", "npz" or "parquet".
    model: the model's config.json, its folder, or a card (see `moescope.cards`); an export of ours brings its own.
    group: the group of documents that name none.

    What a record lacks is absent from the trace, never zero. Raises RecordError, CardError, FileNotFoundError, or TraceError
    where something is at `output` already; nothing is left of the trace then.
    """
    if format not in READERS:
        raise ValueError(f"format: expected one of {', '.join(READERS)}, found {format!r}")
    paths = [files] if isinstance(files, str | PathLike) else list(files)
    if format == "parquet" and tables.is_export(paths):
        with naming(Path(fspath(paths[0]))):
            return tables.restore(paths, output)
    if model is None:
        raise ValueError("model: expected the model's config.json or a card")
    card = read_card(model)
    found = list(_files([Path(fspath(path)) for path in paths], format))
    hashes: list[str] = []
    sources: list[dict[str, Any]] = []
    with TraceWriter(output, card, format) as writer:
        seen: dict[str, str] = {}
        for file in found:
            counts = [0, 0]
            for document in _documents(file, card, format):
                if document.id in seen:
                    raise RecordError(f"{document.place}: the id {document.id!r} was there before, in {seen[document.id]}")
                seen[document.id] = document.place
                document.group = document.group or group or ""
                writer.add(document)
                counts[0] += 1
                counts[1] += len(document.experts)
            digest = _sha256(file)
            hashes.append(digest)
            sources.append({"name": file.name, "documents": counts[0], "tokens": counts[1], "sha256": digest})
        name = found[0].name if len(found) == 1 else f"{found[0].name} and {len(found) - 1} more"
        whole = hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()
        writer.commit(source=name, sha256=whole, provenance={"kind": "imported", "format": format, "sources": sources})
    return open_trace(output)


def _documents(file: Path, card: Card, format: str) -> Iterator[Document]:
    with naming(file):
        yield from READERS[format](file, card)


def import_load(
    files: Sequence[str | PathLike[str]] | str | PathLike[str],
    *,
    output: str | PathLike[str],
    model: str | PathLike[str],
    format: str = "sglang",
) -> dict[str, Table]:
    """Tables of expert load, of records that hold counts of forward passes and no tokens: SGLang's modes stat, stat_approx and per_pass.

    Returns the tables of the metric `load` by name, and writes each to `output`, which must not be there, as CSV; about.json says what they
    were made of. Counts are summed over passes and files. Passes are no documents: there are no intervals, and no other metric can be computed.

    Raises as `import_record` does.
    """
    if format != "sglang":
        raise ValueError(f"format: expected sglang, whose recorder counts passes, found {format!r}")
    card = read_card(model)
    paths = [files] if isinstance(files, str | PathLike) else list(files)
    target = Path(fspath(output))
    if target.exists():
        raise FileExistsError(f"{target}: something is there already; choose another folder")
    total: Any = 0
    sources: list[dict[str, Any]] = []
    for file in _files([Path(fspath(path)) for path in paths], format):
        with naming(file):
            counts, passes = sglang.counts(file, card)
        total = total + counts
        sources.append({"name": file.name, "passes": passes, "sha256": _sha256(file)})
    request = {"layers": card.expert_layers, "counts": total.tolist()}
    tables_of_load = {table.name: Table(table) for table in _moescope.load_tables(json.dumps(request))}
    about = {
        "kind": "load",
        "format": format,
        "model": card.fields,
        "sources": sources,
        "note": "Counts of forward passes, summed. The record holds no tokens: there is no trace, and there are no intervals.",
    }
    with new_folder(target) as staged:
        for name, table in tables_of_load.items():
            table.to_csv(staged / f"{name}.csv")
        (staged / "about.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return tables_of_load


def _files(paths: Sequence[Path], format: str) -> Iterator[Path]:
    suffixes = _SUFFIXES.get(format)
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        if path.is_file() or suffixes is None:
            yield path
            continue
        found = sorted(file for file in path.rglob("*") if file.suffix in suffixes)
        if not found:
            raise RecordError(f"{path}: expected files that end in {' or '.join(suffixes)}, found none")
        yield from found


def _sha256(path: Path) -> str:
    if path.is_dir():
        names = sorted(file for file in path.rglob("*") if file.is_file())
        return hashlib.sha256("\n".join(_sha256(file) for file in names).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(request: dict[str, Any]) -> None:
    """The command `moescope import`."""
    if request.get("load_only"):
        import_load(request["files"], format=request["from"], output=request["output"], model=request["model"])
        print(
            f"{request['output']}: tables of expert load. The record holds counts of forward passes and no tokens: there is no trace, "
            "and no other metric can be computed.",
            file=sys.stderr,
        )
        return
    trace = import_record(
        request["files"],
        format=request["from"],
        output=request["output"],
        model=request.get("model"),
        group=request.get("group"),
    )
    absent = trace.manifest["capture"].get("absent", [])
    lacks = f" The record lacks {', '.join(absent)}: metrics that need it are left out." if absent else ""
    tokens = sum(shard["tokens"] for shard in trace.manifest["shards"])
    print(f"{request['output']}: complete, {len(trace):,} documents, {tokens:,} tokens.{lacks}", file=sys.stderr)


#: What a person can put right: one line, no traceback.
EXPECTED: Final = (RecordError, CardError, TraceError, OSError, ValueError, ImportError)

if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except EXPECTED as problem:
        print(f"Error: {problem}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; nothing is left of the trace", file=sys.stderr)
        sys.exit(130)
