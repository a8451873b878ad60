"""The report: a page and tables made from a trace, and from what stands beside it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import PathLike, fspath

from moescope import _moescope
from moescope.experiments import Experiment
from moescope.traces import Trace


def report(
    trace: Trace,
    *,
    html: str | PathLike[str] | None = None,
    csv: str | PathLike[str] | None = None,
    title: str | None = None,
    compare: Trace | None = None,
    series: Sequence[Trace] = (),
    experiment: Experiment | str | PathLike[str] | None = None,
) -> None:
    """Writes the page `html` (one file that needs no network), the folder of tables `csv`, or both.

    compare: a second trace of the same tokens, held against the first.
    series: traces of the same tokens by earlier checkpoints, in the order of training.
    experiment: what `moescope.experiment` returned, or the folder of an experiment on the same model.

    Warns where the library that draws the page's figures is not there; the page then shows tables.
    """
    if html is None and csv is None:
        raise ValueError("report: expected html=, csv= or both")
    folder = experiment.path if isinstance(experiment, Experiment) else experiment
    advice = _moescope.report(
        trace._native,
        fspath(html) if html is not None else None,
        fspath(csv) if csv is not None else None,
        title,
        compare._native if compare is not None else None,
        [earlier._native for earlier in series],
        fspath(folder) if folder is not None else None,
    )
    if advice:
        warnings.warn(advice, stacklevel=2)
