"""Chat templates in the sandbox, against what transformers renders; quantizing from Python."""

import json

import moescope as ms
import numpy as np
import pytest
from moescope.chat import render


def test_templates_render_as_in_transformers(root):
    fixture = json.loads((root / "Tests/Fixtures/chat/templates.json").read_text())
    for case in fixture["cases"]:
        assert render(fixture["template"], case["messages"], bos_token=case["bos"]) == case["text"]
    with pytest.raises(ValueError, match="who is that"):
        render(fixture["template"], [{"role": "tool", "content": "x"}])


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
        "{% if",
    ],
)
def test_a_hostile_template_is_stopped(template):
    with pytest.raises((ValueError, OverflowError)):
        render(template, [{"role": "user", "content": "x"}])


def test_quantize(tmp_path):
    size = ms.quantize("polyglot", tmp_path / "q.gguf", type="q8_0")
    assert size == (tmp_path / "q.gguf").stat().st_size
    tokens = [1, 1468, 393, 584, 320, 2694]
    ours, original = (ms.load(m, precision="exact").run(tokens) for m in (tmp_path / "q.gguf", "polyglot"))
    assert 0 < np.abs(ours.logprob[1:] - original.logprob[1:]).max() < 0.2
    with pytest.raises(ValueError, match="Q4_K_M"):
        ms.quantize("polyglot", tmp_path / "x.gguf", type="Q9")
    with pytest.raises(FileNotFoundError):
        ms.quantize(tmp_path / "nowhere", tmp_path / "x.gguf", type="F16")
