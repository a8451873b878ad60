"""Writes the pages of the documentation that are made from the program and its files: `Scripts/docs` calls it.

    python docs_pages.py SOURCE NOTEBOOKS

SOURCE is a copy of docs/, which gets reference/command-line.md, reference/hooks.md, reference/metrics.md and changelog.md; NOTEBOOKS
(a folder of executed notebooks) becomes SOURCE/notebooks. Runs with the checkout's own package and command.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def command(*arguments: str) -> str:
    program = ROOT / ".build/release/moescope"
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout.rstrip()


def command_line() -> str:
    overview = command("--help")
    names = re.findall(r"^  ([a-z]+)  ", overview.split("SUBCOMMANDS:")[1], re.MULTILINE)
    parts = ["# Commands", "What `--help` says, of every command.", f"```text\n{overview}\n```"]
    for name in names:
        parts.append(f"## {name}\n\n```text\n{command('help', name)}\n```")
    return "\n\n".join(parts) + "\n"


def cell(text: str) -> str:
    """A text in a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def hooks() -> str:
    rows = json.loads(command("hooks", "--json"))
    lines = [
        "# Hook points", "",
        "What can be captured and edited, by these names and by those of other tools. A name without a layer stands for every layer.", "",
        "T token rows (documents packed) · D hidden size · H query heads · G key/value heads · d head size · E experts · K experts per "
        "token · V vocabulary · t tokens of one document. Layers count from 0.", "",
        "| name | shape | type | what it is | editable |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        editable = "yes" if row["editable"] else "no"
        lines.append(f"| `{row['name']}` | {cell(row['shape'])} | {row['type']} | {cell(row['summary'])} | {editable} |")
    lines += [
        "", "## What an edit does", "",
        "An edit at a point changes everything that is computed after it. Zeroing an expert's weight does not scale the others up; "
        "editing logits or scores makes the choice again; editing indices keeps the weights. Observing changes no bit of the output.", "",
        "A name that does not exist, a layer out of range, and a value that the model does not have are refused before any computation, with "
        "the nearest names and the reason.", "",
        "## Names of other tools", "",
        "An alias is accepted where its value there is the value here, for the family at hand; otherwise it is refused with the reason.", "",
        "| here | other tools |", "|---|---|",
    ]  # fmt: skip
    for row in rows:
        if row["aliases"]:
            others = ", ".join("`{name}` ({tool})".format(**alias) for alias in row["aliases"])
            lines.append(f"| `{row['name']}` | {others} |")
    return "\n".join(lines) + "\n"


def metrics(source: Path) -> str:
    limits = json.loads((source / "reference/when-not.json").read_text(encoding="utf-8"))
    parts = [
        "# Metrics",
        "Each is defined once, and has the same name on the command line (`moescope metrics TRACE NAME`), in Python (`ms.metrics.NAME(trace)`, "
        "with `_` for `-`), in the tables and in the report. Estimates have 95 % intervals from a bootstrap over documents; questions "
        "that are asked many times have p-values adjusted for all of them. Positions are a choice: the first token is left out.",
    ]
    for row in json.loads(command("metrics", "--list", "--json")):
        parts.append(
            f"## {row['name']}\n\n{row['title']}.\n\n> `{row['formula']}`\n\n**Source**: {row['source']}\n\n"
            f"**When not to use it**: {limits[row['name']]}"
        )
    return "\n\n".join(parts) + "\n"


def notebooks(executed: Path, target: Path) -> None:
    target.mkdir()
    names = sorted(path.stem for path in executed.glob("*.ipynb"))
    for name in names:
        shutil.copy(executed / f"{name}.ipynb", target)
    index = "# Notebooks\n\nExecuted when this site was built. In a checkout, `make notebooks` opens them in JupyterLab.\n\n"
    (target / "index.md").write_text(index + "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(names) + "\n```\n", encoding="utf-8")


def main() -> None:
    source, executed = Path(sys.argv[1]), Path(sys.argv[2])
    (source / "reference/command-line.md").write_text(command_line(), encoding="utf-8")
    (source / "reference/hooks.md").write_text(hooks(), encoding="utf-8")
    (source / "reference/metrics.md").write_text(metrics(source), encoding="utf-8")
    (source / "changelog.md").write_text((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), encoding="utf-8")
    notebooks(executed, source / "notebooks")
    example = ROOT / "Reports/Example"
    shutil.copy(example / "page.png", source)
    (source / "extra/example").mkdir(parents=True, exist_ok=True)
    shutil.copy(example / "index.html", source / "extra/example")
    index = source / "index.md"
    text = index.read_text(encoding="utf-8").replace("../Reports/Example/page.png", "page.png")
    if not (source / "scale.md").exists():
        text = text.replace("\nscale\n", "\n")
    index.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
