"""Running the model: what comes back, what edits and interventions change, and how errors arrive."""

import threading
import time

import numpy as np
import pytest

import moescope as ms

TEXT = "Der Rauch steigt auf."
SITES = [row["name"] for row in ms.hooks()]
#: Points that only models with learned sinks, or with latent attention, have.
ELSEWHERE = ["blocks.{l}.attn.sink", "blocks.{l}.attn.kv_latent"]
EDITABLE = [row["name"] for row in ms.hooks() if row["editable"] and row["name"] not in ELSEWHERE]


def test_three_lines_to_the_router_logits_of_every_layer(model):
    run = model.run(TEXT, capture=["router_logits"])
    c = model.config
    for layer in range(c.layers):
        z = run[f"blocks.{layer}.router_logits"]
        assert z.shape == (len(run.tokens), c.experts) and z.dtype == np.float32
        # The choice is the largest logits; the weights are their softmax, renormalized.
        best = np.argsort(-z, axis=1, kind="stable")[:, : c.experts_per_token]
        assert (best == run.expert_indices[layer]).all()
        chosen = np.exp(np.take_along_axis(z, best, 1) - z.max(1, keepdims=True))
        np.testing.assert_allclose(run.expert_weights[layer], chosen / chosen.sum(1, keepdims=True), atol=1e-6)
    assert run["router_logits"].shape == (c.layers, len(run), c.experts)
    assert run.tokens[0] == model.encode("")[0] and np.isnan(run.logprob[0]) and (run.logprob[1:] < 0).all()


def test_values_are_views_of_the_engines_memory(model):
    run = model.run(TEXT, capture=["router_logits"])
    z = run["blocks.3.router_logits"]
    assert np.shares_memory(z, run["blocks.3.router_logits"])
    base = z
    while isinstance(base.base, np.ndarray):
        base = base.base
    owner = base.base.obj if isinstance(base.base, memoryview) else base.base
    assert isinstance(owner, ms.Array)
    assert z.__array_interface__["data"][0] == owner.__array_interface__["data"][0]
    kept = z.copy()
    del run, base, owner
    model.run(TEXT * 3, capture=["router_logits"])
    assert (z == kept).all()


def test_every_hook_point_can_be_captured(model):
    run = model.run(TEXT, capture=[name.replace("{l}", "*") for name in SITES if name not in ELSEWHERE])
    t, c = len(run), model.config
    sizes = {"T": t, "D": c.hidden_size, "H": c.heads, "G": c.kv_heads, "d": c.head_size, "E": c.experts}
    sizes |= {"K": c.experts_per_token, "V": c.vocab_size, "t": t, "5": 5}
    for row in ms.hooks():
        if row["name"] in ELSEWHERE:
            continue
        value = run[row["name"].replace("{l}", "1")]
        assert value.shape == tuple(sizes[s] for s in row["shape"].replace(" per document", "").split()), row["name"]
    np.testing.assert_allclose(run["blocks.1.attn.pattern"].sum(-1), 1, atol=1e-5)
    residual = run["blocks.2.resid_pre"] + run["blocks.2.attn_out"]
    np.testing.assert_allclose(run["blocks.2.resid_mid"], residual, atol=1e-5)
    z = run["logits"].astype(np.float64)
    log_p = z - np.log(np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)) - z.max(1, keepdims=True)
    np.testing.assert_allclose(run.logprob[1:], log_p[np.arange(t - 1), run.tokens[1:]], atol=1e-4)


def test_a_point_of_other_models_is_refused_by_name(model):
    for name, missing in zip(ELSEWHERE, ["learned attention sinks", "latent attention"], strict=True):
        with pytest.raises(ValueError, match=f"this model has no {missing}"):
            model.run(TEXT, capture=[name.replace("{l}", "1")])


def test_other_tools_names_work(model):
    names = ["blocks.3.hook_resid_post", "model.layers.3.block_sparse_moe.gate", "ffn_moe_logits-2"]
    run = model.run(TEXT, capture=names)
    assert set(run.names) == {"blocks.3.resid_post", "blocks.3.router_logits", "blocks.2.router_logits"}
    for name in names:
        assert run[name].shape[0] == len(run)


def test_layers_and_heads_narrow_the_capture(model):
    run = model.run(TEXT, capture=["router_logits", "attn.pattern"], layers=[0, 3], heads=[1])
    assert run.names == ["blocks.0.attn.pattern", "blocks.0.router_logits", "blocks.3.attn.pattern", "blocks.3.router_logits"]
    assert run["blocks.3.attn.pattern"].shape == (1, len(run), len(run))


def test_many_documents_give_what_each_alone_gives(model, corpus):
    texts = [document["text"] for document in corpus[:9]]
    together = model.run_many(texts, capture=["router_logits", "attn.summary", "attn.pattern"])
    for text, run in zip(texts, together, strict=True):
        alone = model.run(text, capture=["router_logits", "attn.summary", "attn.pattern"])
        assert (run.tokens == alone.tokens).all()
        np.testing.assert_allclose(run.logprob, alone.logprob, atol=2e-4)
        for name in alone.names:
            np.testing.assert_allclose(run[name], alone[name], atol=2e-3)


