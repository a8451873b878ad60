"""A model whose router scores by a sigmoid (dots.llm1): metrics and the page against numpy on the policy's own distribution."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

import moescope as ms

FAMILIES = Path(__file__).resolve().parents[1] / "Fixtures" / "families"
EXPERTS, CHOSEN = 8, 3


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """The same tokens through the model, and through the model with its router steered."""
    numbers = np.random.default_rng(5)
    corpus = [
        {"id": f"{group}-{number}", "group": group, "tokens": [1, *numbers.integers(3, 67, 20 + number).tolist()]}
        for group in "ab"
        for number in range(8)
    ]
    model = ms.load(str(FAMILIES / "dots1"), precision="exact")
    folder = tmp_path_factory.mktemp("sigmoid")
    plain = ms.trace(model, corpus, output=folder / "plain", capture=["router_logits"])
    steered = ms.trace(
        model, corpus, output=folder / "steered", capture=["router_logits"],
        interventions=[ms.steer(experts=[2], by=0.5)])  # fmt: skip
    return plain, steered


def probabilities(trace, layer):
    """s / Σ s of the rows that metrics count: all but the first of each document."""
    scores = 1 / (1 + np.exp(-trace.router_logits(layer).astype(np.float64)))
    return (scores / scores.sum(-1, keepdims=True))[trace.position > 0]


def test_the_manifest_has_the_policy(traces):
    router = traces[0].manifest["model"]["router"]
    assert router["score"] == "sigmoid" and router["select"]["adds_bias"] and router["weigh"]["scale"] == 2.5
    assert traces[0].layers == [1, 2] and traces[0].manifest["model"]["moe_layers"] == [1, 2]


def test_confidence(traces):
    rows = [row for row in ms.metrics.confidence(traces[0], bootstrap=0) if row["pooled"]]
    for row in rows:
        p = probabilities(traces[0], row["layer"])
        ordered = -np.sort(-p, axis=-1)
        assert row["entropy"] == pytest.approx(-(p * np.log(p)).sum(-1).mean(), abs=1e-9)
        assert row["first_margin"] == pytest.approx((ordered[:, 0] - ordered[:, 1]).mean(), abs=1e-9)
        assert row["choice_margin"] == pytest.approx((ordered[:, CHOSEN - 1] - ordered[:, CHOSEN]).mean(), abs=1e-9)
    assert [row["layer"] for row in rows] == [1, 2]


def test_auxiliary_losses(traces):
    """The balance loss less the jackknife's bias over the documents of each group."""
    trace = traces[0]
    document = trace.document[trace.position > 0]
    group = np.array(trace.group)[trace.position > 0]
    for row in ms.metrics.aux_losses(trace, bootstrap=0):
        if row["layer"] == "all":
            continue
        layer = int(row["layer"])
        p = probabilities(trace, layer)
        chosen = trace.expert_indices(layer)[trace.position > 0]

        def balance(rows):
            counts = np.bincount(chosen[rows].ravel(), minlength=EXPERTS)
            return EXPERTS * (counts / rows.sum() * p[rows].mean(0)).sum()

        value = balance(document >= 0)
        bias = 0
        for name in "ab":
            without = [balance(document != one) for one in np.unique(document[group == name])]
            bias += (len(without) - 1) * (np.mean(without) - value)
        z = trace.router_logits(layer)[trace.position > 0].astype(np.float64)
        assert row["balance"] == pytest.approx(value - bias, abs=1e-9)
        assert row["z_loss"] == pytest.approx((np.log(np.exp(z).sum(-1)) ** 2).mean(), abs=1e-9)


def test_divergence_of_two_traces(traces):
    plain, steered = traces
    table = ms.metrics.compare(plain, steered, bootstrap=0, permutations=0)["agreement"]
    for row in table:
        p, q = (probabilities(trace, row["layer"]) for trace in traces)
        assert row["kl"] == pytest.approx((p * np.log(p / q)).sum(-1).mean(), rel=1e-6)


def test_the_page_names_the_score_and_shows_its_distribution(traces, tmp_path):
    trace = traces[0]
    page = tmp_path / "page.html"
    ms.report(trace, html=page)
    text = page.read_text(encoding="utf-8")
    assert text.count("scores every expert by a sigmoid: its probabilities are the scores divided by their sum") == 2
    assert "plus a learned bias of each expert" in text
    data = re.search(r'id="report-data">(.*?)</script>', text, re.S)
    browser = json.loads(data[1])["browser"]
    assert browser["mostWeight"] == 2.5
    shown = browser["documents"][0]
    rows = np.flatnonzero(trace.document == shown["index"])
    unpacked = {
        name: np.frombuffer(base64.b64decode(shown[name]), np.uint8).reshape(2, len(rows), -1)
        for name in ("probabilities", "weights", "chosen")
    }
    for place, layer in enumerate(trace.layers):
        scores = 1 / (1 + np.exp(-trace.router_logits(layer)[rows].astype(np.float64)))
        own = scores / scores.sum(-1, keepdims=True)
        assert np.abs(unpacked["probabilities"][place] / 255 - own).max() < 0.5 / 255 + 1e-6
        assert np.abs(unpacked["weights"][place] / 255 * 2.5 - trace.expert_weights(layer)[rows]).max() < 1.3 / 255
        assert (unpacked["chosen"][place] == trace.expert_indices(layer)[rows]).all()
