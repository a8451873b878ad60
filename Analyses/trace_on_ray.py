"""Traces a corpus with several processes or machines, by Ray: one engine for each worker, one trace in the end.

On one machine:        python Analyses/trace_on_ray.py polyglot corpus.jsonl traces/all --workers 2
On a cluster:          ray start --head   (the others: ray start --address HEAD:6379), then the same, with --address auto; the
                       output lies on storage that all machines see.
"""

import argparse
import sys
import time
from pathlib import Path

try:
    import moescope.ray
except ImportError:  # a checkout whose package is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Python"))
    import moescope.ray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a path that every machine has, or polyglot")
    parser.add_argument("corpus", help="JSON Lines (also .gz, .zst), Parquet, Arrow, CSV, or a folder")
    parser.add_argument("output", help="the trace's folder, on storage that every machine sees")
    parser.add_argument("--workers", type=int, help="engines (default: one for each machine)")
    parser.add_argument("--threads", type=int, help="of each engine")
    parser.add_argument("--address", help="of the cluster: auto, or HOST:6379 (default: this machine)")
    parser.add_argument("--precision", default="exact", choices=["exact", "precise", "fast"])
    parser.add_argument("--capture", default="router_logits", help="as for moescope trace")
    parser.add_argument("--max-tokens", type=int, help="cut documents to so many tokens")
    parser.add_argument("--max-documents", type=int, help="only the first so many")
    parser.add_argument("--text-column")
    parser.add_argument("--group-column")
    parser.add_argument("--id-column")
    args = parser.parse_args()
    try:
        import ray
    except ImportError:
        sys.exit("Ray is needed: pip install ray")
    ray.init(address=args.address, log_to_driver=False)
    start = time.monotonic()
    try:
        trace = moescope.ray.trace(
            args.model,
            args.corpus,
            output=args.output,
            workers=args.workers,
            threads=args.threads,
            precision=args.precision,
            capture=args.capture.split(","),
            max_tokens=args.max_tokens,
            max_documents=args.max_documents,
            text=args.text_column,
            group=args.group_column,
            id=args.id_column,
            progress=True,
        )
    except (OSError, ValueError, RuntimeError) as problem:
        sys.exit(f"Error: {problem}")
    tokens = sum(shard["tokens"] for shard in trace.manifest["shards"])
    print(f"\n{args.output}: {len(trace):,} documents, {tokens:,} tokens in {time.monotonic() - start:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
