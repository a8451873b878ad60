"""Experiments from Python, paired effects, and tables as CSV."""

import csv
import json

import numpy as np
import pytest

import moescope as ms


@pytest.fixture(scope="module")
def ablation(model, corpus, tmp_path_factory):
    """One expert, alone and with the rest of its layer, over twelve documents in each of four groups."""
    arms = {"one": [ms.ablate(layer=3, experts=[2])], "all": [ms.ablate(layer=3, experts=range(8))]}
    output = tmp_path_factory.mktemp("experiments") / "e"
    return ms.experiment(model, corpus, arms=arms, output=output, max_tokens=24, bootstrap=50, permutations=99, seed=7)


def test_effects_are_those_of_the_runs_themselves(ablation, model, corpus):
    texts = [model.encode(document["text"])[:24] for document in corpus]
    groups = np.array([document["group"] for document in corpus])
    counts = np.array([len(text) - 1 for text in texts])

    def nll(interventions=()):
        return -np.array([np.nansum(run.logprob, dtype=np.float64) for run in model.run_many(texts, interventions=interventions)])

    change = nll([ms.ablate(layer=3, experts=[2])]) - nll()
    rows = {row["group"]: row for row in ablation.effects if row["arm"] == "one" and not row["pooled"]}
    assert sorted(rows) == ["code", "de", "en", "fr"]
    for group, row in rows.items():
        expected = change[groups == group].sum() / counts[groups == group].sum()
        assert row["difference"] == pytest.approx(expected, abs=1e-5)
        assert row["difference_lower"] <= row["difference"] <= row["difference_upper"]
        assert row["documents"] == 12 and row["tokens"] == counts[groups == group].sum()
    pooled = [row for row in ablation.effects if row["arm"] == "one" and row["pooled"]]
    assert len(pooled) == 1 and pooled[0]["difference"] == pytest.approx(change.sum() / counts.sum(), abs=1e-5)


def test_single_experts_make_a_matrix_and_files(ablation):
    # "all" takes eight experts, and is no cell.
    assert {(row["layer"], row["expert"]) for row in ablation.matrix} == {(3, 2)} and len(ablation.matrix) == 5
    with pytest.raises(AttributeError, match="no arm has controls"):
        ablation.contrasts  # noqa: B018
    names = {path.name for path in ablation.path.iterdir()}
    assert names == {"plan.json", "nll.jsonl", "result.json", "effects.csv", "matrix.csv"}
    settings = json.loads((ablation.path / "result.json").read_text())["settings"]
    assert settings["seed"] == 7 and settings["bootstrap"] == 50


def test_designs_have_their_controls(model, corpus):
    result = ms.experiment(
        model, corpus, "ablation", layers=[3], random_controls=1, max_tokens=12, max_documents=6, bootstrap=20, permutations=19
    )
    assert set(result.contrasts["control"]) == {"random", "other-layer", "other-group"}
    assert set(result.contrasts["target"]) == {"code", "de", "en", "fr"} and result.path.exists()


def test_controls_carry_the_same_load_and_documents_that_choose_are_not_scored(model, corpus, tmp_path):
    output = tmp_path / "e"
    result = ms.experiment(
        model, corpus, "ablation", output=output, layers=[3, 4], random_controls=6, max_tokens=32, bootstrap=50, permutations=19
    )
    plan, written = (json.loads((output / name).read_text()) for name in ("plan.json", "result.json"))
    assert written["version"] == 3
    choosing, scored = (set(written["documents"][name]) for name in ("choosing", "scored"))
    assert not choosing & scored and choosing == set(plan["choosing_ids"]) and scored == set(plan["scored_ids"])
    assert choosing | scored == {document["id"] for document in corpus}
    own = {arm["target"]: arm["share"] for arm in plan["plan"]["arms"] if arm["role"] == "own"}
    for arm in plan["plan"]["arms"]:
        if arm["role"] == "random":
            assert arm["groups"] == [arm["target"]]
    for row in result.contrasts:
        if row["control"] == "random":
            assert row["arms"] == 6 and row["documents"] == 6
            drawn = [a["share"] for a in plan["plan"]["arms"] if a["role"] == "random" and a["target"] == row["target"]]
            assert sum(drawn) / 6 == pytest.approx(own[row["target"]], abs=0.1)
            assert row["own_share"] == pytest.approx(own[row["target"]], abs=0.2)
            assert row["difference_lower"] <= row["difference"] <= row["difference_upper"]
    # An effect is its weight times what a unit of it costs.
    for row in result.effects:
        if row["per_weight"] is not None:
            assert row["per_weight"] * row["weight"] == pytest.approx(row["difference"], abs=1e-9)
            assert 0 <= row["share"] <= 1 and row["weight"] <= 2


