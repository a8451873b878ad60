"""Reads mutated records of other programs as `moescope import` does, in workers that may die of one.

    .venv/bin/python Tests/python/fuzz_records.py --count 100000              every format
    .venv/bin/python Tests/python/fuzz_records.py --formats npz --index 812   one mutation again, in this process

A signal, an error that `moescope import` does not expect, more than 5 seconds, more than 1 GiB of memory, or anything left at the output
after an error is a failure. `make fuzz` runs it.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Python"))

import numpy as np

from moescope.importing import EXPECTED, import_load, import_record

RECORDS = Path(__file__).resolve().parents[1] / "Fixtures" / "records"
CARD = RECORDS / "card.json"
SECONDS, BYTES = 5.0, 1 << 30
#: What numbers in texts become.
NUMBERS = ("-1", "0", "1e999", "9223372036854775807", "18446744073709551616", "-2147483649", "1.5", "null", "true", '"7"', "[]", "{}", "NaN")


# MARK: seeds


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _archive() -> bytes:
    generator = np.random.default_rng(1)
    experts = np.argsort(generator.random((9, 2, 6)), axis=2)[:, :, :2].astype(np.int16)
    weights = np.sort(generator.random((9, 2, 2)).astype(np.float32), axis=2)[:, :, ::-1]
    return _npz(experts=experts, weights=weights, token=np.arange(9), lengths=np.array([5, 4]), id=np.array(["a", "b"]))


def _table() -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    rows = [{"document": d, "position": p, "layer": layer, "experts": [p % 5, 5], "weights": [0.7, 0.3], "group": "en"} for d in range(2) for layer in (1, 3) for p in range(4)]
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def _exported(folder: Path) -> dict[str, bytes]:
    """What `moescope export` writes of a small trace."""
    from moescope.exporting import export

    trace = import_record(RECORDS / "vllm.jsonl", format="vllm", model=CARD, output=folder / "trace")
    export(trace, folder / "tables")
    return {str(file.relative_to(folder / "tables")): file.read_bytes() for file in sorted((folder / "tables").rglob("*")) if file.is_file()}


def seeds(folder: Path) -> dict[str, list[dict[str, bytes]]]:
    """Inputs by format: files by their names."""

    def kept(*names: str) -> dict[str, bytes]:
        return {name: (RECORDS / name).read_bytes() for name in names}

    tokens = b'{"id":"a","token_ids":[1,2,3],"routed_experts":[[[0,1],[2,3]],[[4,5],[0,2]],[[1,3],[5,4]]]}\n'
    found = {
        "vllm": [kept("vllm.jsonl"), {"plain.jsonl": tokens}],
        "sglang": [kept("sglang.pt")],
        "sglang-load": [kept("sglang-stat.pt"), kept("sglang-passes.pt")],
        "llama-moe-trace": [kept("llama.csv")],
        "megatron": [kept("router_trace_rank0.jsonl", "logits_rank0.bin")],
        "npz": [{"record.npz": _archive()}],
        "card": [kept("card.json")],
    }
    try:
        found["parquet"] = [{"table.parquet": _table()}]
        found["export"] = [_exported(folder)]
    except ImportError:
        print("no pyarrow: the formats parquet and export are left out", file=sys.stderr)
    return found


# MARK: mutations


def _bytes(data: bytes, chance: random.Random) -> bytes:
    """Some changes of bytes: flipped bits, extreme values, parts cut out, doubled or swapped."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if not found:
            break
        at = chance.randrange(len(found))
        end = min(len(found), at + chance.choice((1, 2, 4, 8, 64, 512)))
        match chance.randrange(7):
            case 0:
                found[at] ^= 1 << chance.randrange(8)
            case 1:
                found[at:end] = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF))] * (end - at))
            case 2:
                del found[at:end]
            case 3:
                found[at:at] = found[at:end] * chance.choice((1, 2, 40))
            case 4:
                del found[at:]
            case 5:
                found[at:end] = chance.randbytes(end - at)
            case 6:
                other = chance.randrange(len(found))
                found[at:end] = found[other : other + end - at]
    return bytes(found)


