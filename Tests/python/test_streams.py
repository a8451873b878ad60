"""Many documents: read as they are needed, kept on disk, each changed in its own way."""

import json
import weakref

import numpy as np
import pytest

import moescope as ms

TEXTS = ["Der Rauch steigt auf.", "The smoke rises.", "La fumée monte.", "x"]


def test_documents_are_read_as_they_are_needed(model):
    taken = []

    def texts():
        for number in range(40):
            taken.append(number)
            yield TEXTS[number % 4]

    runs = model.runs(texts(), capture="blocks.1.resid_post", batch_tokens=32)
    assert taken == []
    first = next(runs)
    # A batch of at most 32 tokens, and the document that did not fit.
    lengths = np.cumsum([len(model.encode(TEXTS[number % 4])) for number in range(40)])
    assert len(taken) == int((lengths <= 32).sum()) + 1 < 10
    alone = model.run(TEXTS[0], capture="blocks.1.resid_post")
    np.testing.assert_allclose(first["blocks.1.resid_post"], alone["blocks.1.resid_post"], atol=1e-5)
    assert [run.number for run in runs] == list(range(1, 40)) and len(taken) == 40


@pytest.mark.parametrize("format", ["npz", "safetensors"])
def test_a_folder_holds_what_was_captured_of_each(model, tmp_path, format):
    paths = model.run_many(TEXTS, capture=["resid_post", "attn.pattern"], to=tmp_path / "kept", format=format)
    assert [path.name for path in paths] == [f"{number:06}.{format}" for number in range(4)]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [path.name for path in paths]
    for path, run in zip(paths, model.run_many(TEXTS, capture=["resid_post", "attn.pattern"]), strict=True):
        if format == "npz":
            stored = dict(np.load(path))
        else:
            from safetensors.numpy import load_file

            stored = load_file(path)
        assert set(stored) == {*run.names, "tokens", "logprob", "expert_indices", "expert_weights"}
        assert all((stored[name] == run[name]).all() for name in run.names)
        assert (stored["tokens"] == run.tokens).all() and (stored["expert_indices"] == run.expert_indices).all()


def test_a_run_is_kept_under_a_name_of_a_known_kind(model, tmp_path):
    with pytest.raises(ValueError, match=r"expected a name that ends in \.npz or \.safetensors"):
        model.run("x").save(tmp_path / "run.bin")
    with pytest.raises(ValueError, match="format: expected npz or safetensors, found 'csv'"):
        model.run_many(TEXTS, to=tmp_path, format="csv")


def test_a_function_gets_each_run_and_batches_are_let_go(model):
    seen = []

    def keep(run):
        # Batches before the one that this run belongs to are freed.
        seen.append(weakref.ref(run))
        return run["blocks.0.resid_post"].sum()

    sums = model.run_many(TEXTS * 8, capture="blocks.0.resid_post", to=keep, batch_tokens=24)
    wanted = [run["blocks.0.resid_post"].sum() for run in model.run_many(TEXTS * 8, capture="blocks.0.resid_post")]
    np.testing.assert_allclose(sums, wanted, rtol=1e-4)
    assert sum(reference() is not None for reference in seen) == 0


def test_each_document_has_its_own_interventions(model):
    groups = ["de", "en", "de", "en"]
    general = ms.scale(experts=range(8), by=0.5, layer=0, groups=["de"])
    own = [ms.ablate(layer=3, experts=[1, 2]), [general], None, [ms.top_k(1, layer=2), general]]
    together = model.run_many([TEXTS[0]] * 4, interventions=own, groups=groups)
    for run, changes, group in zip(together, own, groups, strict=True):
        alone = model.run(TEXTS[0], interventions=changes or (), group=group)
        np.testing.assert_allclose(run.logprob[1:], alone.logprob[1:], atol=1e-5)
    # `general` is for German: in the second and fourth document it does nothing.
    np.testing.assert_allclose(together[1].logprob[1:], together[2].logprob[1:], atol=1e-5)
    assert np.abs(together[0].logprob[1:] - together[2].logprob[1:]).max() > 1e-3


