"""The checkpoints that benchmarks measure: what their maker writes is what `gguf` and the engine read."""

import pathlib
import sys

import moescope as ms
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Benchmarks"))

import checkpoints  # noqa: E402
import gguf  # noqa: E402
import make_checkpoint  # noqa: E402
import measure  # noqa: E402
import results  # noqa: E402

TINY = make_checkpoint.SHAPES["tiny"]
TOKENS = [1, 300, 301, 302, 17, 400, 500, 511]


@pytest.mark.parametrize("kind", [kind for kind in make_checkpoint.TYPES if kind != "hf"])
def test_a_gguf_of_any_type_has_sane_weights_and_runs(kind, tmp_path):
    path = make_checkpoint.make(TINY, kind, tmp_path / "tiny.gguf")
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert len(tensors) == 3 + 10 * TINY.layers
    experts = tensors["blk.1.ffn_up_exps.weight"]
    assert experts.tensor_type.name == make_checkpoint.MIXES.get(kind, kind)
    values = gguf.quants.dequantize(experts.data, experts.tensor_type).astype(np.float32)
    assert values.shape == (TINY.experts, TINY.feed_forward, TINY.hidden)
    assert values.std() == pytest.approx(0.02, rel=0.05)
    assert abs(values.mean()) < 0.15 * values.std()
    assert (values[0] != values[1]).any()
    logits = np.array(ms.load(path, precision="exact").run(TOKENS, capture=["logits"])["logits"])
    assert logits.shape == (len(TOKENS), TINY.vocabulary)
    # Sums of 256 normed values times 0.02.
    assert 0.2 < logits.std() < 0.5


def test_a_mixture_of_types_is_llama_cpps(tmp_path):
    path = make_checkpoint.make(TINY, "Q4_K_M", tmp_path / "tiny.gguf")
    types = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}
    assert types["output.weight"] == "Q6_K"
    assert types["blk.0.attn_k.weight"] == types["blk.0.attn_v.weight"] == "Q8_0"
    assert types["blk.0.attn_output.weight"] == "Q5_K"
    assert (types["blk.0.ffn_down_exps.weight"], types["blk.1.ffn_down_exps.weight"]) == ("Q4_K", "Q6_K")
    assert types["blk.0.ffn_gate_inp.weight"] == types["output_norm.weight"] == "F32"


def test_a_hugging_face_folder_runs(tmp_path):
    path = make_checkpoint.make(TINY, "hf", tmp_path / "tiny")
    model = ms.load(path, precision="exact")
    assert np.isfinite(model.run(TOKENS).logprob[1:]).all()


def test_rows_that_blocks_do_not_fill_are_refused(tmp_path):
    shape = make_checkpoint.replace(TINY, hidden=128)
    with pytest.raises(ValueError, match="multiple of 256 weights, found 128"):
        make_checkpoint.make(shape, "Q4_K", tmp_path / "tiny.gguf")
    assert not (tmp_path / "tiny.gguf").exists()


def test_files_that_are_read_anew_stay_what_they_are(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"weights" * 3_000_000)
    (tmp_path / "config.json").write_text("{}")
    assert checkpoints.read_anew(tmp_path) == tmp_path
    assert checkpoints.read_anew(tmp_path / "model.gguf").read_bytes() == b"weights" * 3_000_000
    assert (tmp_path / "config.json").read_text() == "{}"


def test_a_ratio_is_the_median_of_the_rounds():
    # Memory that is twice as fast in some rounds as in others: the medians are of different rounds, the ratios are not.
    ours = measure.Measurement("decode", "MoEScope", "", "tokens/s", [10, 20, 10, 20, 10])
    peer = measure.Measurement("decode", "llama.cpp", "", "tokens/s", [8, 16, 16, 16, 8])
    assert ours.times(peer) == 1.25
    with pytest.raises(ValueError, match="shorter"):
        ours.times(measure.Measurement("decode", "llama.cpp", "", "tokens/s", [8]))
    speeds = iter([[1.0, 3.0, 2.0], [4.0], [6.0], [8.0]])
    assert measure.in_turn(2, {"a": lambda: next(speeds), "b": lambda: next(speeds)}) == {"a": [2.0, 6.0], "b": [4.0, 8.0]}


def _section(name: str, processor: str, ours: float, peer: float):
    section = measure.Section(name, name.title(), False)
    section.machine = {"Processor": processor}
    section.add("layer2, prefill", "MoEScope", "default", "tokens/s", [ours])
    section.add("layer2, prefill", "llama.cpp", "default", "tokens/s", [peer])
    return section


def test_machines_of_other_kinds_keep_their_rows():
    epyc, xeon = "AMD EPYC (avx2, fma, f16c)", "Intel Xeon (avx2, fma, avx512f, avx512_bf16, amx_bf16)"
    assert results.machine_kind(epyc) == "AMD EPYC, AVX2"
    assert results.machine_kind(xeon) == "Intel Xeon, AMX"
    assert results.machine_kind("AMD EPYC 9004 (avx2, avx512f)") == "AMD EPYC 9004, AVX-512"
    first = results.merged([], [_section("speed", epyc, 10, 8), _section("documents", epyc, 5, 5)])
    both = results.merged(first, [_section("speed", xeon, 90, 30)])
    assert [(row["machine"], row["section"]) for row in both if row["engine"] == "MoEScope"] == [
        ("Intel Xeon, AMX", "speed"), ("AMD EPYC, AVX2", "speed"), ("AMD EPYC, AVX2", "documents")
    ]
    again = results.merged(both, [_section("speed", epyc, 12, 8)])
    speeds = {row["machine"]: row["median"] for row in again if row["section"] == "speed" and row["engine"] == "MoEScope"}
    assert speeds == {"AMD EPYC, AVX2": "12", "Intel Xeon, AMX": "90"}
    beside = results.machines_beside([row for row in again if row["section"] == "speed"])
    assert beside[0] == "| tokens/s, and times the best peer | AMD EPYC, AVX2 | Intel Xeon, AMX |"
    assert beside[2] == "| layer2, prefill | 12, 1.50 × | 90, 3.00 × |"
    assert results.table(again).splitlines()[0] == ",".join(results.COLUMNS)