def test_ablation_takes_one_line(model):
    run = model.run(TEXT)
    layer, expert = 3, int(np.bincount(run.expert_indices[3].ravel()).argmax())
    changed = model.run(TEXT, interventions=[ms.ablate(layer=layer, experts=[expert])])
    used = (changed.expert_indices[layer] == expert).any(1)
    assert (changed.expert_weights[layer][changed.expert_indices[layer] == expert] == 0).all()
    assert np.abs(changed.logprob[1:] - run.logprob[1:]).max() > 1e-3
    first = int(used.argmax())
    assert (changed.logprob[1 : first + 1] == run.logprob[1 : first + 1]).all()  # nothing before it changes


@pytest.mark.parametrize(
    "intervention",
    [
        ms.ablate(experts=[0, 1], renormalize=True), ms.scale(experts=[2], by=2), ms.force(layer=1, experts=[3, 4]),
        ms.exclude(layers=[2, 3], experts=[5]), ms.steer(experts=[1], by=1.5), ms.steer(experts=[1], hard=True),
        ms.top_k(3), ms.top_k(1), ms.random_routing(7), ms.replace_with(expert=0, other=6),
        ms.scale(experts=range(8), by=0.5, positions=[2, 3]), ms.ablate(experts=range(8), groups=["de"]),
    ],
    ids=repr,
)  # fmt: skip
def test_every_intervention_has_an_effect(model, intervention):
    before = model.run(TEXT, group="de")
    after = model.run(TEXT, group="de", interventions=[intervention])
    assert np.abs(after.logprob[1:] - before.logprob[1:]).max() > 1e-4


def test_interventions_keep_to_their_scope(model):
    before = model.run(TEXT, group="de")
    elsewhere = model.run(TEXT, group="de", interventions=[ms.ablate(experts=range(8), groups=["fr"])])
    assert (elsewhere.logprob[1:] == before.logprob[1:]).all()
    forced = model.run(TEXT, interventions=[ms.force(layer=2, experts=[6, 7])])
    assert set(np.unique(forced.expert_indices[2])) == {6, 7}
    assert model.run(TEXT, interventions=[ms.top_k(3)]).expert_indices.shape[2] == 3


def test_an_edit_equals_the_intervention_it_spells_out(model):
    def ablate_by_hand(weights, hook):
        assert hook.name == "blocks.3.expert_weights" and hook.layer == 3
        weights[indices[3] == 2] = 0

    indices = model.run(TEXT).expert_indices
    by_hand = model.run(TEXT, edit={"blocks.3.expert_weights": ablate_by_hand})
    declared = model.run(TEXT, interventions=[ms.ablate(layer=3, experts=[2])])
    assert (by_hand.logprob[1:] == declared.logprob[1:]).all()


@pytest.mark.parametrize("site", EDITABLE)
def test_an_edit_at_every_editable_point_has_its_effect(model, site):
    name = site.replace("{l}", "2")
    shape = model.run(TEXT, capture=[name])[name].shape
    noise = np.random.default_rng(1).normal(size=shape).astype(np.float32)

    def edit(value):
        if value.dtype == np.int32:
            return (value + 1) % model.config.experts
        if "pattern" in site or "scores" in site:
            return value * (1 + 0.5 * np.tril(noise))
        return value + noise

    before = model.run(TEXT)
    after = model.run(TEXT, capture=[name], edit={name: edit})
    changed = np.nan_to_num(after.logprob[1:] - before.logprob[1:])
    if site == "logits":  # the last hook: what is seen there has changed
        assert (after["logits"] != model.run(TEXT, capture=["logits"])["logits"]).any()
    else:
        assert np.abs(changed).max() > 1e-5
    unchanged = model.run(TEXT, edit={name: lambda value: None})
    np.testing.assert_allclose(unchanged.logprob[1:], before.logprob[1:], atol=1e-5)


def test_a_kept_view_cannot_touch_the_engine_later(model):
    kept = []
    before = model.run(TEXT, edit={"blocks.2.resid_post": kept.append})
    kept[0][:] = np.nan
    assert (model.run(TEXT).logprob[1:] == before.logprob[1:]).all()


