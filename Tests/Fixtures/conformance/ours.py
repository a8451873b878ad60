"""What MoEScope makes of a checkpoint, and how far it is from what the reference made. Needs moescope and numpy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grid
import moescope as ms
import numpy as np

#: The largest difference that two ways of adding f32 numbers make.
TOLERANCE = {"router": 2e-4, "weights": 2e-4, "logprob": 1e-3}


def weights(run: ms.Run, name: str) -> Any:
    """[T, K] by falling weight: SparseMixer's come in the order of the choice."""
    return -np.sort(-np.asarray(run[name.replace("router_logits", "expert_weights")]), -1)


def run(path: Path, texts: Sequence[list[int]] = tuple(grid.DOCUMENTS)) -> tuple[list[dict[str, Any]], list[str]]:
    """Each document's numbers, and what the load warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ms.load(path, precision="exact", threads=1)
    documents = []
    for tokens in texts:
        run = model.run(tokens, capture=["router_logits", "expert_weights"])
        layers = sorted(name for name in run.names if name.endswith("router_logits"))
        documents.append(
            {
                "router": [np.asarray(run[name]) for name in layers],
                "weights": [weights(run, name) for name in layers],
                "logprob": run.logprob[1:],
            }
        )
    return documents, model.notices


def difference(mine: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> str | None:
    """The first thing that differs, or None."""
    for number, (got, expected) in enumerate(zip(mine, theirs, strict=True)):
        for what, tolerance in TOLERANCE.items():
            a, b = got[what], expected[what]
            if len(a) != len(b):
                return f"document {number}: {len(a)} of {what}, expected {len(b)}"
            for layer in range(len(a) if what != "logprob" else 1):
                x, y = (np.asarray(v if what == "logprob" else v[layer], np.float64) for v in (a, b))
                if x.shape != y.shape:
                    return f"document {number}: {what} {x.shape}, expected {y.shape}"
                far = float(np.abs(x - y).max())
                if not far <= tolerance:
                    return f"document {number}, {what} {layer}: {far:.2g} off"
    return None
