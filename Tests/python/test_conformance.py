"""Two hundred of `make conformance`'s combinations: transformers' stored numbers, or a refusal with a reason."""

import json
import sys
from pathlib import Path

import pytest

import moescope as ms

FIXTURES = Path(__file__).resolve().parents[1] / "Fixtures" / "conformance"
sys.path.insert(0, str(FIXTURES))

import grid  # noqa: E402
import ours  # noqa: E402


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    grid.write_weights(folder)
    return folder


def outcome(path, line):
    """None where all is as it should be, else what is wrong; and whether it was refused."""
    try:
        mine, _ = ours.run(path)
    except (ms.CheckpointError, FileNotFoundError) as error:
        assert ": " in str(error)
        return None, True
    return ours.difference(mine, line["documents"]) if "documents" in line else None, False


def test_folders_and_files_are_what_transformers_makes_of_them(weights, tmp_path):
    expected = json.loads((FIXTURES / "expected.json").read_text())
    chosen = grid.chosen("few")
    assert [line["name"] for line in expected] == [combination.name for combination in chosen]
    wrong, refused = [], 0
    for number, (combination, line) in enumerate(zip(chosen, expected, strict=True)):
        folder, mine = combination.write(tmp_path / str(number), weights)
        problem, is_refused = outcome(mine, line)
        refused += is_refused and "documents" in line
        if problem:
            wrong.append(f"{combination.name}: {problem}")
        if combination.format == "hf" and not is_refused:
            target = folder / "converted.gguf"
            try:
                ms.quantize(folder, target, type="F32")
            except (ms.CheckpointError, FileNotFoundError):
                continue
            problem, is_refused = outcome(target, line)
            assert not is_refused, f"{combination.name}: written, and not read"
            if problem:
                wrong.append(f"{combination.name}, converted: {problem}")
    assert not wrong
    # What transformers runs and we refuse stays the exception.
    assert refused < len(chosen) / 8
