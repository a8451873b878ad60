"""Hook points: what there is, and names that an editor or a notebook completes: `model.points.blocks[3].attn.pattern`."""

from __future__ import annotations

from collections.abc import Iterable

from moescope import _moescope
from moescope.tables import Table

_LAYER = "blocks.{l}."


class Points:
    """Attributes are names of hook points, as str; those of layers stand for every layer, and `blocks[3]` has those of one."""

    def __init__(self, names: Iterable[str], prefix: str = "") -> None:
        self._names = list(names)
        self._prefix = prefix
        #: One for each layer.
        self.blocks: list[Points] = []

    def of(self, layers: int) -> Points:
        """These points for a model with so many layers."""
        per_layer = [name.removeprefix(_LAYER) for name in self._names if name.startswith(_LAYER)]
        found = Points(per_layer + [name for name in self._names if not name.startswith(_LAYER)])
        found.blocks = [Points(per_layer, f"blocks.{layer}.") for layer in range(layers)]
        return found

    def __getattr__(self, name: str) -> str | Points:
        if name in self._names:
            return self._prefix + name
        inner = [point.removeprefix(f"{name}.") for point in self._names if point.startswith(f"{name}.")]
        if not inner:
            raise AttributeError(f"no hook point is called {name!r}; there are {', '.join(self._names)}")
        return Points(inner, f"{self._prefix}{name}.")

    def __dir__(self) -> list[str]:
        first = dict.fromkeys(name.partition(".")[0] for name in self._names)
        return [*first, *(["blocks"] if self.blocks else [])]

    def __repr__(self) -> str:
        return f"<hook points: {', '.join(self._prefix + name for name in self._names)}>"


def hooks() -> Table:
    """Every hook point: name, shape, type, whether it can be edited, what it is."""
    return Table(_moescope.hooks())
