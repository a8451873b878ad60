"""An edit through moescope changes the output as the same edit in transformers does with a forward hook."""

import json

import numpy as np
import pytest

import moescope as ms

EDITS = {
    "embed": lambda x: x * 0.5,
    "blocks.0.resid_post": lambda x: x * 0.9,
    "blocks.1.attn_out": lambda x: x + 0.25,
    "blocks.1.attn.v": lambda x: -x,
    "blocks.1.attn.q": lambda x: x * 2,
    "blocks.0.attn.z": lambda x: x * 1.5,
    "blocks.1.moe_out": lambda x: -x,
    "final_norm": lambda x: x + 0.1,
}


@pytest.fixture(scope="module")
def expected(root):
    return json.loads((root / "Tests/Fixtures/hook-edits/expected.json").read_text())


@pytest.fixture(scope="module")
def small(root):
    return ms.load(root / "Tests/Fixtures/parity/grouped", precision="exact")


@pytest.mark.parametrize("name", ["", *EDITS])
def test_edits_equal_forward_hooks_of_transformers(small, expected, name):
    run = small.run(expected["tokens"], edit={name: EDITS[name]} if name else None)
    np.testing.assert_allclose(run.logprob[1:], expected["logprob"][name], atol=1e-4)
    if name:
        assert np.abs(np.subtract(expected["logprob"][name], expected["logprob"][""])).max() > 1e-3
