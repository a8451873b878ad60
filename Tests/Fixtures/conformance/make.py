"""Writes expected.json: what transformers makes of the combinations that `make test` runs, rounded to five decimals.

    python make.py

Made with torch 2.15 and transformers 5.23; grid.py makes the checkpoints again from their seeds.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import grid
import reference


def rounded(value: Any) -> Any:
    return [rounded(item) for item in value] if isinstance(value, list) else round(value, 5)


def main() -> None:
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        grid.write_weights(Path(scratch) / "weights")
        for number, combination in enumerate(grid.chosen("few")):
            folder, _ = combination.write(Path(scratch) / str(number), Path(scratch) / "weights")
            line: dict[str, Any] = {"name": combination.name}
            try:
                documents = reference.run(reference.load(folder))
                line["documents"] = [{key: rounded(value) for key, value in document.items()} for document in documents]
            except Exception as error:  # whatever it is, the reference does not run this
                line["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:120]
            lines.append(line)
    text = "[\n" + ",\n".join(json.dumps(line, separators=(",", ":")) for line in lines) + "\n]\n"
    (Path(__file__).parent / "expected.json").write_text(text)


main()
