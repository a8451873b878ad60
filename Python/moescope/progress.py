"""Bars and lines that say how far something is: tqdm's where it is installed."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any, Final, Protocol

#: Seconds between two lines of progress.
_SECONDS: Final = 0.2


def put_line(text: str) -> None:
    """Puts a line in place of the last one on a terminal; elsewhere below it."""
    sys.stderr.write(f"\r\x1b[K{text}" if sys.stderr.isatty() else f"{text}\n")
    sys.stderr.flush()


class Display(Protocol):
    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """`done` of `total` (None: nobody knows) are done."""

    def end(self) -> None: ...


def display(title: str, unit: str) -> Display:
    """A bar of tqdm, in a notebook its widget; without tqdm a line on standard error."""
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return _Line(unit)
    return _Bar(tqdm, title, unit)


class _Bar:
    def __init__(self, make: Any, title: str, unit: str) -> None:
        self._make, self._title, self._unit = make, title, unit
        self._bar: Any = None

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        if self._bar is None:
            with warnings.catch_warnings():
                # Without ipywidgets, tqdm says so and goes on as text.
                warnings.simplefilter("ignore")
                self._bar = self._make(total=total, initial=done, unit=f" {self._unit}", unit_scale=True, desc=self._title)
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Line:
    """How many, how many per second, and the time left: one line on a terminal, a few lines elsewhere."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._start = time.monotonic()
        self._first: int | None = None
        self._last = 0.0
        self._is_terminal = sys.stderr.isatty()

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        now = time.monotonic()
        self._first = done if self._first is None else self._first
        wait = _SECONDS if self._is_terminal else 10.0
        if now - self._last < wait and done != total:
            return
        self._last = now
        rate = (done - self._first) / max(now - self._start, 1e-9)
        of = "" if total is None else f" of {total:,}"
        left = f", {(total - done) / rate:.0f} s left" if rate > 0 and total is not None and done < total else ""
        text = f"{done:,}{of} {self._unit}{', ' if note else ''}{note}, {rate:,.0f} {self._unit}/s{left}"
        put_line(text)

    def end(self) -> None:
        if self._is_terminal:
            sys.stderr.write("\n")
