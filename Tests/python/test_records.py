"""Records of other programs become traces: values as they were written, what is absent absent, bad input one clear line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import moescope as ms
from moescope.cards import CardError, read_card
from moescope.importing import import_load, import_record
from moescope.writing import RecordError

RECORDS = Path(__file__).resolve().parents[1] / "Fixtures" / "records"
CARD = RECORDS / "card.json"


def routing() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `make.py` put into every record: logits [9, 2, 6], experts [9, 2, 2], tokens [9]."""
    generator = np.random.default_rng(7)
    logits = generator.permuted(np.tile(np.arange(6) / 8 - 0.25, (9, 2, 1)), axis=2).astype(np.float32)
    return logits, np.argsort(-logits, axis=2)[:, :, :2], generator.integers(0, 50, 9)


EXPECTED = [
    ("vllm", "vllm.jsonl", ["cmpl-0", "cmpl-1"], ["logprob", "expert_weights", "choice_order"]),
    ("sglang", "sglang.pt", ["sglang-0-3/0", "sglang-0-3/1", "sglang-0-4"], ["logprob", "expert_weights", "choice_order"]),
    ("llama-moe-trace", "llama.csv", ["llama"], ["token", "logprob", "expert_weights"]),
    ("megatron", "router_trace_rank0.jsonl", ["rank0-step0", "rank0-step1"], ["token", "logprob", "expert_weights", "choice_order"]),
]


@pytest.mark.parametrize(("format", "file", "ids", "absent"), EXPECTED, ids=[row[0] for row in EXPECTED])
def test_values_come_back(format: str, file: str, ids: list[str], absent: list[str], tmp_path: Path) -> None:
    logits, experts, tokens = routing()
    trace = import_record(RECORDS / file, format=format, model=CARD, output=tmp_path / "t")
    assert trace.documents["id"] == ids
    assert trace.manifest["capture"]["absent"] == absent
    assert trace.layers == [1, 3]
    known = min(9, len(trace.document))
    for place, layer in enumerate(trace.layers):
        assert (trace.expert_indices(layer)[:known] == experts[:known, place]).all()
        if format == "megatron":
            assert (trace.router_logits(layer) == logits[:, place]).all()
    if "token" not in absent:
        assert (trace.tokens[:9] == tokens).all()
    # Of nothing that is absent there is an array, of zeros or otherwise.
    with pytest.raises(ValueError, match="does not hold it"):
        trace.expert_weights(1)
    provenance = trace.manifest["provenance"]
    assert provenance["kind"] == "imported" and provenance["format"] == format
    assert provenance["sources"][0]["name"] == file
    assert "heads" not in trace.manifest["model"] and "parameters_total" not in trace.manifest["model"]


def test_groups_and_prompts_of_vllm(tmp_path: Path) -> None:
    trace = import_record(RECORDS / "vllm.jsonl", format="vllm", model=CARD, output=tmp_path / "t")
    assert trace.documents["group"] == ["en", "de"]
    lines = [json.loads(line) for line in (tmp_path / "t" / "documents.jsonl").read_text().splitlines()]
    assert [line["prompt_tokens"] for line in lines] == [3, 3]
    assert trace.manifest["model"]["config"]["record.model"] == "made-up"


def test_npz_with_everything(tmp_path: Path) -> None:
    logits, experts, tokens = routing()
    weights = np.take_along_axis(np.exp(logits), experts, axis=2)
    weights /= weights.sum(axis=2, keepdims=True)
    logprob = np.linspace(-3, 0, 9, dtype=np.float32)
    # In any order: the trace has them by falling weight.
    np.savez(
        tmp_path / "r.npz", experts=experts[:, :, ::-1], weights=weights[:, :, ::-1], logits=logits, token=tokens, logprob=logprob,
        lengths=[5, 4], id=["a", "b"], group=["x", "y"], cluster=["c", "c"],
    )
    trace = import_record(tmp_path / "r.npz", format="npz", model=CARD, output=tmp_path / "t")
    assert "absent" not in trace.manifest["capture"]
    assert (trace.expert_indices(3) == experts[:, 1]).all()
    assert (trace.expert_weights(3) == weights[:, 1].astype(np.float32)).all()
    assert np.isnan(trace.logprob[[0, 5]]).all() and (trace.logprob[1:5] == logprob[1:5]).all()
    assert trace.documents["group"] == ["x", "y"] and trace.documents["cluster"] == ["c", "c"]
    assert ms.metrics.expert_confidence(trace, bootstrap=0)["weight"]


