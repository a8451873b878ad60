"""Experiments: what changing the routing costs every group, paired by document, beside controls."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, cast

from moescope import _arguments, _moescope
from moescope.corpora import Corpus, source
from moescope.interventions import Intervention, to_json
from moescope.metrics import Settings, _values
from moescope.model import Model
from moescope.progress import display
from moescope.tables import Table

class ExperimentSettings(TypedDict, total=False):
    """What shapes the intervals and tests of an experiment; as in `moescope.metrics.Settings`."""

    bootstrap: int
    permutations: int
    minimum_documents: int
    seed: int


Design = Literal["ablation", "steering", "top-k", "random-routing"]


class Experiment:
    """What came of an experiment. `moescope report --compare FOLDER` shows its folder, as does `moescope.report`."""

    def __init__(self, tables: Iterable[Table], path: Path, temporary: tempfile.TemporaryDirectory[str] | None = None) -> None:
        #: "effects"; "contrasts" and "contrasts-per-weight" where there are controls; "matrix" where arms take single experts away.
        self.tables = {table.name: table for table in tables}
        #: plan.json, nll.jsonl, result.json and the tables as CSV.
        self.path = path
        self._temporary = temporary

    @property
    def effects(self) -> Table:
        """Every arm's effect on every group: ΔNLL in nats per token, with interval, p and q. The row with pooled = 1 is all
        documents together."""
        return self.tables["effects"]

    @property
    def contrasts(self) -> Table:
        """What a group's own experts cost it beyond each control."""
        return self._get("contrasts", "no arm has controls")

    @property
    def matrix(self) -> Table:
        """What each expert is worth to each group."""
        return self._get("matrix", "no arm takes a single expert away")

    def _get(self, name: str, why: str) -> Table:
        if name not in self.tables:
            raise AttributeError(f"the experiment has no {name}: {why}")
        return self.tables[name]

    def __repr__(self) -> str:
        return f"<Experiment {self.path}: {len(set(self.effects['arm']))} arms, {', '.join(self.tables)}>"


def experiment(
    model: Model,
    corpus: Corpus,
    design: Design | None = None,
    *,
    arms: Mapping[str, Sequence[Intervention] | Intervention] | None = None,
    output: str | PathLike[str] | None = None,
    text: str | None = None,
    group: str | None = None,
    id: str | None = None,
    layers: Iterable[int] | None = None,
    experts_per_layer: int = 1,
    random_controls: int = 20,
    strength: float = 1.0,
    renormalize: bool = False,
    matrix: bool = False,
    counts: Iterable[int] | None = None,
    max_tokens: int | None = None,
    max_documents: int | None = None,
    resume: bool = False,
    progress: bool | Callable[[int, int], object] = False,
    **settings: Unpack[ExperimentSettings],
) -> Experiment:
    """Runs the untouched model and every variant over the same documents, and compares them document by document.

    corpus, text, group, id: as for `moescope.trace`.
    design: "ablation" takes each group's most distinctive expert of every layer away, "steering" raises its router logit by
        `strength` standard deviations. Both choose experts on one half of the documents and score the other, and both have
        controls: for "ablation", random other experts that meet the same share of the group's tokens. "top-k" changes the number of experts per token (`counts`),
        "random-routing" draws experts at random.
    arms: variants of your own instead of a design: a name, and the interventions made together under it.
    output: the experiment's folder, made here; without it, one that is deleted with the result.
    layers: the layers that a design changes; without it, all.
    random_controls: random draws of each group's control; how much they differ is part of the contrast's interval.
    matrix: for "ablation", every expert of every layer by itself as well.
    renormalize: for "ablation", divide the weights of the experts left by their sum.
    max_tokens, max_documents: cut documents to so many tokens; take so many documents of each group.
    resume: go on with an interrupted experiment of the same plan.
    progress: True for a bar (tqdm's where it is installed), or a callable(passes, all passes).
    settings: bootstrap, permutations, minimum_documents, seed (of controls too).
    """
    if (design is None) == (arms is None):
        raise TypeError("experiment: expected a design or arms=")
    options: dict[str, Any] = {
        "kind": design if design is not None else "arms",
        "arms": None,
        "layers": _arguments.integers(layers, "layers") if layers is not None else None,
        "experts_per_layer": experts_per_layer,
        "random_controls": random_controls,
        "strength": strength,
        "renormalize": renormalize,
        "matrix": matrix,
        "counts": _arguments.integers(counts, "counts", minimum=1) if counts is not None else None,
        "max_tokens": max_tokens,
        "max_documents": max_documents,
        "resume": resume,
        "settings": _values("experiment", cast(Settings, settings)),
    }
    if arms is not None:
        options["arms"] = [{"name": name, "changes": json.loads(to_json(changes))} for name, changes in arms.items()]
    path, documents = source(model, corpus, text=text, group=group, id=id, max_tokens=max_tokens)
    temporary = tempfile.TemporaryDirectory(prefix="moescope-") if output is None else None
    folder = Path(temporary.name) / "experiment" if temporary is not None else Path(fspath(output or ""))
    shown = display("experiment", "passes") if progress is True else None
    report = shown if shown is not None else progress if callable(progress) else None
    try:
        tables = _moescope.experiment(model._native, path, documents, fspath(folder), json.dumps(options), report)
    finally:
        if shown is not None:
            shown.end()
    return Experiment(map(Table, tables), folder, temporary)
