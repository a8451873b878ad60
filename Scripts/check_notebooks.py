"""Stops with the names of notebooks that were committed with outputs, execution counts, or someone's own paths."""

import json
import subprocess
import sys


def complaints(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        notebook = json.load(file)
    found = []
    for number, cell in enumerate(notebook.get("cells", []), start=1):
        if cell.get("outputs"):
            found.append(f"{path}: cell {number} has outputs")
        if cell.get("execution_count") is not None:
            found.append(f"{path}: cell {number} has an execution count")
    return found


listed = subprocess.run(["git", "ls-files", "-z", "*.ipynb"], check=True, capture_output=True, text=True).stdout
problems = [line for path in listed.split("\0") if path for line in complaints(path)]
if problems:
    sys.exit("\n".join(problems) + "\nStrip them: jupyter nbconvert --clear-output --inplace NOTEBOOK")
