"""Five checkpoints laid out as on the Hub, and the GGUF files that `quantize` makes of them: tokens, prompts of `--chat`, ends of
answers and router logits as transformers stored them."""

import json
import struct
import sys
from pathlib import Path

import moescope as ms
import pytest

FIXTURES = Path(__file__).resolve().parents[1] / "Fixtures" / "hub-folders"
sys.path.insert(0, str(FIXTURES))

import answers  # noqa: E402

EXPECTED = json.loads((FIXTURES / "expected.json").read_text())
PROGRAM = Path(__file__).resolve().parents[2] / ".build" / "release" / "moescope"


@pytest.fixture(params=EXPECTED, ids=lambda line: line["family"])
def expected(request):
    return request.param


def test_a_folder_of_the_hub_is_what_transformers_makes_of_it(expected, tmp_path):
    folder = FIXTURES / expected["name"]
    assert ms.load(folder).notices == []
    got = answers.mine(folder, expected, folder, PROGRAM, tmp_path)
    assert set(got["endings"]) == set(expected["endings"])
    assert answers.differences(answers.shown(got), expected) == []


def test_its_gguf_file_is_the_same(expected, tmp_path):
    folder, file = FIXTURES / expected["name"], tmp_path / f"{expected['name']}.gguf"
    ms.quantize(folder, file, type="F32")
    got = answers.mine(file, expected, folder, PROGRAM)
    assert answers.differences(answers.shown(got), expected) == []


def test_a_magnitude_that_a_converter_computed_is_said(tmp_path):
    """llama.cpp's converter writes the formula's magnitude in place of Phi-3.5-MoE's own."""
    file = tmp_path / "phi.gguf"
    ms.quantize(FIXTURES / "Phi-3.5-MoE-instruct", file, type="F32")
    assert ms.load(file).notices == []
    data = file.read_bytes()
    key = b"phimoe.rope.scaling.attn_factor" + struct.pack("<I", 6)
    own, computed = (struct.pack("<f", value) for value in (1.243163121016122, 1.1902380714238083))
    assert data.count(key + own) == 1
    file.write_bytes(data.replace(key + own, key + computed))
    with pytest.warns(UserWarning, match="attn_factor is what llama.cpp's converter computes"):
        ms.load(file)
