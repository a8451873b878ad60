"""Traces as tables, and back: the same trace. Arrow streams agree with the trace's own arrays."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

import moescope as ms
from moescope.exporting import export
from moescope.importing import import_record


def same(first: ms.Trace, second: ms.Trace, *, logits: bool) -> None:
    """Documents, and every value of every column."""
    assert json.loads(first._native.documents).__len__() == len(second)
    drop = ("shard", "first_row")
    for one, other in zip(json.loads(first._native.documents), json.loads(second._native.documents), strict=True):
        assert {k: v for k, v in one.items() if k not in drop} == {k: v for k, v in other.items() if k not in drop}
    for name in ("document", "position", "tokens", "logprob"):
        assert np.array_equal(getattr(first, name), getattr(second, name), equal_nan=name == "logprob"), name
    for layer in first.layers:
        assert np.array_equal(first.expert_indices(layer), second.expert_indices(layer))
        assert np.array_equal(first.expert_weights(layer), second.expert_weights(layer))
        if logits:
            assert np.array_equal(first.router_logits(layer), second.router_logits(layer))
    for name in ("model", "tokenizer", "interventions", "compute", "corpus"):
        assert first.manifest[name] == second.manifest[name], name


def test_parquet_and_back_is_the_same_trace(traced: ms.Trace, tmp_path: Path) -> None:
    export(traced, tmp_path / "tables", logits=True, threads=2)
    assert sorted(folder.name for folder in (tmp_path / "tables" / "routing").iterdir()) == [f"group={g}" for g in traced.groups]
    back = import_record(tmp_path / "tables", format="parquet", output=tmp_path / "back")
    same(traced, back, logits=True)
    assert back.manifest["capture"]["router_logits"] == "f32" and "provenance" not in back.manifest
    assert (tmp_path / "back" / "vocabulary.json").read_bytes() == (traced.path / "vocabulary.json").read_bytes()


def test_a_subset_and_half_precision(model: ms.Model, corpus: list[dict[str, str]], tmp_path: Path) -> None:
    trace = ms.trace(model, corpus[:16], output=tmp_path / "t", capture=["router_logits_f16", "predicted"], wave_tokens=100)
    export(trace, tmp_path / "tables", groups=["en"], logits=True)
    back = import_record(tmp_path / "tables", format="parquet", output=tmp_path / "back")
    kept = [index for index, group in enumerate(trace.documents["group"]) if group == "en"]
    chosen = np.isin(trace.document, kept)
    assert len(back) == len(kept) and back.manifest["provenance"]["kind"] == "subset"
    assert back.manifest["capture"]["router_logits"] == "f16"
    assert np.array_equal(back.router_logits(3), trace.router_logits(3)[chosen])
    assert np.array_equal(back.predicted, trace.predicted[chosen])


def test_streams_hold_what_the_trace_holds(traced: ms.Trace) -> None:
    reader = pa.RecordBatchReader.from_stream(traced.to_arrow("routing", logits=True))
    table = reader.read_all()
    assert table.schema.field("experts").type == pa.list_(pa.field("element", pa.uint8(), nullable=False), 2)
    assert b"by falling weight" in table.schema.field("experts").metadata[b"description"]
    for layer in traced.layers:
        rows = table.filter(pa.compute.equal(table["layer"], layer))
        order = np.lexsort((rows["position"].to_numpy(), rows["document"].to_numpy()))
        experts = rows["experts"].combine_chunks().flatten().to_numpy().reshape(-1, 2)[order]
        logits = rows["logits"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)[order]
        assert np.array_equal(experts, traced.expert_indices(layer)) and np.array_equal(logits, traced.router_logits(layer))
    tokens = pl.DataFrame(traced.to_arrow("tokens"))
    assert tokens["token"].to_list() == traced.tokens.tolist()
    assert tokens["group"].to_list() == traced.group.tolist()
    assert tokens["logprob"].null_count() == len(traced)
    assert np.array_equal(tokens["logprob"].drop_nulls().to_numpy(), traced.logprob[~np.isnan(traced.logprob)])
    text = "".join(tokens.filter(pl.col("document") == 0)["text"].to_list())
    assert "Der Rauch steigt" in text
    # Every reader starts at the beginning; some documents alone.
    stream = traced.to_arrow("tokens", documents=[1, 3])
    assert pl.DataFrame(stream)["document"].unique().to_list() == pl.DataFrame(stream)["document"].unique().to_list() == [1, 3]
    with pytest.raises(ValueError, match="the trace has no group 'nl'"):
        traced.to_arrow(groups=["nl"])


def test_load_counts_every_assignment(traced: ms.Trace) -> None:
    table = pl.DataFrame(traced.load())
    for layer in traced.layers:
        counts = np.bincount(traced.expert_indices(layer).ravel(), minlength=8)
        first = np.bincount(traced.expert_indices(layer)[:, 0], minlength=8)
        rows = table.filter(pl.col("layer") == layer).drop("group").group_by("expert").sum().sort("expert")
        assert rows["assignments"].to_list() == counts.tolist() and rows["first_choices"].to_list() == first.tolist()


@pytest.mark.parametrize("format", ["arrow", "csv", "npz"])
def test_other_formats(traced: ms.Trace, tmp_path: Path, format: str) -> None:
    export(traced, tmp_path / "x", format=format)
    if format == "npz":
        files = sorted((tmp_path / "x" / "routing").glob("*.npz"))
        (tmp_path / "card.json").write_text(json.dumps(traced.manifest["model"]))
        back = import_record(files, format="npz", model=tmp_path / "card.json", output=tmp_path / "back")
        # Files are by group, and so are the documents now.
        ids = [traced.documents["id"].index(name) for name in back.documents["id"]]
        rows = np.concatenate([np.flatnonzero(traced.document == index) for index in ids])
        assert np.array_equal(back.expert_weights(2), traced.expert_weights(2)[rows]) and np.array_equal(back.tokens, traced.tokens[rows])
        return
    files = sorted((tmp_path / "x" / "tokens" / "group=de").glob(f"*.{format}"))
    frame = pl.concat([pl.from_arrow(pa.ipc.open_file(f).read_all()) if format == "arrow" else pl.read_csv(f, quote_char='"') for f in files])
    chosen = traced.group == "de"
    assert frame["token"].to_list() == traced.tokens[chosen].tolist()
    if format == "csv":
        routing = pl.read_csv(next((tmp_path / "x" / "routing" / "group=de").glob("*.csv")))
        assert routing.columns == ["document", "position", "layer", "experts_0", "experts_1", "weights_0", "weights_1"]


def test_files_say_what_they_hold_and_can_be_skipped(traced: ms.Trace, tmp_path: Path) -> None:
    export(traced, tmp_path / "tables", tables=["routing"])
    file = parquet.ParquetFile(next((tmp_path / "tables" / "routing" / "group=fr").glob("*.parquet")))
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.metadata.row_group(0).column(2).statistics.max == max(traced.layers)
    assert file.schema_arrow.metadata[b"moescope.table"] == b"routing"


def test_failures_leave_nothing(traced: ms.Trace, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(FileExistsError, match="something is there already"):
        export(traced, tmp_path / "there")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(traced, tmp_path / "x", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_queries_agree_with_the_metrics(traced: ms.Trace, tmp_path: Path, engine: str, root: Path) -> None:
    export(traced, tmp_path / "tables", tables=["routing"])
    result = subprocess.run(
        [sys.executable, root / "Analyses" / "specialization_in_sql.py", tmp_path / "tables", "--engine", engine, "--check", traced.path],
        capture_output=True, text=True, check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "largest difference from MoEScope's metrics" in result.stdout


def test_metrics_of_parts_joined_are_those_of_the_whole(traced: ms.Trace, tmp_path: Path) -> None:
    parts = [traced.subset(groups=[group], output=tmp_path / group) for group in ("de", "en", "fr", "code")]
    joined = ms.merge(parts, output=tmp_path / "joined")
    assert sorted(joined.documents["id"]) == sorted(traced.documents["id"])
    for metric in (ms.metrics.load, ms.metrics.domain_share, ms.metrics.repetition, ms.metrics.confidence):
        ours, theirs = list(metric(joined, bootstrap=0)), list(metric(traced, bootstrap=0))
        for row, other in zip(ours, theirs, strict=True):
            for name, value in row.items():
                assert value == pytest.approx(other[name], rel=1e-12) if isinstance(value, float) else value == other[name], name
    with pytest.raises(ms.TraceError, match='document "de-0": .*has a document of this id too'):
        ms.merge([parts[0], parts[0], traced], output=tmp_path / "twice")
    assert not (tmp_path / "twice").exists()
