"""Traces made and read from Python, their metrics, and their manners when interrupted."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pyarrow
import pytest
from safetensors.numpy import load_file

import moescope as ms


def test_a_trace_is_what_its_files_say(traced, model, corpus):
    assert traced.is_complete and len(traced) == len(corpus) and traced.layers == list(range(model.config.layers))
    assert traced.groups == ["code", "de", "en", "fr"]
    shards = [load_file(traced.path / shard["file"]) for shard in traced.manifest["shards"]]
    for layer in traced.layers:
        expected = np.concatenate([shard["router_logits"][layer] for shard in shards])
        assert (traced.router_logits(layer=layer) == expected).all()
        assert (traced.expert_indices(layer) == np.concatenate([s["expert_indices"][layer] for s in shards])).all()
        assert (traced.expert_weights(layer) == np.concatenate([s["expert_weights"][layer] for s in shards])).all()
        for statistic in ("entropy", "first", "previous", "distance", "max"):
            files = np.concatenate([shard[f"attention_{statistic}"][layer] for shard in shards], axis=1)
            assert (traced.attention(statistic, layer) == files.astype(np.float32)).all()
    assert (traced.tokens == np.concatenate([shard["token"] for shard in shards])).all()
    assert (traced.position[np.r_[0, 1 + np.flatnonzero(np.diff(traced.document))]] == 0).all()
    assert traced.patterns == [(document, 1, 0) for document in range(len(corpus))]


def test_a_trace_equals_runs(traced, model, corpus):
    run = model.run(corpus[5]["text"], capture=["router_logits", "attn.pattern"], layers=[1])
    rows = traced.document == 5
    assert (traced.tokens[rows] == run.tokens).all()
    np.testing.assert_allclose(traced.logprob[rows], run.logprob, atol=2e-4)
    np.testing.assert_allclose(traced.router_logits(1)[rows], run["blocks.1.router_logits"], atol=2e-3)
    np.testing.assert_allclose(traced.pattern(5, 1, 0), run["blocks.1.attn.pattern"][0], atol=2e-3)
    assert traced.nll_by_document()[5] == pytest.approx(run.nll, abs=1e-3)
    assert set(traced.group[rows]) == {corpus[5]["group"]}


def test_metrics_are_tables(traced):
    table = ms.metrics.information(traced, by="group", bootstrap=20, permutations=99, layers=[1, 2])
    frame = pyarrow.table(table).to_pandas()
    assert list(frame["layer"]) == [1, 2]
    assert "jackknife" in ms.metrics.information.__doc__ and table.notes["source"] is not None
    for name in ms.metrics.names():
        metric = getattr(ms.metrics, name.replace("-", "_"))
        assert metric.formula and metric.title and repr(metric)
    load = ms.metrics.load.tables(traced, bootstrap=0)
    assert next(iter(load)) == "load" and all(len(t) for t in load.values())
    counts = np.bincount(traced.expert_indices(0)[traced.position > 0].ravel(), minlength=8)
    by_expert = next(t for t in load.values() if "expert" in t.columns)
    column = "count" if "count" in by_expert.columns else "assignments"
    layer0 = [row[column] for row in by_expert if row["layer"] == 0]
    assert layer0 == counts.tolist()


def test_traces_are_compared(traced):
    assert "agreement" not in ms.metrics.names()
    same = ms.metrics.compare(traced, traced, bootstrap=10, permutations=19, layers=[1])
    assert list(same) == [
        "agreement", "agreement-margins", "agreement-overall", "agreement-overall-margins", "agreement-nll",
    ]  # fmt: skip
    assert [row["overlap"] for row in same["agreement"]] == [1.0] == same["agreement-overall"]["overlap"]
    series = ms.metrics.compare(traced, traced, traced, bootstrap=10, permutations=19)
    assert list(series) == ["saturation", "saturation-nll"] and {row["place"] for row in series["saturation"]} == {0, 1}
    with pytest.raises(TypeError, match="compare: unknown setting"):
        ms.metrics.compare(traced, traced, grouping="group")


def test_predictions_and_guesses_are_captured(model, corpus, tmp_path):
    trace = ms.trace(model, corpus[:6], output=tmp_path / "t", capture=["router_logits", "predicted", "speculative"])
    assert trace.manifest["capture"]["speculative"] == [1, 2, 10] and trace.manifest["capture"]["predicted"] is True
    recall = list(ms.metrics.speculation(trace, bootstrap=10, minimum_documents=1))
    ten = [row for row in recall if row["ahead"] == 10]
    assert len(ten) == 1 and ten[0]["recall"] is None and "10 before it" in ten[0]["note"]
    one = [row["recall"] for row in recall if row["ahead"] == 1]
    two = [row["recall"] for row in recall if row["ahead"] == 2]
    # The nearer the guess, the better; both beat a random one.
    assert one[0] > two[0] > 0.25
    sides = {row["side"] for row in ms.metrics.vocabulary(trace, minimum_count=1)}
    assert sides == {"input", "next", "predicted"}


def test_metrics_say_what_is_wrong(traced):
    with pytest.raises(AttributeError, match="information"):
        ms.metrics.informations(traced)
    with pytest.raises(TypeError, match="unknown setting"):
        ms.metrics.information(traced, group="x")
    with pytest.raises(ValueError, match="layer 99"):
        ms.metrics.information(traced, layers=[99])
    with pytest.raises(ValueError, match="the trace has router_logits of layers"):
        traced.router_logits(layer=77)
    with pytest.raises(KeyError, match="not captured"):
        traced.pattern(0, 0, 0)


def test_interventions_are_recorded(model, corpus, tmp_path):
    changes = [ms.ablate(layer=2, experts=[1]), ms.steer(experts=[3], by=0.5, groups=["de"])]
    trace = ms.trace(model, corpus[:4], output=tmp_path / "t", interventions=changes)
    kinds = [entry["kind"] for entry in trace.manifest["interventions"]]
    assert kinds == ["ablate", "steer"] and trace.manifest["interventions"][1]["groups"] == ["de"]
    assert trace.manifest["corpus"]["source"] == "python"


def test_texts_alone_and_files_are_corpora_too(model, corpus, tmp_path):
    plain = ms.trace(model, ["One.", "Two words."], output=tmp_path / "plain", capture=[])
    assert plain.documents["id"] == ["0", "1"]
    with pytest.raises(ValueError, match="no router logits"):
        plain.router_logits(0)
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(d) + "\n" for d in corpus[:3]))
    calls = []
    from_file = ms.trace(
        model, tmp_path / "c.jsonl", output=tmp_path / "file", wave_tokens=1, max_tokens=9,
        progress=lambda *state: calls.append(state),
    )  # fmt: skip
    assert from_file.documents["truncated"] == [True] * 3 and len(from_file.tokens) == 27
    assert calls[0][2] == 0 and calls[-1] == (3, 3, 27, 27)


def test_documents_say_their_cluster(model, tmp_path):
    texts = [
        {"text": "One.", "parallel_id": "a", "cluster": "manual"},
        {"text": "Two.", "cluster": np.int64(7), "parallel_id": None},
        {"text": "Three.", "cluster": None},
    ]
    trace = ms.trace(model, texts, output=tmp_path / "t", capture=[])
    assert trace.documents["cluster"] == ["manual", "7", None] and trace.documents["parallel_id"] == ["a", None, None]
    lines = [json.loads(line) for line in (tmp_path / "t" / "documents.jsonl").read_text().splitlines()]
    assert [line.get("cluster", "absent") for line in lines] == ["manual", "7", "absent"]
    for name in ("cluster", "parallel_id"):
        for wrong in (1.5, True, ["a"], b"a"):
            with pytest.raises(TypeError, match=f"corpus: document 1: {name}: expected a str or an integer, found"):
                ms.trace(model, ["x", {"text": "y", name: wrong}], output=tmp_path / "no", capture=[])


def test_errors_name_file_and_line(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.jsonl"):
        ms.trace(model, tmp_path / "absent.jsonl", output=tmp_path / "t")
    (tmp_path / "bad.jsonl").write_text('{"id": "a", "text": "x"}\nnot json\n')
    with pytest.raises(ValueError, match=r"bad\.jsonl.*2"):
        ms.trace(model, tmp_path / "bad.jsonl", output=tmp_path / "t")
    with pytest.raises(FileNotFoundError):
        ms.open_trace(tmp_path / "no trace")
    with pytest.raises(ValueError, match="model.run captures any"):
        ms.trace(model, ["x"], output=tmp_path / "t", capture=["blocks.0.resid_pre"])
    trace = ms.trace(model, ["x y z"], output=tmp_path / "damaged")
    shard = tmp_path / "damaged" / trace.manifest["shards"][0]["file"]
    shard.write_bytes(shard.read_bytes()[:-8])
    with pytest.raises(ms.TraceError, match="000000"):
        ms.open_trace(tmp_path / "damaged")


def test_an_exception_in_progress_stops_the_run_and_leaves_it_resumable(model, corpus, tmp_path):
    def stop(documents, *_):
        if documents >= 2:
            raise ZeroDivisionError("enough")

    with pytest.raises(ZeroDivisionError, match="enough"):
        ms.trace(model, corpus[:6], output=tmp_path / "t", wave_tokens=1, progress=stop)
    partial = ms.open_trace(tmp_path / "t")
    assert not partial.is_complete and 2 <= len(partial) < 6
    whole = ms.trace(model, corpus[:6], output=tmp_path / "t", wave_tokens=1, resume=True)
    fresh = ms.trace(model, corpus[:6], output=tmp_path / "fresh", wave_tokens=1)
    assert whole.is_complete and (whole.tokens == fresh.tokens).all()
    assert (whole.router_logits(3) == fresh.router_logits(3)).all()


def test_control_c_stops_within_a_second_and_can_be_resumed(root, tmp_path):
    script = textwrap.dedent(
        """
        import sys, time
        import moescope as ms
        model = ms.load("polyglot", precision="exact")
        corpus = [{"text": f"{i} " + "Der Rauch steigt auf. " * 30} for i in range(3000)]
        try:
            ms.trace(model, corpus, output=sys.argv[1], wave_tokens=600, progress=lambda *s: print("wave", flush=True))
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            trace = ms.open_trace(sys.argv[1])
            sys.exit(3 if not trace.is_complete and len(trace) > 0 else 4)
        """
    )
    environment = os.environ | {"PYTHONPATH": str(root / "Python")}
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "t")], stdout=subprocess.PIPE, text=True, env=environment
    )
    for _ in range(3):
        assert process.stdout.readline() == "wave\n"
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    for line in process.stdout:
        if line == "interrupted\n":
            break
    taken = time.monotonic() - pressed
    assert process.wait(60) == 3
    # One second on an idle machine; this bound only catches a run that goes on regardless.
    assert taken < 10


@pytest.mark.filterwarnings("ignore:figures are shown as tables")
def test_a_report_is_a_page_and_tables(traced, tmp_path):
    ms.report(traced, html=tmp_path / "x.html", csv=tmp_path / "csv", title="A title of its own")
    assert "A title of its own" in (tmp_path / "x.html").read_text()
    assert (tmp_path / "csv" / "load.csv").read_text().startswith("layer")
    with pytest.raises(ValueError, match="html="):
        ms.report(traced)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written"):
        ms.report(traced, csv=tmp_path / "file" / "csv")