def test_absent_parts_are_named_by_metrics(tmp_path: Path) -> None:
    trace = import_record(RECORDS / "vllm.jsonl", format="vllm", model=CARD, output=tmp_path / "t")
    for metric, part in [
        (ms.metrics.expert_confidence, "the experts' weights"), (ms.metrics.paths, "the order of a token's experts"),
        (ms.metrics.confidence, "router logits"),
    ]:
        with pytest.raises(ValueError, match=part):
            metric(trace)
    # What needs neither is there, and what is not known is missing, not zero.
    assert len(ms.metrics.load(trace)) > 0
    rows = list(ms.metrics.repetition(trace))
    assert all(row["first"] is None for row in rows) and any(row["any"] is not None for row in rows)
    assert all(row["load_chance_first"] is None for row in rows)


def big_record(folder: Path, layers: int = 5) -> None:
    """A made-up model of three dense layers and others with 128 experts, 8 per token (61 layers are too slow for a test): 12 documents in two languages that route a little differently."""
    (folder / "config.json").write_text(json.dumps({
        "model_type": "deepseek_v3", "num_hidden_layers": layers, "n_routed_experts": 128, "num_experts_per_tok": 8,
        "first_k_dense_replace": 3, "moe_layer_freq": 1, "vocab_size": 1000, "hidden_size": 7168, "num_attention_heads": 128,
        "scoring_func": "sigmoid", "norm_topk_prob": True, "topk_method": "noaux_tc", "n_group": 8, "topk_group": 4,
    }))
    generator = np.random.default_rng(0)
    with (folder / "requests.jsonl").open("w") as file:
        for number in range(12):
            scores = generator.random((30, layers - 3, 128)) + (np.arange(128) % 2 == number % 2) * 0.2
            experts = np.argsort(-scores, axis=2)[:, :, :8]
            ids = generator.integers(0, 1000, 30).tolist()
            file.write(json.dumps({
                "request_id": f"r{number}", "group": ["de", "en"][number % 2], "prompt_token_ids": ids[:20], "token_ids": ids[20:],
                "routed_experts": experts.tolist()}) + "\n")


def test_a_large_model_through_metrics_and_report(tmp_path: Path) -> None:
    big_record(tmp_path)
    trace = import_record(tmp_path / "requests.jsonl", format="vllm", model=tmp_path, output=tmp_path / "t")
    assert trace.layers == [3, 4] and trace.manifest["model"]["router"]["score"] == "sigmoid"
    shares = ms.metrics.domain_share(trace, layers=[3], bootstrap=20, permutations=20)
    even = sum(row["share"] for row in shares if row["group"] == "de" and row["expert"] % 2 == 0)
    # Even experts score higher by 0.2 in German; without that, half of the choices would be theirs.
    assert 0.6 < even < 1
    ms.report(trace, html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "What this page does not know" in page
    assert "weights of the experts" in page and "log-probabilities of the tokens" in page and "its parameters" in page
    assert "the experts&#39; weights" in page or "the experts' weights" in page


def test_bad_records_are_one_line_and_leave_nothing(tmp_path: Path) -> None:
    logits, experts, tokens = routing()

    def fails(match: str, format: str = "npz", model: Path = CARD, **arrays: object) -> None:
        file = tmp_path / "bad.npz"
        np.savez(file, **arrays)  # type: ignore[arg-type]
        with pytest.raises((RecordError, CardError), match=match) as caught:
            import_record(file, format=format, model=model, output=tmp_path / "t")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "t").exists() and not list(tmp_path.glob(".t*"))

    fails(r"expected 2 layers with experts, or all 4, as the card .*found 3", experts=np.repeat(experts, 2, axis=1)[:, :3])
    fails(r"expected experts \[tokens, 2, 2\].*found \[9, 2, 1\]", experts=experts[:, :, :1])
    wrong = experts.copy()
    wrong[4, 1, 0] = 6
    fails(r"token 4, layer 3: expected an expert from 0 to 5, found 6", experts=wrong)
    fails(r"token 0, layer 1: an expert is there twice", experts=np.zeros_like(experts))
    fails(r"token 2: expected an id from 0 to 49, found 50", experts=experts, token=np.where(np.arange(9) == 2, 50, tokens))
    fails(r"expected experts, found token", token=tokens)
    fails(r"lengths: expected integers", experts=experts, lengths=[5, 5])
    # The second document lacks what the first has.
    for number, extra in enumerate([{"token": tokens}, {}]):
        np.savez(tmp_path / f"{number}.npz", experts=experts, **extra)
    with pytest.raises(RecordError, match="does not have token ids, unlike .*import them as two traces"):
        import_record([tmp_path / "0.npz", tmp_path / "1.npz"], format="npz", model=CARD, output=tmp_path / "t")
    # Two models in one record.
    lines = (RECORDS / "vllm.jsonl").read_text().splitlines()
    (tmp_path / "mixed.jsonl").write_text(lines[0] + "\n" + lines[1].replace('"made-up"', '"other"') + "\n")
    with pytest.raises(RecordError, match=r"line 2: model: expected 'made-up', as in the lines before, found 'other'"):
        import_record(tmp_path / "mixed.jsonl", format="vllm", model=CARD, output=tmp_path / "t")
    with pytest.raises(RecordError, match="the mode per_token"):
        import_record(RECORDS / "sglang-stat.pt", format="sglang", model=CARD, output=tmp_path / "t")
    (tmp_path / "pr.csv").write_text("layer,expert\n1,2\n")
    with pytest.raises(RecordError, match="token is missing"):
        import_record(tmp_path / "pr.csv", format="llama-moe-trace", model=CARD, output=tmp_path / "t")
    assert not (tmp_path / "t").exists() and not list(tmp_path.glob(".t*"))


