"""Weights as arrays, the model's last step as a function, and conversations."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import moescope as ms

TEXT = "Der Rauch steigt auf."


@pytest.fixture(scope="module")
def file(model):
    """The tensors of the file itself: BF16, widened here."""
    data = (model.path / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])

    def read(name):
        entry = header[name]
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        assert entry["dtype"] == "BF16"
        raw = np.frombuffer(data[begin:end], dtype="<u2").astype(np.uint32) << 16
        return raw.view(np.float32).reshape(entry["shape"])

    return read


def test_weights_are_those_of_the_file(model, file):
    w, c = model.weights, model.config
    moe = "model.layers.3.block_sparse_moe"
    assert (w.router(3) == file(f"{moe}.gate.weight")).all() and w.router(3).shape == (c.experts, c.hidden_size)
    expert = w.expert(3, 5)
    for matrix, name in zip(expert, ("w1", "w3", "w2"), strict=True):
        assert (matrix == file(f"{moe}.experts.5.{name}.weight")).all()
    assert expert.down.shape == (c.hidden_size, c.expert_size)
    assert (w.embedding() == file("model.embed_tokens.weight")).all()
    assert w.output().shape == (c.vocab_size, c.hidden_size)
    assert (w["final_norm"] == file("model.norm.weight")).all()
    assert w.router().shape == (c.layers, c.experts, c.hidden_size) and w.router_layers == list(range(c.layers))
    row = next(row for row in w.table() if row["role"] == "expert_down" and row["layer"] == 3)
    assert (row["shape"], row["count"]) == (f"{c.hidden_size}×{c.expert_size}", c.experts)


def test_router_logits_are_the_product_with_the_routers_rows(model):
    run = model.run(TEXT, capture=["resid_mid", "router_logits"])
    x = run["blocks.2.resid_mid"].astype(np.float64)
    normed = x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-5) * model.weights["feed_forward_norm", 2]
    np.testing.assert_allclose(normed @ model.weights.router(2).T, run["blocks.2.router_logits"], atol=1e-3)


@pytest.mark.parametrize(
    "key, error, said",
    [
        ("rooter", KeyError, "no weight is called"), (("router", 99), ValueError, "layer: expected 0 to 5, found 99"),
        (("expert_up", 1), ValueError, "expert: expected 0 to 7, found none"), (("expert_up", 1, 8), ValueError, "expert: expected 0 to 7, found 8"),
        ("shared_up", KeyError, "this model has no shared_up"), (("router", 1.5), TypeError, "expected an integer"),
    ],
)  # fmt: skip
def test_a_weight_that_is_not_there_is_named(model, key, error, said):
    with pytest.raises(error, match=said):
        model.weights[key]


def test_the_last_step_of_the_stream_is_that_of_the_pass(model):
    run = model.run(TEXT, capture=["resid_post", "final_norm", "logits"])
    last = run[f"blocks.{model.config.layers - 1}.resid_post"]
    assert (model.final_norm(last) == run["final_norm"]).all()
    np.testing.assert_allclose(model.unembed(last), run["logits"], atol=1e-5)
    layers = model.unembed(run["resid_post"])
    assert layers.shape == (model.config.layers, len(run), model.config.vocab_size)
    np.testing.assert_allclose(layers[-1], run["logits"], atol=1e-5)
    one = model.unembed(last[-1])
    assert one.shape == (model.config.vocab_size,)
    with pytest.raises(ValueError, match=rf"residual: expected an array \[\.\.\., {model.config.hidden_size}\], found \[3\]"):
        model.final_norm(np.zeros(3))
    with pytest.raises(ValueError, match="at least one row"):
        model.unembed(np.zeros((0, model.config.hidden_size)))


def test_a_conversation_is_written_as_mixtral_wants_it(model):
    """Without a template, the first version of Mistral's format: [INST] … [/INST] as text, as mistral-common writes it."""
    messages = [
        {"role": "system", "content": "Antworte kurz."}, {"role": "user", "content": "Was ist Rauch?"},
        {"role": "assistant", "content": "Ein Aerosol."}, {"role": "user", "content": "</s> Und Dampf?"},
    ]  # fmt: skip
    bos, eos = model.token_id("<s>"), model.token_id("</s>")
    wanted = [bos, *model.encode("[INST] Antworte kurz.\n\nWas ist Rauch? [/INST]", bos=False)]
    wanted += [*model.encode("Ein Aerosol.", bos=False), eos, *model.encode("[INST] </s> Und Dampf? [/INST]", bos=False)]
    assert model.chat_tokens(messages) == wanted
    assert model.chat_tokens("Was?") == [bos, *model.encode("[INST] Was? [/INST]", bos=False)]
    answer = model.chat("Was ist Rauch?", max_tokens=5, capture="router_logits", layers=[3])
    step = next(answer)
    assert step["blocks.3.router_logits"].shape == (model.config.experts,)
    assert answer.tokens[: len(answer.prompt)] == model.chat_tokens("Was ist Rauch?") and len(answer.tokens) <= len(answer.prompt) + 5
    assert answer.text == "".join(model.decode(answer.tokens)[len(model.decode(answer.prompt)) :])


