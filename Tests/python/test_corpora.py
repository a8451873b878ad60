"""Corpora as researchers hold them, and single values where a list is meant."""

import pickle
import warnings

import pandas
import polars
import pyarrow
import pytest

import moescope as ms
from moescope import corpora

TEXTS = ["Der Rauch steigt auf.", "The smoke rises.", "Der Fluss fließt."]
COLUMNS = {"body": TEXTS, "lang": ["de", "en", "de"], "key": ["a", "b", "c"]}
FRAME = pandas.DataFrame(COLUMNS)
SHAPES = {
    "a pandas frame": lambda: FRAME,
    "a pandas frame with another index": lambda: FRAME.set_index(pandas.Index([7, 7, 9])),
    "a Polars frame": lambda: polars.DataFrame(COLUMNS),
    "a pyarrow table": lambda: pyarrow.table(COLUMNS),
    "a pyarrow stream": lambda: pyarrow.table(COLUMNS).to_reader(max_chunksize=2),
    "columns": lambda: COLUMNS,
    "a list of dicts": lambda: FRAME.to_dict("records"),
    "an iterator of dicts": lambda: iter(FRAME.to_dict("records")),
    "a MoEScope table": lambda: ms.table(COLUMNS),
}


def documents(corpus, **columns):
    return list(corpora.documents(corpus, **columns))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_documents(shape):
    assert documents(SHAPES[shape](), text="body", group="lang", id="key") == [
        {"id": key, "group": group, "text": text} for text, group, key in zip(*COLUMNS.values(), strict=True)
    ]


@pytest.mark.parametrize("series", [FRAME["body"], polars.Series(TEXTS), FRAME["body"].to_numpy(), tuple(TEXTS), iter(TEXTS)])
def test_texts_alone(series):
    assert documents(series) == [{"id": str(i), "group": "", "text": text} for i, text in enumerate(TEXTS)]


def test_a_trace_of_a_frame_has_its_groups_and_ids(model, tmp_path):
    trace = ms.trace(model, FRAME, output=tmp_path / "t", text="body", group="lang", id="key", capture="router_logits")
    assert trace.groups == ["de", "en"] and trace.documents["id"] == ["a", "b", "c"]
    assert trace.tokens[trace.document == 1].tolist() == model.encode(TEXTS[1])


def test_columns_of_integers_and_tokens():
    frame = pandas.DataFrame({"tokens": [[1, 5], [1, 6, 7]], "group": [0, 1], "cluster": [3, None]}, dtype=object)
    assert documents(frame) == [
        {"id": "0", "group": "0", "tokens": [1, 5], "cluster": "3"},
        {"id": "1", "group": "1", "tokens": [1, 6, 7]},
    ]


@pytest.mark.parametrize(
    "corpus, columns, said",
    [
        (FRAME, {}, 'there is no column "text" or "tokens"; columns: body, lang, key. Name it with text='),
        (FRAME, {"text": "bodi"}, "there is no column 'bodi'; columns: body, lang, key. Did you mean 'body'?"),
        ({"text": "one"}, {}, "a single document goes into a list"),
        ({"text": ["a"], "group": ["a", "b"]}, {}, "columns differ in length: text 1, group 2"),
        (pandas.DataFrame({"text": ["a", None]}), {}, "document 1: text is missing"),
        (pandas.DataFrame({"text": ["a"], "group": [float("nan")]}), {}, "document 0: group is missing"),
        (pandas.DataFrame({"text": ["a", 5]}), {}, "document 1: text: expected a str, found int"),
        (pandas.Series(["a", None]), {}, "document 1: the text is missing"),
        (polars.LazyFrame({"text": ["a"]}), {}, "give corpus.collect()"),
        ({"train": pyarrow.table(COLUMNS), "test": pyarrow.table(COLUMNS)}, {}, "choose one: corpus['train']"),
        ([{"text": "a", "x": 1}, {"text": "b"}], {"group": "x"}, "document 1: there is no 'x', which was named as group="),
        (["a"], {"text": "body"}, "text: names a column, and document 0 is a text by itself"),
        ("corpus.jsonl", {"group": "lang"}, "group: a file's fields are named text, id and group"),
        (3, {}, "expected texts, mappings or a data frame, found int"),
        (b"text", {}, "expected texts, mappings or a data frame, found bytes"),
    ],
)
def test_what_is_no_corpus_is_named(model, corpus, columns, said):
    with pytest.raises((TypeError, ValueError)) as error:
        corpora.source(model, corpus, **columns)
    assert said in str(error.value)


