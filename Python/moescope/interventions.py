"""Declared changes of the routing. They run inside the engine, combine freely, and are recorded in traces.

Every function takes where it applies: `layer` or `layers` (default: all), `positions` in the document (from 0), `tokens`
(ids), `groups` (languages). Conditions are joined by "and". Interventions that change logits come before the choice of
experts, those that change weights after it; otherwise they apply in the order given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from moescope import _arguments


class Where(TypedDict, total=False):
    """Where an intervention applies; everywhere without."""

    layer: int
    layers: Iterable[int]
    positions: Iterable[int]
    tokens: Iterable[int]
    groups: Iterable[str]


@dataclass(frozen=True)
class Intervention:
    """One change of the routing. Made by the functions of this module.

    `fields` is the form in which traces and experiment plans record it too: "kind", what the kind needs, and where it applies.
    """

    fields: Mapping[str, Any]

    def __repr__(self) -> str:
        parts = [f"{key}={value!r}" for key, value in self.fields.items() if key != "kind"]
        return f"{self.fields['kind']}({', '.join(parts)})"


def _make(kind: str, values: dict[str, Any], where: Where) -> Intervention:
    scope: dict[str, Any] = {}
    layers = _arguments.integers(where["layers"], "layers") if "layers" in where else []
    if "layer" in where:
        layers += _arguments.integers([where["layer"]], "layer")
    if "layers" in where and not layers:
        raise ValueError(f"{kind}: layers: expected at least one; without it, every layer is meant")
    if layers:
        scope["layers"] = sorted(set(layers))
    if "positions" in where:
        scope["positions"] = sorted(set(_arguments.integers(where["positions"], "positions")))
    if "tokens" in where:
        scope["tokens"] = sorted(set(_arguments.integers(where["tokens"], "tokens")))
    if "groups" in where:
        groups = where["groups"]
        scope["groups"] = sorted({groups} if isinstance(groups, str) else set(groups))
    unknown = set(where) - {"layer", "layers", "positions", "tokens", "groups"}
    if unknown:
        raise TypeError(f"{kind}: unknown argument {sorted(unknown)[0]!r}; where: layer, layers, positions, tokens, groups")
    return Intervention({"kind": kind, **values, **scope})


def _experts(experts: Iterable[int] | int) -> list[int]:
    return _arguments.integers(experts, "experts")


def ablate(*, experts: Iterable[int] | int, renormalize: bool = False, **where: Unpack[Where]) -> Intervention:
    """The experts' mixing weights become 0. The other chosen ones are left as they are, or with `renormalize` scaled
    so that the row keeps its sum."""
    return _make("ablate", {"experts": _experts(experts), "renormalize": renormalize}, where)


def scale(*, experts: Iterable[int] | int, by: float, **where: Unpack[Where]) -> Intervention:
    """The experts' mixing weights are multiplied by `by`."""
    return _make("scale", {"experts": _experts(experts), "by": float(by)}, where)


def force(*, experts: Iterable[int] | int, **where: Unpack[Where]) -> Intervention:
    """These experts are chosen, whatever the router says, weighted by the router's own probabilities."""
    return _make("force", {"experts": _experts(experts)}, where)


def exclude(*, experts: Iterable[int] | int, **where: Unpack[Where]) -> Intervention:
    """These experts are never chosen: the next best take their place."""
    return _make("exclude", {"experts": _experts(experts)}, where)


def steer(*, experts: Iterable[int] | int, by: float | None = None, hard: bool = False, **where: Unpack[Where]) -> Intervention:
    """Soft: z += by · std(z) for these experts, std over the row's logits. Hard: z = max(z) + 0.01 (arXiv 2510.04694)."""
    if hard:
        if by is not None:
            raise ValueError("steer: hard steering has no strength; leave out `by`")
        return _make("steer_hard", {"experts": _experts(experts)}, where)
    if by is None:
        raise ValueError("steer: expected `by` (a multiple of the logits' standard deviation) or hard=True")
    return _make("steer", {"experts": _experts(experts), "by": float(by)}, where)


def top_k(k: int, **where: Unpack[Where]) -> Intervention:
    """Chooses k experts per token instead of the model's number."""
    return _make("top_k", {"count": _arguments.integer(k, "top_k")}, where)


def random_routing(seed: int, **where: Unpack[Where]) -> Intervention:
    """Logits become independent standard normal numbers, a function of seed, document, position and layer."""
    return _make("random_routing", {"seed": _arguments.integer(seed, "seed")}, where)


def replace_with(*, expert: int, other: int, **where: Unpack[Where]) -> Intervention:
    """Tokens routed to `expert` go to `other`, with the same weight."""
    return _make("replace", {"experts": [_arguments.integer(expert, "expert")], "with": _arguments.integer(other, "other")}, where)


def to_json(interventions: Sequence[Intervention] | Intervention) -> str:
    """The form in which the engine takes them; one may stand by itself."""
    interventions = [interventions] if isinstance(interventions, Intervention) else interventions
    for intervention in interventions:
        if not isinstance(intervention, Intervention):
            raise TypeError(f"interventions: expected what moescope.ablate and its kin return, found {intervention!r}")
    return json.dumps([dict(intervention.fields) for intervention in interventions])