def test_what_sglang_itself_wrote(tmp_path: Path) -> None:
    """Its recorder's dump in mode per_token, with a copy of expert 2: the routing that vllm.jsonl holds, sequence by sequence."""
    theirs = import_record(RECORDS / "sglang-recorder-tokens.pt", format="sglang", model=CARD, output=tmp_path / "theirs")
    trace = import_record(RECORDS / "vllm.jsonl", format="vllm", model=CARD, output=tmp_path / "trace")
    assert theirs.documents["tokens"] == trace.documents["tokens"] == [5, 4]
    assert (theirs.tokens == trace.tokens).all()
    for layer in trace.layers:
        assert (np.sort(theirs.expert_indices(layer), axis=1) == np.sort(trace.expert_indices(layer), axis=1)).all()


def test_counts_of_passes_are_load(tmp_path: Path) -> None:
    """Both modes say how often each expert was chosen in vllm.jsonl's routing, and no more."""
    trace = import_record(RECORDS / "vllm.jsonl", format="vllm", model=CARD, output=tmp_path / "trace")
    counted = np.zeros((2, 6), dtype=int)
    for row in trace.load():
        counted[[1, 3].index(row["layer"]), row["expert"]] += row["assignments"]
    assert counted.sum() == 9 * 2 * 2
    # The last two were written by SGLang's own recorder.
    for name in ("sglang-stat.pt", "sglang-passes.pt", "sglang-recorder-stat.pt", "sglang-recorder-passes.pt"):
        folder = tmp_path / name
        found = import_load(RECORDS / name, model=CARD, output=folder)
        assert (np.array(found["load"]["assignments"]).reshape(2, 6) == counted).all()
        assert found["load"]["layer"] == [1] * 6 + [3] * 6
        share = counted / counted.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(np.array(found["load"]["share"]).reshape(2, 6), share)
        np.testing.assert_allclose(found["load-layers"]["cv"], counted.std(axis=1) / counted.mean(axis=1))
        # No documents, no interval.
        assert set(found["load-layers"]["cv_lower"]) == {None}
        assert (folder / "load.csv").read_text().splitlines()[1].startswith(f"1,0,{counted[0, 0]},")
        about = json.loads((folder / "about.json").read_text())
        assert about["sources"][0]["passes"] == 2 and "no tokens" in about["note"]
    with pytest.raises(FileExistsError, match="something is there already"):
        import_load(RECORDS / "sglang-stat.pt", model=CARD, output=folder)
    for name, content, match in [
        ("other", {"logical_count": np.zeros((1, 4, 5), dtype=np.int32)}, r"logical_count: expected counts \[passes, 4, 6\], found int32 \[1, 4, 5\]"),
        ("empty", {"rank": 0}, "expected logical_count or records, found rank"),
    ]:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(RecordError, match=match):
            patch.setattr("moescope.records.torch_files.load", lambda file, content=content: content)
            import_load(RECORDS / "sglang.pt", model=CARD, output=tmp_path / name)
        assert not (tmp_path / name).exists()


