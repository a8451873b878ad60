"""A model's weights as arrays, and its last step as a function.

L layers · E experts · D hidden size · F expert width · V vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from moescope import _arguments, _moescope
from moescope.tables import Table, table

Floats = NDArray[np.float32]


class Expert(NamedTuple):
    """What one expert computes: down @ (silu(gate @ x) * (up @ x)), for most families."""

    #: [F, D]; Mixtral's w1.
    gate: Floats
    #: [F, D]; w3.
    up: Floats
    #: [D, F]; w2.
    down: Floats


class Weights:
    """A model's weights, each a copy in float32 when it is asked for, whatever its type in the file.

        model.weights.router(3)                  # [E, D]
        model.weights.expert(3, 5).down          # [D, F]
        model.weights["attention_norm", 3]       # any of model.weights.table()

    Linear weights are [out, in]. Queries and keys have the order of rows that the file has.
    """

    def __init__(self, native: _moescope.Model) -> None:
        self._native = native
        entries = json.loads(native.inventory)
        self._counts = {(entry["role"], entry.get("layer")): (entry["shape"], entry["count"]) for entry in entries}

    @property
    def router_layers(self) -> list[int]:
        """Layers that have a router, rising."""
        return [layer for role, layer in self._counts if role == "router" and layer is not None]

    def router(self, layer: int | None = None) -> Floats:
        """[E, D] of a layer, or [layers, E, D] of all in `router_layers`: logits are x @ router(layer).T for x as the router reads
        it, after the norm before it."""
        if layer is not None:
            return self["router", layer]
        return np.stack([self["router", number] for number in self.router_layers])

    def expert(self, layer: int, number: int) -> Expert:
        """The three matrices of one expert."""
        return Expert(*(self[role, layer, number] for role in ("expert_gate", "expert_up", "expert_down")))

    def embedding(self) -> Floats:
        """[V, D]"""
        return self["embedding"]

    def output(self) -> Floats:
        """[V, D]; the embedding itself where the model ties them."""
        return self["output"]

    def table(self) -> Table:
        """What there is: role, layer, shape of one, and how many (E for those of experts)."""
        rows = [(role, layer, "×".join(map(str, shape)), count) for (role, layer), (shape, count) in self._counts.items()]
        return table(dict(zip(("role", "layer", "shape", "count"), zip(*rows, strict=True), strict=True)), "weights")

    def __getitem__(self, key: str | tuple[Any, ...]) -> Floats:
        """A weight by its role; with its layer, and for those of experts the expert's number.

        Raises KeyError for a weight that the model does not have, ValueError for a layer or expert out of range.
        """
        role, *place = (key,) if isinstance(key, str) else key
        layer, expert = [None if value is None else _arguments.integer(value, "weights") for value in (*place, None, None)][:2]
        return np.asarray(self._native.tensor(role, layer, expert))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(role for role, _ in self._counts))

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        return f"<Weights: {', '.join(self)}>"


def last_step(native: _moescope.Model, residual: Any, width: int, *, logits: bool) -> Floats:
    """The model's last norm of rows of the residual stream [..., D], and the product with the vocabulary."""
    rows = np.asarray(residual, dtype="<f4")
    if rows.ndim == 0 or rows.shape[-1] != width:
        raise ValueError(f"residual: expected an array [..., {width}], found {list(rows.shape)}")
    if not rows.size:
        raise ValueError("residual: expected at least one row")
    value = np.asarray(native.finish(np.ascontiguousarray(rows).tobytes(), logits)["logits" if logits else "final_norm"])
    return value.reshape(*rows.shape[:-1], value.shape[-1])