def test_the_order_of_a_documents_interventions_stays(model):
    first, second = ms.force(layer=2, experts=[1, 2]), ms.exclude(layer=2, experts=[1])
    orders = [[first, second], [second, first]]
    together = model.run_many([TEXTS[0]] * 2, interventions=orders)
    for run, order in zip(together, orders, strict=True):
        assert (run.expert_indices[2] == model.run(TEXTS[0], interventions=order).expert_indices[2]).all()


def test_each_document_has_its_own_edits(model):
    """Patching one position after the other in one pass equals patching them alone."""
    tokens = model.encode(TEXTS[0])
    clean = model.run(TEXTS[1], capture="blocks.2.resid_post")["blocks.2.resid_post"]
    hooks = []

    def patch(position):
        def edit(value, hook):
            hooks.append(hook)
            value[position] = clean[min(position, len(clean) - 1)]

        return {"blocks.2.resid_post": edit}

    together = model.run_many([tokens] * len(tokens), edit=[patch(p) for p in range(len(tokens))])
    assert [hook.document for hook in hooks] == list(range(len(tokens)))
    for position, run in enumerate(together):
        alone = model.run(tokens, edit=patch(position))
        np.testing.assert_allclose(run.logprob[1:], alone.logprob[1:], atol=1e-5)
    some = model.run_many([tokens] * 2, edit=[None, patch(0)])
    np.testing.assert_allclose(some[0].logprob[1:], model.run(tokens).logprob[1:], atol=1e-5)


def test_an_edit_knows_whose_rows_and_patterns_it_has(model):
    places, patterns = [], []

    def rows(value, hook):
        places.append((hook.document, {number: value[part].shape[0] for number, part in hook.rows.items()}))

    def pattern(value, hook):
        patterns.append((hook.document, value.shape[1]))

    model.run_many(TEXTS, edit={"blocks.1.resid_post": rows, "blocks.1.attn.pattern": pattern}, batch_tokens=16)
    lengths = [len(model.encode(text)) for text in TEXTS]
    assert [document for document, _ in places] == [None] * len(places) and len(places) > 1
    assert {number: length for _, part in places for number, length in part.items()} == dict(enumerate(lengths))
    assert patterns == list(enumerate(lengths))
    own = []
    model.run_many(TEXTS[:2], edit=[None, {"blocks.1.attn.pattern": lambda value, hook: own.append((hook.document, value.shape))}])
    assert own == [(1, (model.config.heads, lengths[1], lengths[1]))]


@pytest.mark.parametrize("name, value", [("groups", ["de"]), ("interventions", [None, None]), ("edit", [None])])
def test_one_for_each_document_is_expected(model, name, value):
    with pytest.raises(ValueError, match=rf"{name}: expected one per document \(4\), found {len(value)}"):
        model.run_many(TEXTS, **{name: value})
    with pytest.raises(ValueError, match=f"{name}: expected one per document"):
        model.run_many(iter(TEXTS), **{name: value})


def test_a_corpus_that_streams_makes_the_same_trace(model, tmp_path):
    rows = [{"id": f"d{n}", "group": "de" if n % 2 else "en", "text": f"{n}. {TEXTS[n % 3]}", "cluster": str(n % 5)} for n in range(30)]
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    alive = []

    def stream():
        for row in rows:
            text = type("Text", (str,), {})(row["text"])  # a str that weak references can tell
            alive.append(weakref.ref(text))
            yield {**row, "text": text}
            del text

    streamed = ms.trace(model, stream(), output=tmp_path / "a", max_tokens=8)
    assert sum(reference() is not None for reference in alive) == 0
    whole = ms.trace(model, path, output=tmp_path / "b", max_tokens=8)
    assert list(streamed.documents) == list(whole.documents) and True in streamed.documents["truncated"]
    assert (streamed.tokens == whole.tokens).all()
    assert streamed.manifest["tokenizer"] == whole.manifest["tokenizer"]
    for name in ("documents", "tokens", "groups", "tokens_sha256"):
        assert streamed.manifest["corpus"].get(name) == whole.manifest["corpus"].get(name)
    # As before documents were streamed: a list makes the same hash, and a trace that was begun can be resumed.
    again = ms.trace(model, rows, output=tmp_path / "a", max_tokens=8, resume=True)
    assert again.manifest["corpus"]["sha256"] == streamed.manifest["corpus"]["sha256"]
