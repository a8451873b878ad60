"""An experiment beside a trace: its section, its tables, and what it says on the cards of the experts it took away."""

import csv
import json
import subprocess

import pytest

from conftest import FIXTURE, MOESCOPE, REPOSITORY, make_report

MODEL = json.loads((FIXTURE / "trace/manifest.json").read_text())["model"]["sha256"]
SETTINGS = {
    "adjacent_ranks": False, "bootstrap": 1000, "grouping": "group", "level": 0.95, "minimum_count": 20, "minimum_documents": 5,
    "permutations": 1999, "positions": "prompt", "seed": 1, "skipped_positions": 1, "threshold": 0.1,
}


def effect(arm, group, value, q):
    difference = {"value": value, "lower": value - 0.02, "upper": value + 0.02}
    measured = {"group": group, "documents": 40, "tokens": 1400, "first": 3.0, "second": 3.0 + value, "difference": difference, "pValue": q / 2}
    return {"arm": arm, "role": "single", "effect": measured, "qValue": q}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Two experts of layer 2 taken away one at a time, with effects set by hand."""
    folder = tmp_path_factory.mktemp("experiment")
    arms = [
        {"name": f"layer 2 expert {expert}", "role": "single", "changes": [{"kind": "ablate", "layers": [2], "experts": [expert]}]}
        for expert in (3, 4)
    ]
    plan = {"format": "moescope-experiment", "version": 1, "model": MODEL, "plan": {"kind": "ablation", "seed": 1, "arms": arms}}
    effects = [
        effect("layer 2 expert 3", "all", 0.15, 0.001), effect("layer 2 expert 3", "de", 0.61, 0.001),
        effect("layer 2 expert 3", "fr", 0.88, 0.4), effect("layer 2 expert 4", "all", -0.03, 0.2),
    ]
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "result.json").write_text(json.dumps({"kind": "ablation", "settings": SETTINGS, "effects": effects, "contrasts": [], "matrix": []}))
    return folder


def test_experiment_has_its_section_and_its_cards(visit, experiment, tmp_path):
    file = make_report(FIXTURE / "trace", tmp_path, "--compare", experiment)
    seen = visit(file=file)
    page = seen.page
    assert seen.messages == []
    assert "layer 2 expert 3: +0.15 (95 % interval 0.13 to 0.17) nats per token" in page.locator("#experiment .lead").inner_text()
    assert page.locator("#figure-experiment .mark-symbol.role-mark path").count() == 2
    # German's effect is real; French's is larger and not.
    card = page.locator('.card[aria-label="Expert 3 of layer 2"] .ablation')
    assert card.inner_text() == "Ablating it adds +0.15 nats per token (German: +0.61)."
    assert page.locator('.card[aria-label="Expert 4 of layer 2"] .ablation').inner_text() == "Ablating it adds −0.030 nats per token."
    assert page.locator(".card .ablation").count() == 2
    with open(tmp_path / "csv/experiment-effects.csv", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [float(row["difference"]) for row in rows] == [0.15, 0.61, 0.88, -0.03]


def test_experiment_of_another_model_is_named(experiment, tmp_path):
    plan = json.loads((experiment / "plan.json").read_text())
    (tmp_path / "plan.json").write_text(json.dumps({**plan, "model": "0" * 64}))
    (tmp_path / "result.json").write_bytes((experiment / "result.json").read_bytes())
    done = subprocess.run([MOESCOPE, "report", FIXTURE / "trace", "--compare", tmp_path], capture_output=True, text=True)
    assert done.returncode != 0
    assert "plan.json" in done.stderr and "field model" in done.stderr and MODEL in done.stderr


def test_experiment_that_is_not_finished_says_so(experiment, tmp_path):
    (tmp_path / "plan.json").write_bytes((experiment / "plan.json").read_bytes())
    done = subprocess.run([MOESCOPE, "report", FIXTURE / "trace", "--compare", tmp_path], capture_output=True, text=True)
    assert done.returncode != 0 and "--resume" in done.stderr


def test_a_second_trace_is_held_against_the_first(visit, tmp_path):
    page = visit(file=make_report(FIXTURE / "trace", tmp_path, FIXTURE / "trace")).page
    assert "100 % of a token's experts are the same" in page.locator("#agreement .lead").inner_text()


def test_earlier_checkpoints_have_their_section(visit, tmp_path):
    """Four checkpoints of one training run: a line per layer, a point per earlier checkpoint."""
    folder = REPOSITORY / "Tests/Fixtures/saturation"
    earlier = [word for name in ("tokens-8192", "tokens-24576", "tokens-73728") for word in ("--series", folder / name)]
    seen = visit(file=make_report(folder / "last", tmp_path, *earlier))
    assert seen.messages == []
    page = seen.page
    assert "of a token's experts in tokens-8192 are those it has in last" in page.locator("#saturation .lead").inner_text()
    assert page.locator("#figure-saturation .mark-symbol.role-mark path").count() == 6 * 3
    with open(tmp_path / "csv/saturation.csv", encoding="utf-8", newline="") as lines:
        assert len(list(csv.DictReader(lines))) == 6 * 3


def test_guesses_have_their_section(visit, tmp_path):
    """The reference trace of the metrics: of two layers, the second is guessed from the first."""
    seen = visit(file=make_report(REPOSITORY / "Tests/Fixtures/routing-trace", tmp_path))
    assert seen.messages == []
    with open(tmp_path / "csv/speculation.csv", encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["layer"] != "all" and row["recall"]]
    assert rows
    assert seen.page.locator("#figure-speculation .mark-symbol.role-mark path").count() == len(rows)
    assert "1 layer ahead" in seen.page.locator("#speculation .lead").inner_text()
