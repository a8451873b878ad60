"""What the analyses share: arguments, documents, and where results go.

Numbers with a name (information, divergence, agreement, effects) come from `ms.metrics` and `ms.experiment`, with their intervals;
the scripts choose, arrange and draw.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
try:
    import moescope as ms
except ImportError:  # a checkout whose package is not installed
    sys.path.insert(0, str(ROOT / "Python"))
    import moescope as ms

try:
    import matplotlib
except ImportError:
    sys.exit("matplotlib is needed for the picture: pip install matplotlib (or make demo, then .venv/bin/python)")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

__all__ = ["ROOT", "arguments", "finish", "heat_map", "ms", "np", "pivot", "plt", "read", "say", "traced"]

plt.rcParams.update({"figure.dpi": 120, "savefig.bbox": "tight", "figure.constrained_layout.use": True, "font.size": 9, "axes.grid": False})


def arguments(description: str, documents: int = 20, tokens: int = 256) -> argparse.ArgumentParser:
    """A parser with what every analysis takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", default="polyglot", help="folder, .gguf file or built-in name")
    parser.add_argument("--corpus", type=Path, default=ROOT / "Models/polyglot/heldout.jsonl", help="JSON Lines file")
    parser.add_argument("--documents", type=int, default=documents, help="documents per group; 0 takes all")
    parser.add_argument("--tokens", type=int, default=tokens, help="tokens per document at most")
    parser.add_argument("--precision", choices=["exact", "fast"], default="fast", help="how products are computed")
    parser.add_argument("--seed", type=int, default=1, help="of everything random")
    name = Path(sys.argv[0]).stem
    parser.add_argument("--picture", type=Path, default=ROOT / f"Reports/analyses/{name}.png", help="where it goes")
    parser.add_argument("--csv", type=Path, help="also write the table here")
    return parser


def read(args: argparse.Namespace, model: ms.Model) -> list[dict]:
    """The corpus, at most `--documents` per group, each cut to `--tokens` tokens (BOS included)."""
    taken: dict[str, int] = defaultdict(int)
    documents = []
    for line in args.corpus.read_text(encoding="utf-8").splitlines():
        document = json.loads(line)
        taken[document["group"]] += 1
        if not args.documents or taken[document["group"]] <= args.documents:
            tokens = document.get("tokens") or model.encode(document["text"])
            documents.append({**{k: document.get(k) for k in ("id", "group", "parallel_id", "cluster")}, "tokens": tokens[: args.tokens]})
    return documents


def traced(args: argparse.Namespace, model: ms.Model, folder: str | Path, *, capture: Sequence[str] = ("router_logits",)) -> ms.Trace:
    """What the model does over the corpus, as a trace: what every metric is computed from."""
    return ms.trace(model, read(args, model), output=folder, capture=capture)


def pivot(table: ms.Table, rows: str, columns: str, value: str) -> tuple[list, list, NDArray[np.float64]]:
    """A tidy table as a matrix: its row labels, its column labels, and the values, NaN where there is none."""
    row_labels, column_labels = (list(dict.fromkeys(table[name])) for name in (rows, columns))
    matrix = np.full((len(row_labels), len(column_labels)), np.nan)
    for row, column, number in zip(table[rows], table[columns], table[value], strict=True):
        if number is not None:
            matrix[row_labels.index(row), column_labels.index(column)] = number
    return row_labels, column_labels, matrix


def heat_map(axes: plt.Axes, values: NDArray, rows: Sequence[str], columns: Sequence[str], title: str, *, signed: bool = False) -> None:
    """A labelled matrix; with `signed`, a diverging scale around 0."""
    limit = float(np.nanmax(np.abs(values))) or 1.0
    image = axes.imshow(
        values, aspect="auto", cmap="RdBu_r" if signed else "viridis", vmin=-limit if signed else None, vmax=limit if signed else None
    )
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_title(title)
    plt.colorbar(image, ax=axes)


def say(text: str) -> None:
    """A remark for the reader; the table alone goes to standard output."""
    print(text, file=sys.stderr, flush=True)


def finish(args: argparse.Namespace, columns: Mapping[str, Sequence], figure: plt.Figure) -> None:
    """Prints the table, writes picture and CSV."""
    table = ms.table(columns)
    print(table)
    args.picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.picture)
    say(f"picture: {args.picture}")
    if args.csv:
        table.to_csv(args.csv)
        say(f"table:   {args.csv}")
