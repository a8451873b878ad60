"""Writes the five folders, and expected.json: what transformers makes of them.

    .venv-parity/bin/python Tests/Fixtures/hub-folders/make.py

Made with torch 2.15.0, transformers 5.23.0, tokenizers 0.23.3, sentencepiece 0.2.3, seed 7. Of the texts' ids a sum is kept for all
and the ids themselves for the first sixty; router logits are rounded to five decimals.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import answers
import checkpoints

HERE = Path(__file__).parent


def rounded(value: Any) -> Any:
    return [rounded(item) for item in value] if isinstance(value, list) else round(value, 5)


def main() -> None:
    lines = []
    for family, checkpoint in checkpoints.CHECKPOINTS.items():
        shutil.rmtree(HERE / checkpoint.name, ignore_errors=True)
        folder = checkpoints.write(checkpoint, HERE)
        with tempfile.TemporaryDirectory() as scratch:
            found = answers.theirs(folder, Path(scratch))
        found["documents"] = [{key: rounded(value) for key, value in document.items()} for document in found["documents"]]
        lines.append({"family": family, "name": checkpoint.name} | answers.shown(found))
    text = "[\n" + ",\n".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines) + "\n]\n"
    (HERE / "expected.json").write_text(text)


main()