def _text(data: bytes, chance: random.Random) -> bytes:
    """A number, or a text, of JSON or CSV becomes another."""
    marks = list(re.finditer(rb'-?\d+(?:\.\d+)?|"[^"]{0,40}"', data[:20000]))
    if not marks:
        return _bytes(data, chance)
    found = data
    for mark in sorted(chance.sample(marks, min(len(marks), chance.choice((1, 1, 3)))), key=lambda mark: -mark.start()):
        found = found[: mark.start()] + chance.choice(NUMBERS).encode() + found[mark.end() :]
    return found


def _zipped(data: bytes, chance: random.Random) -> bytes:
    """A change inside one of the members of a ZIP archive, with the right checksum."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    place = chance.randrange(len(members))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, (name, content) in enumerate(members):
            if number == place:
                match chance.randrange(8):
                    case 0:
                        continue
                    case 1:
                        name += "x"
                    case 2 if content.startswith(b"\x93NUMPY"):
                        content = _shaped(content, chance)
                    case _:
                        content = _bytes(content, chance)
            archive.writestr(name, content)
    return out.getvalue()


def _shaped(content: bytes, chance: random.Random) -> bytes:
    """The header of a .npy with another shape or type."""
    header = content[10 : 10 + int.from_bytes(content[8:10], "little")].decode("latin-1")
    if chance.random() < 0.5:
        header = re.sub(r"\d+(?=[,)])", lambda mark: chance.choice(NUMBERS[:6]), header, count=1)
    else:
        header = re.sub(r"'[<>|][a-zA-Z]\d+'", lambda mark: f"'{chance.choice(('<f8', '<i8', '|O', '<U9', '|b1', '<c16', '>i4', '<m8', '<f2'))}'", header, count=1)
    raw = header.encode("latin-1")
    return content[:8] + len(raw).to_bytes(2, "little") + raw + content[10 + int.from_bytes(content[8:10], "little") :]


def mutated(files: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """One of the files, or once in a while two, in another form."""
    found = dict(files)
    for _ in range(chance.choice((1, 1, 1, 2))):
        name = chance.choice(sorted(found))
        changes: list[Callable[[bytes, random.Random], bytes]] = [_bytes]
        if name.endswith((".jsonl", ".json", ".csv")):
            changes += [_text, _text]
        if name.endswith((".pt", ".npz")):
            changes += [_zipped, _zipped, _zipped]
        try:
            found[name] = chance.choice(changes)(found[name], chance)
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError):
            # It was an archive before the last change.
            found[name] = _bytes(found[name], chance)
    return found


# MARK: reading


def read(format: str, inputs: Path, output: Path) -> str | None:
    """Imports what lies in a folder. Returns why it was refused; None where it was read."""
    names = sorted(inputs.iterdir())
    model = inputs / "card.json" if format == "card" else CARD
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    try:
        if format == "sglang-load":
            import_load(names, model=model, output=output / "t")
        elif format == "export":
            import_record(inputs, format="parquet", output=output / "t")
        elif format == "card":
            import_record(RECORDS / "vllm.jsonl", format="vllm", model=model, output=output / "t")
        else:
            files = [name for name in names if name.suffix != ".bin"]
            import_record(files, format=format, model=model, output=output / "t")
    except EXPECTED as problem:
        left = [file.name for file in output.iterdir()]
        if left:
            raise AssertionError(f"left behind: {left}") from problem
        return str(problem)
    return None


def _make(format: str, index: int, seed: int, files: list[dict[str, bytes]], folder: Path) -> None:
    chance = random.Random(f"{seed} {format} {index}")
    _write(mutated(chance.choice(files), chance), folder)


def _write(files: dict[str, bytes], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _work(format: str, seed: int, files: list[dict[str, bytes]], first: int, end: int, step: int, results: Any) -> None:
    work = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    counts = [0, 0]
    slowest = 0.0
    try:
        for index in range(first, end, step):
            results.put(("begin", index))
            _make(format, index, seed, files, work / "in")
            before = time.perf_counter()
            try:
                refused = read(format, work / "in", work / "out")
            except BaseException as problem:
                results.put(("failure", index, f"{type(problem).__name__}: {problem}"))
                refused = "unexpected"
            seconds = time.perf_counter() - before
            slowest = max(slowest, seconds)
            counts[refused is not None] += 1
            if seconds > SECONDS:
                results.put(("failure", index, f"{seconds:.1f} seconds"))
            if refused is not None and (not refused or "\n" in refused):
                results.put(("failure", index, f"the error is not one line: {refused!r}"))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if peak * 1024 > BYTES:
                results.put(("failure", index, f"{peak / 1024:.0f} MiB"))
                break
    finally:
        shutil.rmtree(work, ignore_errors=True)
    results.put(("end", counts, slowest, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def fuzz(format: str, seed: int, count: int, files: list[dict[str, bytes]], workers: int) -> dict[str, Any]:
    """Reads mutations 0 to count - 1; a worker that dies is begun again after the input that it died of."""
    context = multiprocessing.get_context("spawn")
    total: dict[str, Any] = {"read": 0, "refused": 0, "failures": {}, "slowest": 0.0, "peak": 0.0}

    def take(message: tuple[Any, ...], state: dict[int, int], worker: int) -> None:
        match message:
            case ("begin", index):
                state[worker] = index
            case ("failure", index, reason):
                total["failures"][index] = reason
            case ("end", counts, slowest, peak):
                total["read"] += counts[0]
                total["refused"] += counts[1]
                total["slowest"] = max(total["slowest"], slowest)
                total["peak"] = max(total["peak"], peak)

    running: dict[int, tuple[Any, Any]] = {}
    state: dict[int, int] = {}

    def begin(worker: int, first: int) -> None:
        results = context.SimpleQueue()
        process = context.Process(target=_work, args=(format, seed, files, first, count, workers, results))
        process.start()
        state.pop(worker, None)
        running[worker] = (process, results)

    for worker in range(workers):
        begin(worker, worker)
    started: dict[int, tuple[int, float]] = {}
    while running:
        for worker, (process, results) in list(running.items()):
            alive = process.is_alive()
            while not results.empty():
                take(results.get(), state, worker)
            last, since = started.get(worker, (-1, time.monotonic()))
            if state.get(worker, -1) != last:
                started[worker] = (state.get(worker, -1), time.monotonic())
            elif alive and time.monotonic() - since > 4 * SECONDS:
                process.kill()
            if alive:
                continue
            process.join()
            del running[worker]
            if process.exitcode:
                if worker not in state:
                    raise SystemExit(f"a worker ended with {process.exitcode} before it read anything")
                index = state[worker]
                total["failures"][index] = f"the process ended with {process.exitcode}"
                if index + workers < count:
                    begin(worker, index + workers)
        time.sleep(0.05)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", nargs="+", metavar="NAME")
    parser.add_argument("--count", type=int, default=100_000, help="mutations of each format")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--index", type=int, help="only this one, in this process, with its traceback")
    parser.add_argument("--output", type=Path, help="a folder for results as JSON, one file for each format")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        known = seeds(Path(folder))
        for format in args.formats or known:
            if format not in known:
                parser.error(f"--formats: expected {', '.join(known)}, found {format}")
        if args.index is not None:
            (format,) = args.formats
            _make(format, args.index, args.seed, known[format], Path(folder) / "in")
            print(read(format, Path(folder) / "in", Path(folder) / "out") or "read")
            return
        for format in args.formats or known:
            for number, files in enumerate(known[format]):
                _write(files, Path(folder) / "in")
                if refused := read(format, Path(folder) / "in", Path(folder) / "out"):
                    parser.error(f"{format}: the input {number} that is mutated is refused itself: {refused}")
        failures = 0
        print("| format | mutations | read | refused | failures | slowest, s | peak, MiB |\n|---|---|---|---|---|---|---|")
        for format in args.formats or known:
            result = fuzz(format, args.seed, args.count, known[format], args.workers)
            failures += len(result["failures"])
            print(
                f"| {format} | {args.count:,} | {result['read']:,} | {result['refused']:,} | {len(result['failures'])} | "
                f"{result['slowest']:.2f} | {result['peak']:.0f} |",
                flush=True,
            )
            for index, reason in list(result["failures"].items())[:10]:
                print(f"  {format} --index {index}: {reason}", file=sys.stderr)
            if args.output:
                args.output.mkdir(parents=True, exist_ok=True)
                (args.output / f"records-{format}-seed-{args.seed}.json").write_text(json.dumps({"count": args.count, **result}, indent=2) + "\n")
        sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