def test_cards(tmp_path: Path) -> None:
    card = read_card(CARD)
    assert (card.layers, card.experts, card.experts_per_token, card.expert_layers) == (4, 6, 2, [1, 3])
    file = tmp_path / "config.json"
    for content, match in [
        ({"num_hidden_layers": 2}, r"field experts .*expected an integer, 1 or more, found nothing"),
        ({"num_hidden_layers": 2, "num_experts": 2, "num_experts_per_tok": 3}, "expected 1 to 2, found 3"),
        ({"layers": 2, "experts": 4, "experts_per_token": 1, "moe_layers": [5]}, "field moe_layers"),
    ]:
        file.write_text(json.dumps(content))
        with pytest.raises(CardError, match=match):
            read_card(tmp_path)
    # Qwen's every second layer, and layers that are dense by name.
    file.write_text(json.dumps({"num_hidden_layers": 6, "num_experts": 4, "num_experts_per_tok": 2, "decoder_sparse_step": 2, "mlp_only_layers": [3]}))
    assert read_card(tmp_path).expert_layers == [1, 5]


def test_pickles_that_are_no_tensors_are_refused(tmp_path: Path) -> None:
    """A file that would run a command where pickle read it."""
    import pickle
    import zipfile

    class Command:
        def __reduce__(self) -> tuple[object, ...]:
            return print, ("run",)

    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps({"records": [Command()]}, protocol=2))
    with pytest.raises(RecordError, match="neither a tensor nor a plain value"):
        import_record(tmp_path / "x.pt", format="sglang", model=CARD, output=tmp_path / "t")


def test_records_that_did_harm(tmp_path: Path) -> None:
    """Found by fuzz_records.py: a pickle that has room made for a hundred million objects, a tensor larger than its file, a quoted field of
    many lines, an archive that claims to be encrypted, numbers beyond any integer."""
    import resource
    import zipfile

    def torch_file(pickled: bytes, flags: int = 0) -> Path:
        file = tmp_path / "x.pt"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("x/data.pkl", pickled)
            archive.writestr("x/data/0", bytes(8))
        data = bytearray(file.read_bytes())
        data[data.index(b"PK\x01\x02") + 8] |= flags
        file.write_bytes(data)
        return file

    def refused(file: Path, format: str) -> str:
        with pytest.raises(RecordError) as caught:
            import_record(file, format=format, model=CARD, output=tmp_path / "t")
        assert str(caught.value).startswith(str(file)) and str(caught.value).isprintable()
        assert not (tmp_path / "t").exists()
        return str(caught.value)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "expected records, found nothing" in refused(torch_file(b"\x80\x02}r\xff\xff\xff\x07."), "sglang")
    storage = b"(X\x07\x00\x00\x00storagectorch\nLongStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ"
    # A thousand million times the one value of an expanded storage.
    tensor = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00J\x00\xca\x9a;\x85K\x00\x85\x89Ntq\x01R."
    assert "a tensor of 1,000,000,000 values in a storage of 1" in refused(torch_file(tensor), "sglang")
    assert "encrypted" in refused(torch_file(tensor, flags=1), "sglang")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024

    (tmp_path / "x.csv").write_text('phase,token,layer,rank,expert\nprefill,"0\n1\n",1,0,5\n')
    assert r"found prefill,0\n1\n,1,0,5" in refused(tmp_path / "x.csv", "llama-moe-trace")
    (tmp_path / "x.jsonl").write_text('{"prompt_token_ids": [1e999], "token_ids": [2], "routed_experts": [[[0, 1], [2, 3]], [[0, 1], [2, 3]]]}\n')
    assert "expected token ids as integers, found float64" in refused(tmp_path / "x.jsonl", "vllm")


def test_the_command(tmp_path: Path) -> None:
    """Through `python -m`, as `moescope import` runs it."""

    def run(**changes: object) -> subprocess.CompletedProcess[str]:
        request = {"files": [str(RECORDS / "vllm.jsonl")], "from": "vllm", "model": str(CARD), "output": str(tmp_path / "t")}
        return subprocess.run(
            [sys.executable, "-m", "moescope.importing", json.dumps(request | changes)], capture_output=True, text=True,
            cwd=RECORDS.parents[2] / "Python", check=False,
        )

    result = run(files=[str(tmp_path / "none.jsonl")])
    assert result.returncode == 1 and result.stderr == f"Error: {tmp_path}/none.jsonl: no such file or folder\n"
    result = run()
    assert result.returncode == 0, result.stderr
    assert "2 documents, 9 tokens. The record lacks logprob, expert_weights, choice_order" in result.stderr
    result = run()
    assert result.returncode == 1 and "the folder is not empty" in result.stderr and result.stderr.count("\n") == 1
    shutil.rmtree(tmp_path / "t")
