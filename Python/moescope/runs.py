"""What a pass over documents gives: a `Run` for each, over the engine's memory, which can be kept as a file.

T tokens of a document · L layers · E experts · K experts per token.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from moescope import _moescope, notebook

if TYPE_CHECKING:
    from moescope.edits import Document
    from moescope.model import Model

Value = NDArray[Any]


@dataclass(frozen=True)
class Hook:
    """Where an edit is called."""

    #: The point's name: `blocks.2.resid_post`.
    name: str
    #: From 0; None outside the layers.
    layer: int | None
    #: The document whose value this is, by its place in `texts`: at attention scores and patterns, and for an edit of one
    #: document. None where the value has the rows of several.
    document: int | None
    #: Which rows of the value belong to each document of the batch, by its place in `texts`. Empty where `document` says it.
    rows: Mapping[int, slice] = field(default_factory=dict)


class Run:
    """What one document's run gave. `run[name]` is the value at a captured hook point, over the engine's memory."""

    def __init__(
        self,
        model: Model,
        tokens: NDArray[np.int32],
        logprob: NDArray[np.float32],
        expert_indices: NDArray[np.int32],
        expert_weights: NDArray[np.float32],
        captured: Mapping[str, Value],
        number: int = 0,
    ) -> None:
        self._model = model
        #: The document's place in `texts`, from 0.
        self.number = number
        #: [T] token ids, BOS included.
        self.tokens = tokens
        #: [T] natural log of p(token | the tokens before it); NaN in the first row. Empty with `logprobs=False`.
        self.logprob = logprob
        #: [L, T, K] chosen experts, by falling weight.
        self.expert_indices = expert_indices
        #: [L, T, K] mixing weights, as the model applies them.
        self.expert_weights = expert_weights
        self._captured = captured

    @property
    def names(self) -> list[str]:
        """Names of the captured points."""
        return sorted(self._captured, key=_natural)

    @property
    def pieces(self) -> list[str]:
        """[T] the tokens as the vocabulary writes them; `texts` is for readers."""
        return self._model.pieces(self.tokens)

    @property
    def texts(self) -> list[str]:
        """[T] the tokens as a person reads them: "␣der", "⏎"."""
        return self._model.texts(self.tokens)

    @property
    def expert_count(self) -> int:
        """E, experts in a layer."""
        return self._model.config.experts

    @property
    def nll(self) -> float:
        """Mean negative log-probability of the tokens after the first, in nats."""
        return float(-np.mean(self.logprob[1:])) if len(self.logprob) > 1 else float("nan")

    def __getitem__(self, name: str) -> Value:
        """The value at a point, under any of its names. A name without a layer gives all captured layers, stacked."""
        if name in self._captured:
            return self._captured[name]
        points = _moescope.hook_points(name, self._model._native)
        found = [self._captured[point] for point in points if point in self._captured]
        if not found:
            captured = ", ".join(self.names) or "nothing"
            raise KeyError(f"{name} was not captured; captured: {captured}")
        return found[0] if len(points) == 1 else np.stack(found)

    def save(self, path: str | PathLike[str]) -> Path:
        """Writes all arrays to a file, `.npz` (numpy.load) or `.safetensors`, which appears when it is whole.

        The names are those of the points that were captured, and "tokens", "logprob", "expert_indices", "expert_weights".
        """
        arrays = {name: getattr(self, name) for name in ("tokens", "logprob", "expert_indices", "expert_weights")}
        return save(Path(path), arrays | {name: self._captured[name] for name in self.names})

    def __contains__(self, name: str) -> bool:
        return name in self._captured

    def _ipython_key_completions_(self) -> list[str]:
        return self.names

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Run holds its model and memory of the engine; keep the arrays that you need (np.save, np.savez)")

    def _repr_html_(self) -> str:
        return notebook.run(self)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        """Number of tokens, T."""
        return len(self.tokens)

    def __repr__(self) -> str:
        lines = [f"<Run of {len(self)} tokens through {self._model.name}: {self.nll:.3f} nats per token"]
        lines += [f"  {name:<32} {self._captured[name].dtype} {list(self._captured[name].shape)}" for name in self.names]
        return "\n".join(lines) + ">"


def save(path: Path, arrays: Mapping[str, Value]) -> Path:
    """Writes arrays to a file of the kind that its name says; another program sees it when it is whole, or not at all."""
    part = path.with_name(path.name + ".part")
    if path.suffix == ".npz":
        with open(part, "wb") as file:
            np.savez(file, **{name: np.asarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]
    elif path.suffix == ".safetensors":
        try:
            from safetensors.numpy import save_file
        except ImportError as error:
            raise ImportError("safetensors files need the package safetensors: pip install safetensors; or name the file .npz") from error
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, part)
    else:
        raise ValueError(f"{path}: expected a name that ends in .npz or .safetensors")
    os.replace(part, path)
    return path


def layer_of(point: str) -> int | None:
    """The layer in a point's name; None outside the layers."""
    parts = point.split(".")
    return int(parts[1]) if parts[0] == "blocks" else None


def _natural(name: str) -> tuple[int, str]:
    layer = layer_of(name)
    return (-1 if layer is None else layer, name)


def split(model: Model, batch: Sequence[Document], result: Mapping[str, Any]) -> list[Run]:
    """Each document's rows of a batch's arrays: views, not copies."""
    logprob = np.asarray(result["logprob"])
    indices = np.asarray(result["expert_indices"])
    weights = np.asarray(result["expert_weights"])
    whole = {name: value for name, value in result.items() if name not in ("logprob", "expert_indices", "expert_weights")}
    arrays = {name: np.asarray(value) for name, value in whole.items() if not isinstance(value, list)}
    runs = []
    first = 0
    for place, document in enumerate(batch):
        tokens = document.tokens
        rows = slice(first, first + len(tokens))
        first += len(tokens)
        captured = {
            name: array[:, :, rows] if name.endswith("attn.summary") else array[rows]
            for name, array in arrays.items()
        }
        captured |= {name: np.asarray(value[place]) for name, value in whole.items() if isinstance(value, list)}
        runs.append(
            Run(
                model, np.array(tokens, dtype=np.int32), logprob[rows], indices[:, rows], weights[:, rows], captured,
                document.number,
            )
        )  # fmt: skip
    return runs