def test_errors_are_of_the_right_kind(model, tmp_path):
    with pytest.raises(ValueError, match=r"nearest: router_logits"):
        model.run(TEXT, capture=["router_logit"])
    with pytest.raises(ValueError, match=r"layers 0 to 5"):
        model.run(TEXT, capture=["blocks.17.router_logits"])
    with pytest.raises(ValueError, match=r"expert 99"):
        model.run(TEXT, interventions=[ms.ablate(experts=[99])])
    with pytest.raises(ValueError, match=r"seen, not changed"):
        model.run(TEXT, edit={"blocks.0.attn.summary": lambda x: x})
    with pytest.raises(ValueError, match=r"the edit chose expert 42"):
        model.run(TEXT, edit={"blocks.0.expert_indices": lambda x: x * 0 + 42})
    with pytest.raises(ValueError, match=r"not in the vocabulary"):
        model.run([1, 2**20])
    with pytest.raises(ValueError, match=r"at least one token"):
        model.run([])
    with pytest.raises(TypeError, match=r"group"):
        ms.ablate(experts=[1], group="de")
    with pytest.raises(KeyError, match=r"not captured"):
        model.run(TEXT)["blocks.0.router_logits"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ms.load(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises((ms.CheckpointError, FileNotFoundError)):
        ms.load(tmp_path)
    with pytest.raises(ValueError, match="exact"):
        ms.load("polyglot", precision="quick")


def test_an_exception_in_an_edit_arrives_with_its_traceback(model):
    def careless(value):
        return value[:, 10**6]

    with pytest.raises(IndexError) as caught:
        model.run(TEXT, edit={"blocks.2.resid_post": careless})
    assert caught.traceback[-1].name == "careless"
    with pytest.raises(ValueError, match=r"expected \[9, 256\]"):
        model.run(TEXT, edit={"blocks.2.resid_post": lambda value: value[:, :3]})
    assert len(model.run(TEXT)) > 0  # the model is as good as before


def test_a_callback_cannot_run_its_own_model(model):
    with pytest.raises(RuntimeError, match="running already"):
        model.run(TEXT, edit={"embed": lambda value: model.run(TEXT)})


def test_python_threads_run_while_the_engine_computes(model):
    ticks = 0
    stop = threading.Event()

    def tick():
        nonlocal ticks
        while not stop.is_set():
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.monotonic()
    while time.monotonic() - start < 0.5:
        model.run_many([TEXT * 20] * 8)
    stop.set()
    thread.join()
    assert ticks > 50


def test_two_threads_run_two_models(model):
    other = ms.load("polyglot", precision="exact")
    expected = model.run(TEXT).logprob[1:]
    results = {}

    def work(name, one):
        results[name] = [one.run(TEXT, edit={"embed": lambda x: None}).logprob[1:] for _ in range(20)]

    threads = [threading.Thread(target=work, args=(i, m)) for i, m in enumerate((model, other, model))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3 and all((r == expected).all() for runs in results.values() for r in runs)


def test_generation(model):
    steps = list(model.generate("Once", max_tokens=8, capture=["router_logits"], layers=[1]))
    assert len(steps) <= 8 and all(step["blocks.1.router_logits"].shape == (8,) for step in steps)
    # Greedy: what a run over the whole text says is most probable, at every step.
    tokens = model.encode("Once") + [step.token for step in steps]
    logits = model.run(tokens, capture=["logits"])["logits"]
    assert [int(row.argmax()) for row in logits[-len(steps) - 1 : -1]] == [step.token for step in steps]
    a, b = ([s.token for s in model.generate("Once", max_tokens=6, temperature=1, seed=3)] for _ in range(2))
    assert a == b
    eight_bit = [step.token for step in model.generate("Once", max_tokens=4, cache="q8_0")]
    assert eight_bit == [step.token for step in steps[:4]]
    with pytest.raises(ValueError, match="nearest"):
        list(model.generate("Once", max_tokens=2, capture=["router_logit"]))
    with pytest.raises(ValueError, match='cache: expected one of "f32", "f16", "q8_0", found "f8"'):
        list(model.generate("Once", max_tokens=2, cache="f8"))


def test_text_round_trips(model):
    for text in ("Grüße, 世界 🙂", "", "def f(x):\n\treturn x"):
        assert model.decode(model.encode(text)[1:]) == text
    assert len(model.pieces(model.encode(TEXT))) == len(model.encode(TEXT))
    # The vocabulary's own spelling, and what a reader gets of it.
    assert model.pieces(model.encode("\nder")) == ["<s>", "▁", "<0x0A>", "der"]
    assert model.texts(model.encode("\nder")) == ["<s>", "␣", "⏎", "der"] == model.run("\nder").texts
    assert "Run of" in repr(model.run(TEXT)) and "polyglot" in repr(model)


def test_a_model_larger_than_its_memory_is_read_layer_by_layer():
    """The weights (33 MB) do not fit half of the memory; what comes out is the same to the last bit."""
    whole, streamed = ms.load("polyglot", precision="exact"), ms.load("polyglot", precision="exact", memory="40M")
    text = "Der Rauch steigt auf."
    assert np.array_equal(streamed.run(text).logprob, whole.run(text).logprob, equal_nan=True)
    with pytest.raises(ValueError, match='memory: expected a number of bytes such as "12G", found "much"'):
        ms.load("polyglot", memory="much")
