"""The README's layout names every target of the package, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_layout_names_every_target() -> None:
    package = (ROOT / "Package.swift").read_text()
    targets = set(re.findall(r"\.(?:target|executableTarget|systemLibrary)\(\s*name: \"(\w+)\"", package))
    targets -= {"CAllocationCount", "CThreadSanitizer", "CTileEmulation", "TestSupport"}  # they lie in Tests/
    assert targets == {folder.name for folder in (ROOT / "Sources").iterdir() if folder.is_dir()}
    layout = (ROOT / "README.md").read_text().split("## Layout")[1].split("Tests/")[0]
    named = {word for word in re.findall(r"\b[A-Za-z]+\b", layout) if word in targets or word[0] == "C" and word[1:2].isupper()}
    assert named == targets
