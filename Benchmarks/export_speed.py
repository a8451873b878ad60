"""How fast a trace becomes Parquet, and how much memory that takes, beside pyarrow writing the same columns from memory.

    python Benchmarks/export_speed.py --tokens 20000000 --folder /tmp/export-benchmark

Makes a made-up trace (4 layers, 8 experts, 2 per token, 4 groups, documents of 500 tokens), exports its tables tokens and routing, and writes a part of
the same columns with pyarrow alone, in as many threads, from arrays that are in memory already. A ratio of 1 means that reading the trace,
checking its hashes and cutting it into batches cost nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Python"))
import moescope as ms  # noqa: E402
from moescope.cards import Card  # noqa: E402
from moescope.exporting import export, parquet_writer  # noqa: E402
from moescope.writing import Document, TraceWriter  # noqa: E402

LAYERS, EXPERTS, K, LENGTH, GROUPS = 4, 8, 2, 500, 4


def make(folder: Path, tokens: int) -> ms.Trace:
    """A trace whose values look like a model's: words repeat, experts are unevenly loaded, weights are all different."""
    model = {"name": "made-up", "architecture": "made-up", "layers": LAYERS, "experts": EXPERTS, "experts_per_token": K, "vocab_size": 32000}
    generator = np.random.default_rng(0)
    with TraceWriter(folder, Card("none", model), "none") as writer:
        for number in range(tokens // LENGTH):
            scores = generator.random((LENGTH, LAYERS, EXPERTS), dtype=np.float32) + np.linspace(0, 0.3, EXPERTS, dtype=np.float32)
            experts = np.argsort(-scores, axis=2)[:, :, :K].astype(np.uint8)
            first = generator.random((LENGTH, LAYERS, 1), dtype=np.float32) / 2 + 0.5
            writer.add(
                Document(
                    id=f"d{number}", group=f"g{number % GROUPS}", place="made up", experts=experts, ordered=True,
                    weights=np.concatenate([first, 1 - first], axis=2),
                    token=np.minimum(generator.zipf(1.2, LENGTH), 31999), logprob=-generator.exponential(2, LENGTH).astype(np.float32),
                )
            )
        writer.commit(source="made up", sha256="", provenance=None)
    return ms.open_trace(folder)


def from_memory(trace: ms.Trace, folder: Path, threads: int, rows: int) -> tuple[float, float]:
    """Rows of routing that pyarrow writes, of a table that it holds: in a second, and in a second of a processor."""
    import pyarrow as pa

    batches = []
    for batch in pa.RecordBatchReader.from_stream(trace._stream("routing", None, group=False, logits=False)):
        batches.append(batch)
        rows -= len(batch)
        if rows <= 0:
            break
    tables = [pa.Table.from_batches(batches[part::threads]) for part in range(threads)]

    def write(part: int) -> None:
        with parquet_writer(folder / f"{part}.parquet", tables[part].schema) as sink:
            sink.write_table(tables[part], row_group_size=1 << 20)

    start, busy = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write, range(threads)))
    count = sum(len(table) for table in tables)
    return count / (time.perf_counter() - start), count / (time.process_time() - busy)


def exported(path: str, folder: str, threads: int) -> None:
    """In a process of its own, so that the most memory is the export's."""
    trace = ms.open_trace(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, busy = time.perf_counter(), time.process_time()
    export(trace, folder, tables=["routing"], threads=threads)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    # Pages of mapped files count too where they are held; RssAnon is what the process made itself.
    anonymous = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))
    print(json.dumps({"seconds": seconds, "busy": busy, "before": before, "most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "anonymous": anonymous}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, required=True, help="for the trace and the tables, which are removed in the end")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="keep the trace")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    path = args.folder / "trace"
    trace = ms.open_trace(path) if path.exists() else make(path, args.tokens)
    rows = len(trace.layers) * sum(trace.documents["tokens"])
    for round in range(args.rounds):
        tables = args.folder / "tables"
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import export_speed; export_speed.exported({str(path)!r}, {str(tables)!r}, {args.threads})"
        result = json.loads(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout)
        size = sum(file.stat().st_size for file in tables.rglob("*.parquet"))
        shutil.rmtree(tables)
        ours, ours_busy = rows / result["seconds"], rows / result["busy"]
        theirs, theirs_busy = from_memory(trace, args.folder, args.threads, min(rows, 8_000_000))
        print(
            f"round {round + 1}: {rows / 1e6:.0f} million token-layers, {size / rows:.1f} bytes each: {ours / 1e6:.2f} million/s; "
            f"pyarrow from memory {theirs / 1e6:.2f} million/s; ratio {ours / theirs:.2f}; in a processor's second "
            f"{ours_busy / 1e6:.2f} and {theirs_busy / 1e6:.2f} million, ratio {ours_busy / theirs_busy:.2f}; most memory {result['most'] / 1024:.0f} MB "
            f"({result['before'] / 1024:.0f} MB of it before; {result['anonymous'] / 1024:.0f} MB of its own in the end)",
            flush=True,
        )
    for file in args.folder.glob("*.parquet"):
        file.unlink()
    if not args.keep:
        shutil.rmtree(path)


if __name__ == "__main__":
    main()
