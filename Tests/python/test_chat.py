"""Chat templates in the sandbox, against what transformers renders; quantizing from Python."""

import json

import moescope as ms
import numpy as np
import pytest
from moescope.chat import render


def test_templates_render_as_in_transformers(root):
    fixture = json.loads((root / "Tests/Fixtures/chat/templates.json").read_text())
    for case in fixture["cases"]:
        assert render(fixture["template"], case["messages"], bos_token=case["bos"]) == case["text"]
    with pytest.raises(ValueError, match="who is that"):
        render(fixture["template"], [{"role": "tool", "content": "x"}])


USER = [{"role": "user", "content": "a <b> \u00e9"}]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        # What apply_chat_template of transformers 5.24 writes.
        ("{{ messages[0] | tojson }}", '{"role": "user", "content": "a <b> \u00e9"}'),
        ("{{ messages[0] | tojson(indent=1, sort_keys=True) }}", '{\n "content": "a <b> \u00e9",\n "role": "user"\n}'),
        ("{% for name, value in messages[0].items() %}{{ name }};{% endfor %}", "role;content;"),
        ("{% generation %}{{ messages[0].content }}{% endgeneration %}!", "a <b> \u00e9!"),
        ("{% if tools is not none %}tools{% endif %}{{ tools is defined }}", "True"),
        ("{{ documents is none }} {{ bos_token is defined }} {{ pad_token }} {{ eos_token }}", "True False <pad> </s>"),
    ],
)
def test_templates_see_what_transformers_gives_them(template, text):
    assert render(template, USER, eos_token="</s>", pad_token="<pad>") == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
        "{% if",
    ],
)
def test_a_hostile_template_is_stopped(template):
    with pytest.raises((ValueError, OverflowError)):
        render(template, [{"role": "user", "content": "x"}])


def test_quantize(tmp_path):
    size = ms.quantize("polyglot", tmp_path / "q.gguf", type="q8_0")
    assert size == (tmp_path / "q.gguf").stat().st_size
    tokens = [1, 1468, 393, 584, 320, 2694]
    ours, original = (ms.load(m, precision="exact").run(tokens) for m in (tmp_path / "q.gguf", "polyglot"))
    assert 0 < np.abs(ours.logprob[1:] - original.logprob[1:]).max() < 0.2
    with pytest.raises(ValueError, match="Q4_K_M"):
        ms.quantize("polyglot", tmp_path / "x.gguf", type="Q9")
    with pytest.raises(FileNotFoundError):
        ms.quantize(tmp_path / "nowhere", tmp_path / "x.gguf", type="F16")


def test_a_model_without_a_tokenizer_continues_ids(root):
    model = ms.load(root / "Tests/Fixtures/families/deepseek2-split.gguf", precision="exact")
    prompt = [5, 17, 3, 40, 11]
    written = model.generate(prompt, max_tokens=6)
    assert written.text == "" and len(written.tokens) == 11
    # Token by token over cached latents, and in one pass.
    once = model.run(written.tokens, capture="logits")
    assert [int(row.argmax()) for row in once["logits"][4:-1]] == written.tokens[5:]


def test_a_gguf_file_is_known_by_its_first_bytes(tmp_path):
    named, bare = tmp_path / "q.gguf", tmp_path / "my.model.sha256-0000"
    for file in named, bare:
        ms.quantize("polyglot", file, type="Q8_0")
    assert bare.read_bytes() == named.read_bytes()
    model = ms.load(bare)
    assert model.encode("Der Rauch") == ms.load("polyglot").encode("Der Rauch")
    assert model.generate("Der Rauch", max_tokens=4).text == ms.load(named).generate("Der Rauch", max_tokens=4).text


def _copy(source, target, **files):
    """A checkpoint's folder with other files beside the weights."""
    target.mkdir()
    for path in source.iterdir():
        if path.name not in files and path.suffix in (".json", ".safetensors", ".model"):
            (target / path.name).symlink_to(path)
    for name, content in files.items():
        (target / name).write_text(json.dumps(content))
    return target


def test_generating_ends_at_every_end_token(root, tmp_path):
    polyglot = root / "Models/polyglot"
    free = [step.token for step in ms.load(polyglot, precision="exact").generate("Der Rauch", max_tokens=6)]
    assert len(free) == 6
    end = free[2]
    # One of several in generation_config.json; alone in config.json, which counts where the other is not there.
    config = json.loads((polyglot / "config.json").read_text())
    folders = [
        _copy(polyglot, tmp_path / "a", **{"generation_config.json": {"eos_token_id": [2, end]}}),
        _copy(polyglot, tmp_path / "b", **{"config.json": config | {"eos_token_id": end}}),
    ]
    for folder in folders:
        model = ms.load(folder, precision="exact")
        assert [step.token for step in model.generate("Der Rauch", max_tokens=6)] == free[: free.index(end) + 1]
        assert [step.token for step in model.generate("Der Rauch", max_tokens=6, stop_at_eos=False)] == free


def test_flags_beside_the_vocabulary(root, tmp_path):
    polyglot = root / "Models/polyglot"
    plain = ms.load("polyglot").encode("Der Rauch")
    assert plain[0] == 1
    folder = _copy(polyglot, tmp_path / "m", **{"tokenizer_config.json": {"add_bos_token": False, "add_eos_token": True}})
    (folder / "tokenizer.json").unlink()
    model = ms.load(folder)
    assert model.encode("Der Rauch") == [*plain[1:], 2]
    assert model.encode("Der Rauch", bos=False) == plain[1:]
    # Said, and not obeyed: tokenizer.json has the last word, as in transformers.
    both = _copy(polyglot, tmp_path / "b", **{"tokenizer_config.json": {"add_bos_token": False, "bos_token": "<s>"}})
    with pytest.warns(UserWarning, match="add_bos_token false"):
        assert ms.load(both).encode("Der Rauch") == plain


def test_ids_without_a_piece_are_decoded_to_nothing(root, tmp_path):
    tokenizer = {
        "model": {"type": "BPE", "vocab": {chr(97 + n): n for n in range(26)}, "merges": []},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "decoder": {"type": "ByteLevel"},
    }
    folder = _copy(root / "Tests/Fixtures/parity/grouped", tmp_path / "padded", **{"tokenizer.json": tokenizer})
    model = ms.load(folder, precision="exact")
    assert model.config.vocab_size > 30
    assert model.decode([0, 30, 1]) == "ab"
    assert model.pieces([0, 30]) == ["a", ""]
    assert len(list(model.generate([0], max_tokens=5, stop_at_eos=False))) == 5