@pytest.mark.filterwarnings("ignore:figures are shown as tables")
def test_a_report_shows_an_experiment(ablation, model, corpus, tmp_path):
    trace = ms.trace(model, [{**d, "text": d["text"][:40]} for d in corpus], output=tmp_path / "trace")
    ms.report(trace, csv=tmp_path / "csv", experiment=ablation, compare=trace)
    with open(tmp_path / "csv/experiment-effects.csv", encoding="utf-8", newline="") as lines:
        assert [float(row["difference"]) for row in csv.DictReader(lines)] == ablation.effects["difference"]
    assert (tmp_path / "csv/agreement-overall.csv").exists()
    plan = json.loads((ablation.path / "plan.json").read_text())
    (tmp_path / "other").mkdir()
    (tmp_path / "other/plan.json").write_text(json.dumps({**plan, "model": "0" * 64}))
    (tmp_path / "other/result.json").write_bytes((ablation.path / "result.json").read_bytes())
    with pytest.raises(ms.TraceError, match=r"plan\.json.*field model"):
        ms.report(trace, csv=tmp_path / "csv", experiment=tmp_path / "other")


def test_mistakes_are_named(model, corpus):
    with pytest.raises(TypeError, match="a design or arms"):
        ms.experiment(model, corpus)
    with pytest.raises(ValueError, match="ablation, steering, top-k, random-routing"):
        ms.experiment(model, corpus, "melting")
    with pytest.raises(ValueError, match="layers: expected 0 to 5, found 9"):
        ms.experiment(model, corpus, "random-routing", layers=[9])
    with pytest.raises(ValueError, match='"baseline"'):
        ms.experiment(model, corpus, arms={"baseline": []})


def test_paired_effects(model):
    first = [10.0] * 8
    second = [12.0, 10.0] * 4
    table = ms.metrics.paired(first, second, tokens=[10] * 8, groups=["all", "b"] * 4, minimum_documents=4, bootstrap=50)
    assert list(zip(table["group"], table["pooled"], strict=True)) == [("all", 1), ("all", 0), ("b", 0)]
    assert table["difference"] == pytest.approx([0.1, 0.2, 0.0])
    with pytest.raises(ValueError, match="tokens: expected 8 values as in first, found 1"):
        ms.metrics.paired(first, second, tokens=[1], groups=["a"] * 8)


def test_csv_is_safe_for_spreadsheets_and_loses_nothing(tmp_path):
    values = ["=cmd|'/C calc'!A0", "+1", "-1", "@a", "'", "plain", "a,\"b\"\r\nc", "", None]
    numbers = [0.1, -1e-30, 3.0, float("inf"), -float("inf"), float("nan"), 1e300, None, -0.0]
    table = ms.table({"=group": values, "x": numbers, "ok": [True, False] * 4 + [None]})
    table.to_csv(tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text(encoding="utf-8")
    assert "\n=" not in text and ",=" not in text and text.startswith("'=group,x,ok\n'=cmd|'/C calc'!A0,0.1,True\n")
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    assert header == ["'=group", "x", "ok"]

    def back(cell):
        return cell[1:] if cell.startswith("'") else cell

    # An empty text and a missing one are both "" to csv.reader; the file has "" for the one and nothing for the other.
    assert [back(row[0]) for row in rows] == ["" if value is None else value for value in values]
    assert '\n"",' in text
    found = [float(row[1]) if row[1] else None for row in rows]
    assert str(found) == str(numbers)


def test_an_experiment_says_how_far_it_is(model, corpus, tmp_path, capsys):
    said = []
    arms = {"without 5": ms.ablate(layer=3, experts=5)}
    ms.experiment(model, corpus[::4], arms=arms, max_tokens=16, bootstrap=50, permutations=49, progress=lambda *counts: said.append(counts))
    assert said[-1][0] == said[-1][1] >= 2 and [done for done, _ in said] == sorted(done for done, _ in said)
    ms.experiment(model, corpus[::4], arms=arms, max_tokens=16, bootstrap=50, permutations=49, progress=True)
    assert f"{said[-1][1]}" in capsys.readouterr().err

    def stop(*counts):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        ms.experiment(model, corpus[::4], arms=arms, max_tokens=16, progress=stop)