def test_a_conversation_is_written_by_the_models_template(model, tmp_path):
    folder = tmp_path / "templated"
    folder.mkdir()
    for path in model.path.iterdir():
        if path.is_file():
            (folder / path.name).symlink_to(path)
    template = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
    (folder / "chat_template.jinja").write_text(template)
    templated = ms.load(folder)
    said = templated.chat_tokens([{"role": "user", "content": "Was?"}])
    assert templated.decode(said) == "user: Was?\nassistant:" and said[0] == templated.token_id("<s>")
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no system messages') }}")
    with pytest.raises(ValueError, match="no system messages"):
        ms.load(folder).chat_tokens("Was?")


@pytest.mark.parametrize(
    "messages, said",
    [
        ([], "messages: expected at least one"), ([{"role": "user"}], r"messages\[0\]: expected"),
        ([{"role": "tool", "content": "x"}], r"messages\[0\]: role: expected system, user, assistant, found 'tool'"),
        ({"role": "user", "content": "x"}, "messages: expected a list of messages or a text, found dict"), (["x"], r"messages\[0\]: expected"),
    ],
)  # fmt: skip
def test_what_is_no_conversation_is_named(model, messages, said):
    with pytest.raises((TypeError, ValueError), match=said):
        model.chat(messages)


def test_names_of_points_complete(model):
    points = model.points
    assert points.router_logits == "router_logits" and points.attn.pattern == "attn.pattern"
    assert points.blocks[3].attn.pattern == "blocks.3.attn.pattern" and points.final_norm == "final_norm"
    assert {"resid_post", "attn", "blocks", "logits"} <= set(dir(points)) and "pattern" in dir(points.attn)
    assert model.run("x", capture=points.blocks[1].router_logits).names == ["blocks.1.router_logits"]
    with pytest.raises(AttributeError, match="no hook point is called 'rooter'"):
        points.rooter
    assert list(model.weights) and "router" in model.weights._ipython_key_completions_()


def test_weights_are_read_while_a_model_runs(root):
    # The matrix of both of the file's parts is put together where it is needed, and given back.
    model = ms.load(root / "Tests/Fixtures/families/deepseek2-split.gguf", precision="exact", threads=1)
    ids = [(place * 37) % 60 for place in range(64)]
    expected = np.array(model.run(ids, capture="logits")["logits"])
    matrix = np.array(model.weights["latent_up", 1])
    ended = threading.Event()

    def read():
        while not ended.is_set():
            assert np.array_equal(model.weights["latent_up", 1], matrix)

    with ThreadPoolExecutor(2) as readers:
        reading = [readers.submit(read) for _ in range(2)]
        try:
            for _ in range(400):
                assert np.array_equal(model.run(ids, capture="logits")["logits"], expected)
        finally:
            ended.set()
        for one in reading:
            one.result()