def test_columns_that_look_like_what_is_missing_are_named():
    with pytest.warns(UserWarning, match="group='lang' would compare documents by that column"):
        documents(FRAME, text="body")
    with pytest.warns(UserWarning, match="'Cluster' is not read; did you mean 'cluster'"):
        documents([{"text": "a", "group": "g", "Cluster": "x"}])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        documents(FRAME, text="body", group="lang")
        documents([{"text": "a", "group": "g", "licence": "x"}])


def test_one_capture_and_one_intervention_need_no_list(model):
    run = model.run(TEXTS[0], capture="router_logits", interventions=ms.ablate(layer=1, experts=2))
    same = model.run(TEXTS[0], capture=["router_logits"], interventions=[ms.ablate(layer=1, experts=[2])])
    assert run.names == same.names and (run["router_logits"] == same["router_logits"]).all()


def test_generated_text_beside_its_steps(model):
    steps = list(model.generate(TEXTS[0], max_tokens=6))
    generation = model.generate(TEXTS[0], max_tokens=6)
    assert next(generation).token == steps[0].token
    assert generation.text == "".join(step.text for step in steps) == str(generation)
    with pytest.raises(ValueError, match="max_tokens"):
        model.generate(TEXTS[0], max_tokens=-1)


def test_runs_one_by_one_are_those_of_run_many(model):
    texts = TEXTS * 3
    many = model.run_many(texts, capture="blocks.1.resid_post")
    for one, other in zip(model.runs(texts, capture="blocks.1.resid_post"), many, strict=True):
        assert (one["blocks.1.resid_post"] == other["blocks.1.resid_post"]).all()


def test_ids_of_pieces(model):
    token = model.encode("der", bos=False)[0]
    assert model.token_id(model.pieces([token])[0]) == token
    assert model.pieces([model.token_id("</s>")]) == ["</s>"]
    with pytest.raises(KeyError, match="is no piece of the vocabulary; as a text it is split into"):
        model.token_id("Rauchwolkenbild")


def test_rows_and_copies_of_tables(traced):
    table = traced.documents
    assert table[0] == dict(zip(table.columns, (table[name][0] for name in table.columns), strict=True))
    assert table[-1]["index"] == len(table) - 1
    with pytest.raises(IndexError, match=f"has {len(table)} rows"):
        table[len(table)]
    copy = pickle.loads(pickle.dumps(table))
    assert list(copy) == list(table) and copy.name == table.name
    assert (pickle.loads(pickle.dumps(traced)).tokens == traced.tokens).all()


def test_what_cannot_be_copied_says_why(model):
    for value in (model, model.run("x")):
        with pytest.raises(TypeError, match="memory of the engine"):
            pickle.dumps(value)


def test_notebooks_show_models_traces_and_runs(model, traced):
    run = model.run("<b>Der</b> Rauch")
    shown = run._repr_html_()
    assert shown.count("<details") == model.config.layers and "<b>" not in shown and "&lt;" in shown
    expert, weight = run.expert_indices[2, 1, 0], run.expert_weights[2, 1, 0]
    assert f"expert {expert}: {weight:.2f}" in shown.split("<summary>layer 2</summary>")[1].split("</details>")[0]
    assert f"{model.config.vocab_size:,}" in model._repr_html_()
    assert str(traced.path) in traced._repr_html_()
    assert run._ipython_key_completions_() == run.names and "group" in traced.documents._ipython_key_completions_()
