"""Tables: named columns that pandas, Polars, DuckDB and pyarrow take as they are."""

from __future__ import annotations

import html
import operator
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, SupportsIndex, overload

from moescope import _moescope

_SHOWN_ROWS = 20


class Table:
    """Named columns of equal length; a missing value is None.

    Speaks Arrow's PyCapsule interface: `pyarrow.table(t)`, `polars.DataFrame(t)`, `duckdb.sql("from t")`,
    `pandas.DataFrame.from_arrow(t)` take it without a copy of ours in between.
    """

    def __init__(self, native: _moescope.Table) -> None:
        self._native = native

    @property
    def name(self) -> str:
        return self._native.name

    @property
    def columns(self) -> list[str]:
        return self._native.columns

    @property
    def notes(self) -> dict[str, str]:
        """How the numbers came to be: definition, source, sample, seeds."""
        return self._native.notes

    def __len__(self) -> int:
        return len(self._native)

    @overload
    def __getitem__(self, column: str) -> list[Any]: ...
    @overload
    def __getitem__(self, column: SupportsIndex) -> dict[str, Any]: ...
    def __getitem__(self, column: str | SupportsIndex) -> list[Any] | dict[str, Any]:
        """The values of a column, by its name; or a row as a dict, by its number (-1 is the last)."""
        if isinstance(column, str):
            return self._native.column(column)
        row = operator.index(column)
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row}: the table {self.name} has {len(self)} rows")
        return {name: self[name][row] for name in self.columns}

    def _ipython_key_completions_(self) -> list[str]:
        return self.columns

    def __reduce__(self) -> tuple[Any, ...]:
        return table, ({name: self[name] for name in self.columns}, self.name)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Rows, as dicts."""
        names = self.columns
        for values in zip(*(self[name] for name in names), strict=True):
            yield dict(zip(names, values, strict=True))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._native.__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> Any:
        """A pandas.DataFrame (needs pandas)."""
        import pandas  # type: ignore[import-untyped, unused-ignore]

        return pandas.DataFrame({name: self[name] for name in self.columns})

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Writes UTF-8 CSV (RFC 4180) with a header line; a missing value is an empty field.

        Text that a spreadsheet would run as a formula gets an apostrophe in front, and so does text that begins with one:
        to get the data back, drop one leading apostrophe. Numbers read back exactly.
        """
        with open(path, "w", newline="", encoding="utf-8") as file:
            file.write(self._native.csv())

    def _cells(self, limit: int) -> list[list[str]]:
        columns = [[_show(value) for value in self[name][:limit]] for name in self.columns]
        return [list(row) for row in zip(*columns, strict=True)]

    def __str__(self) -> str:
        """Every row, aligned."""
        return self._text(len(self))

    def __repr__(self) -> str:
        text = self._text(_SHOWN_ROWS)
        hidden = len(self) - _SHOWN_ROWS
        return text + (f"\n… {hidden} more rows" if hidden > 0 else "")

    def _text(self, limit: int) -> str:
        rows = [self.columns, *self._cells(limit)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.columns))]
        numeric = [not any(isinstance(value, str) for value in self[name]) for name in self.columns]
        lines = []
        for row in rows:
            cells = [c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)]
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._cells(_SHOWN_ROWS)
        )
        more = f"<p>{len(self)} rows</p>" if len(self) > _SHOWN_ROWS else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def table(columns: Mapping[str, Sequence[object]], name: str = "table") -> Table:
    """A table of your own numbers: columns of bool, int, float or str, None for a missing value."""
    pairs = [(key, [_plain(value) for value in values]) for key, values in columns.items()]
    return Table(_moescope.table(name, pairs))


def _plain(value: object) -> object:
    """NumPy's scalars as Python's."""
    item = getattr(value, "item", None)
    return item() if callable(item) else value


def _show(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
