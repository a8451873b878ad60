"""Runs combinations through transformers and through MoEScope, as folders, as the GGUF files that `quantize` makes of them, and
as GGUF files with keys as they are found.

    python compare.py OUTPUT.jsonl PART PARTS [all | sample | few]

One line for each: what the reference said, and what came of each format. Needs torch, transformers and moescope.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import grid
import moescope as ms
import ours
import reference


def attempt(path: Path, expected: list[dict[str, Any]] | None) -> dict[str, Any]:
    try:
        mine, notices = ours.run(path)
    except (ms.CheckpointError, ValueError, FileNotFoundError) as error:
        return {"outcome": "refused", "reason": str(error).replace(str(path.parent), "").replace(str(path), "")}
    if expected is None:
        return {"outcome": "reference refused", "notices": notices}
    if far := ours.difference(mine, expected):
        return {"outcome": "differs", "by": far, "notices": notices}
    return {"outcome": "equal", "notices": notices}


def converted(folder: Path, expected: list[dict[str, Any]] | None) -> dict[str, Any]:
    target = folder / "converted.gguf"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ms.quantize(folder, target, type="F32")
    except (ms.CheckpointError, ValueError, FileNotFoundError) as error:
        return {"outcome": "refused", "reason": str(error).replace(str(folder), "")}
    return attempt(target, expected)


def main() -> None:
    output, part, parts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chosen = grid.chosen(sys.argv[4] if len(sys.argv) > 4 else "sample")
    with output.open("w") as file, tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "weights"
        grid.write_weights(weights)
        for number, combination in enumerate(chosen):
            if number % parts != part:
                continue
            folder, mine = combination.write(Path(scratch) / str(number), weights)
            line: dict[str, Any] = {"name": combination.name, "choices": combination.choices}
            expected = None
            try:
                expected = reference.run(reference.load(folder))
            except Exception as error:  # whatever it is, the reference does not run this
                line["reference"] = f"{type(error).__name__}: {error}"[:200]
            line[combination.format] = attempt(mine, expected)
            if combination.format == "hf" and line["hf"]["outcome"] != "refused":
                line["converted"] = converted(folder, expected)
            file.write(json.dumps(line) + "\n")
            for path in folder.iterdir():
                path.unlink()


main()
