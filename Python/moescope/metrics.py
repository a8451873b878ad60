"""Routing metrics of a trace, each under the name that the command line, the tables and the report use.

    ms.metrics.information(trace, by="group")            # a table: one row per layer, with interval and p-value
    ms.metrics.repetition.tables(trace)                  # every table of a metric that has several
    ms.metrics.compare(exact, fast)["agreement"]         # two traces of the same tokens; more: saturation
    print(ms.metrics.information.__doc__)                # formula and source
    ms.metrics.names()                                   # what there is
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypedDict, Unpack

from moescope import _arguments, _moescope
from moescope.tables import Table
from moescope.traces import Trace

Grouping = Literal["group", "length"]
Positions = Literal["prompt", "generated", "all"]


class Settings(TypedDict, total=False):
    """What shapes every number besides the trace."""

    #: What makes a group of documents: "group" (as the corpus says) or "length" (quarters by tokens).
    by: Grouping
    #: Which tokens: "prompt" (all that were read; the default), "generated" (by the model), "all".
    positions: Positions
    #: Only these layers.
    layers: Iterable[int]
    #: Rows left out at the start of each document: 1 leaves out BOS.
    skip: int
    #: Bootstrap replicates over documents.
    bootstrap: int
    #: Permutations of group labels over documents.
    permutations: int
    #: Of intervals: 0.95.
    level: float
    #: Documents a group needs to be shown.
    minimum_documents: int
    seed: int
    #: Group that task_experts compares with: all other groups, where left out.
    reference: str
    #: Difference beyond which task_experts counts an expert in.
    threshold: float
    #: Occurrences a token id needs to be shown.
    minimum_count: int
    #: For coactivation: only pairs of neighbouring ranks, as OLMoE's script counts them.
    adjacent_ranks: bool
    threads: int


#: Metrics of several traces, for `compare`.
_COMPARISONS = ("agreement", "saturation")


class Metric:
    """One metric. Call it with a trace; its docstring has formula and source."""

    def __init__(self, name: str, title: str, formula: str, source: str) -> None:
        self.name = name
        self.title = title
        self.formula = formula
        self.source = source
        self.__doc__ = f"{title}\n\n{formula}\n\nSource: {source}"

    def __call__(self, trace: Trace, **settings: Unpack[Settings]) -> Table:
        """The metric's main table."""
        return next(iter(self.tables(trace, **settings).values()))

    def tables(self, trace: Trace, **settings: Unpack[Settings]) -> dict[str, Table]:
        """Every table of the metric, by name; the first is the main one."""
        tables = _moescope.metric(trace._native, self.name, _json(self.name, settings))
        return {table.name: Table(table) for table in tables}

    def __repr__(self) -> str:
        return f"<metric {self.name}: {self.title}>"


def compare(first: Trace, second: Trace, *more: Trace, **settings: Unpack[Settings]) -> dict[str, Table]:
    """How far traces of the same tokens agree, as `moescope compare` says it.

    Of two: "agreement" and "agreement-margins" by layer, "agreement-overall" and "agreement-overall-margins" for all layers
    together, and "agreement-nll", the first trace being the reference. Of more, in the order of
    training: "saturation" and "saturation-nll", each trace against the last.
    """
    natives = [trace._native for trace in (first, second, *more)]
    return {table.name: Table(table) for table in _moescope.compare(natives, _json("compare", settings))}


def paired(
    first: Sequence[float],
    second: Sequence[float],
    *,
    tokens: Sequence[int],
    groups: Sequence[str] | None = None,
    **settings: Unpack[Settings],
) -> Table:
    """What a change does to the negative log-likelihood, paired by document: interval by bootstrap over documents, p-value by
    flipping signs.

    first, second: each document's sum of negative log-likelihood in nats, without and with the change.
    tokens: how many tokens each sum is over.
    groups: each document's group. The first row is all documents together, and a row follows for each group.
    """
    documents = {
        "first": [float(value) for value in first],
        "second": [float(value) for value in second],
        "tokens": _arguments.integers(tokens, "tokens"),
        "groups": [str(group) for group in groups] if groups is not None else [""] * len(first),
    }
    return Table(_moescope.paired(json.dumps(documents), _json("paired", settings)))


def names() -> list[str]:
    """Names of all metrics of one trace, in the report's order."""
    return [name for name in _all() if name not in _COMPARISONS]


def _json(name: str, settings: Settings) -> str:
    return json.dumps(_values(name, settings))


def _values(name: str, settings: Settings) -> dict[str, Any]:
    values: dict[str, Any] = dict(settings)
    unknown = set(values) - set(Settings.__annotations__)
    if unknown:
        known = ", ".join(Settings.__annotations__)
        raise TypeError(f"{name}: unknown setting {sorted(unknown)[0]!r}; there are {known}")
    if "layers" in values:
        values["layers"] = _arguments.integers(values["layers"], "layers")
    return values


def _all() -> dict[str, Metric]:
    definitions = json.loads(_moescope.metric_definitions())
    return {d["name"]: Metric(d["name"], d["title"], d["formula"], d["source"]) for d in definitions}


def __getattr__(name: str) -> Metric:
    found = _all()
    metric = found.get(name.replace("_", "-")) or found.get(name)
    if metric is None:
        raise AttributeError(f"no metric is called {name!r}; there are {', '.join(found)}")
    return metric


def __dir__() -> list[str]:
    return [*globals(), *(name.replace("-", "_") for name in names())]
