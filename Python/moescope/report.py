"""The report: a page and tables made from a trace."""

from __future__ import annotations

import warnings
from os import PathLike, fspath

from moescope import _moescope
from moescope.traces import Trace


def report(
    trace: Trace,
    *,
    html: str | PathLike[str] | None = None,
    csv: str | PathLike[str] | None = None,
    title: str | None = None,
) -> None:
    """Writes the page `html` (one file that needs no network), the folder of tables `csv`, or both.

    Warns where the library that draws the page's figures is not there; the page then shows tables.
    """
    if html is None and csv is None:
        raise ValueError("report: expected html=, csv= or both")
    advice = _moescope.report(
        trace._native, fspath(html) if html is not None else None, fspath(csv) if csv is not None else None, title
    )
    if advice:
        warnings.warn(advice, stacklevel=2)
