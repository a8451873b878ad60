"""What Python's callers mean is taken; what they cannot mean is a TypeError or ValueError, and nothing is computed."""

import itertools
from pathlib import Path

import numpy as np
import pytest

import moescope as ms

TEXT = "Der Rauch steigt auf."


@pytest.mark.parametrize(
    "tokens",
    [b"Der", bytearray(b"Der"), memoryview(b"Der"), [1.0, 5.0], [1.7], [True, False], np.array([1.0, 5.0]),
     np.array([True]), {1: 2}, {1, 2}, 5, ["1"], [None], np.array(["1"])],
)  # fmt: skip
def test_tokens_are_integers(model, tokens):
    for take in (model.run, model.decode, model.pieces, lambda t: next(model.generate(t))):
        with pytest.raises(TypeError):
            take(tokens)


def test_integers_of_every_kind_are_tokens(model):
    expected = model.run([1, 5, 7]).logprob[1:].tolist()
    for tokens in ((1, 5, 7), np.array([1, 5, 7], np.uint16), [np.int64(1), np.int32(5), 7], iter([1, 5, 7])):
        assert model.run(tokens).logprob[1:].tolist() == expected


def test_tokens_are_one_row(model):
    with pytest.raises(ValueError, match=r"shape \[1, 2\]"):
        model.run(np.array([[1, 5]]))
    with pytest.raises(ValueError, match="vocabulary"):
        model.run([1, -1])


@pytest.mark.parametrize("shape", ["row", "first", "scalar", "column", "transposed", "more"])
def test_an_edit_keeps_the_shape(model, shape):
    T, D = len(model.encode(TEXT)), model.config.hidden_size
    made = {
        "row": np.zeros(D, np.float32), "first": np.zeros((1, D), np.float32), "scalar": 0.0,
        "column": np.zeros((T, 1), np.float32), "transposed": np.zeros((D, T), np.float32),
        "more": np.zeros((T + 1, D), np.float32),
    }[shape]  # fmt: skip
    with pytest.raises(ValueError, match=rf"blocks\.2\.resid_post.*expected \[{T}, {D}\]"):
        model.run(TEXT, edit={"blocks.2.resid_post": lambda x: made})


@pytest.mark.parametrize("kind", [bool, complex, object, str])
def test_an_edit_returns_numbers(model, kind):
    with pytest.raises(TypeError, match=r"blocks\.2\.resid_post"):
        model.run(TEXT, edit={"blocks.2.resid_post": lambda x: np.asarray(x).astype(kind)})


def test_experts_are_not_rounded(model):
    with pytest.raises(TypeError, match="int32"):
        model.run(TEXT, edit={"blocks.2.expert_indices": lambda x: np.asarray(x) + 0.5})


def test_an_edit_of_the_same_shape_is_taken(model):
    plain = model.run(TEXT).logprob[1:]
    same = model.run(TEXT, edit={"blocks.2.resid_post": lambda x: np.asarray(x, np.float64)}).logprob[1:]
    gone = model.run(TEXT, edit={"blocks.2.resid_post": lambda x: np.zeros(x.shape)}).logprob[1:]
    assert same.tolist() == plain.tolist() and gone.tolist() != plain.tolist()


def test_negative_layers_are_refused(model, traced):
    for attempt in (
        lambda: model.run(TEXT, capture=["router_logits"], layers=[-1]),
        lambda: model.run(TEXT, capture=["blocks.-1.router_logits"]),
        lambda: next(model.generate(TEXT, capture=["router_logits"], layers=[-1])),
        lambda: ms.ablate(layer=-1, experts=[0]),
        lambda: ms.ablate(layers=[], experts=[0]),
        lambda: ms.exclude(experts=[-1]),
        lambda: ms.scale(positions=[-1], experts=[0], by=2),
        lambda: traced.router_logits(-1),
        lambda: ms.metrics.load(traced, layers=[-1]),
    ):
        with pytest.raises(ValueError):
            attempt()


def test_numbers_are_not_rounded(model, tmp_path):
    for attempt in (
        lambda: ms.ablate(layer=1.5, experts=[0]),
        lambda: ms.ablate(layer=True, experts=[0]),
        lambda: ms.force(experts=[0.9]),
        lambda: ms.top_k(1.5),
        lambda: ms.random_routing(0.5),
        lambda: ms.replace_with(expert=1.5, other=2),
        lambda: model.run(TEXT, layers=[1.5]),
        lambda: model.run(TEXT, capture={"router_logits": 1}),
        lambda: next(model.generate(TEXT, max_tokens=1.5)),
        lambda: ms.load("polyglot", threads=True),
        lambda: ms.trace(model, [{"tokens": [1.7, 5.2]}], output=tmp_path / "t"),
        lambda: ms.trace(model, [{"tokens": b"ab"}], output=tmp_path / "t"),
    ):
        with pytest.raises(TypeError):
            attempt()
    assert not (tmp_path / "t").exists()


def test_a_damaged_shard_is_a_trace_error(model, tmp_path):
    trace = ms.trace(model, [{"id": "a", "tokens": [1, 5, 7]}, {"id": "b", "tokens": [1, 6]}], output=tmp_path / "t")
    shard = tmp_path / "t" / "shards" / "000000.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    opened = ms.open_trace(trace.path)
    for read in (lambda: opened.tokens, lambda: opened.router_logits(0), lambda: ms.metrics.load(opened, minimum_documents=1)):
        with pytest.raises(ms.TraceError, match=r"000000\.safetensors: sha256"):
            read()


@pytest.mark.parametrize("huge", [range(10**9), range(10**30), itertools.count()], ids=["9", "30", "endless"])
def test_a_huge_range_is_an_error(model, huge):
    for take in (
        lambda: ms.ablate(experts=huge), lambda: ms.ablate(experts=[0], layers=huge),
        lambda: ms.ablate(experts=[0], positions=huge), lambda: model.run(TEXT, layers=huge),
        lambda: model.run(TEXT, heads=huge, capture=["attn.pattern"]),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match="expected"):
            take()
    if not isinstance(huge, itertools.count):
        with pytest.raises(ValueError):
            model.run(huge)


@pytest.mark.parametrize("name", ["blocks.1.attn.scores", "blocks.2.router_logits", "blocks.0.resid_post"])
def test_an_edit_that_puts_nan_is_named(model, name):
    def spoil(value):
        value[(-1,) * value.ndim] = np.nan
        return value

    with pytest.raises(ValueError, match=rf"{name}: the edit put NaN at element \d+"):
        model.run(TEXT, edit={name: spoil})


def test_a_tokenizer_error_has_its_own_type(tmp_path):
    folder = Path(__file__).parents[1] / "Fixtures/hub-folders/Qwen3-30B-A3B"
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "tokenizer.json").write_text("[")
    with pytest.raises(ms.TokenizerError, match="tokenizer.json"):
        ms.load(str(tmp_path))
    assert issubclass(ms.TokenizerError, ms.CheckpointError) and issubclass(ms.TokenizerError, ValueError)
