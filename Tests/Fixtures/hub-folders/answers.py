"""What transformers and MoEScope make of a checkpoint: token ids of texts, prompts of conversations, ends of answers, router
logits. Both sides answer with the same keys, so that they can be compared and stored. `mine` needs moescope and numpy, `theirs`
torch and transformers.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parent / "conformance"))
Answers = dict[str, Any]

SENTENCES = [
    "The smoke rises slowly, and the dog sleeps in front of the house; it's the researchers' tenth.",
    "Der Rauch steigt langsam auf, und der größere Hund schläft vor dem Haus – während's schneit.",
    "La fumée monte lentement, et le chien dort où l'on n'entend plus rien : ça va.",
    "El humo sube despacio, y el niño pequeño duerme delante de la casa. ¿Qué pasó mañana?",
    "Il fumo sale piano, e il cane dorme davanti alla casa; perché così è più veloce.",
    "def route(x, k=2):\r\n\treturn sorted(x, key=lambda e: -e[1])[:k]  # top-k\r\n",
    "for (int i = 0; i < 10; ++i) {\n        total += a[i]*b[i];\n}\n\n\n",
    "专家路由器 选择 两个 专家。", "Маршрутизатор выбирает экспертов", "👩‍👩‍👧 🇩🇪 😀😀 ½ Ⅷ ٣٤٥ 12345 3.14",
    "|||EMAIL_ADDRESS||| ||| x",
]  # fmt: skip
EDGES = [
    "", " ", "  ", "   a", "a ", "a  b", "\n", "\n\n", "\r\n", "\t\t", "\0", "a\0b", "\u2581", "\u2581a b", " \u2581",
    "\u00a0x\u3000y\u2028z", "don't  we'LL 'ſ",
    "e\u0301 \u1112\u1161\u11ab A\u030a", "[control_8] [control_555]", "[INST] hi [/INST]", "<0x0A> <0x41>",
    "a" * 70, " " * 40 + "x", "0 00 000 0000", "x" + " " * 25,
]  # fmt: skip
CONVERSATIONS = [
    (None, "Hello"), (None, "  Zwei  Leerzeichen, größer als 😀 "), ("Antworte kurz.", "Wie spät ist es?"),
    ("You are\na poet.", "Write:\\n def f(x): return 'é'"), (None, "e\u0301 [ok] {{ x }} <b>"),
]  # fmt: skip
#: The conversation that goes on after an answer, and what is said then.
LONGER, THEN = 2, "Danke. And then?"
DOCUMENTS = 4
#: Tokens of an answer.
LENGTH = 6


def sentencepiece_texts() -> ModuleType:
    """The strings of ../sentencepiece/make.py, without the packages that it imports."""
    source = (HERE.parent / "sentencepiece/make.py").read_text()
    module = ModuleType("texts")
    start, end = source.index("class SplitMix64"), source.index("HOSTILE = [")
    stop = source.index("\n]", end) + 2
    exec(compile(source[start:stop], "sentencepiece/make.py", "exec"), module.__dict__)
    return module


def texts(controls: Sequence[str]) -> list[str]:
    """Some hundred strings; `controls`: what the checkpoint's added tokens spell, which in a text stays text."""
    sp = sentencepiece_texts()
    result = SENTENCES + EDGES + sp.HOSTILE
    result += [unicodedata.normalize(form, text) for text in SENTENCES[:5] for form in ("NFD", "NFKC")]
    result += [f" {text}  " for text in SENTENCES[:7]]
    for control in controls:
        result += [control, f"a{control}b", f"x {control}  \n y"]
    generator = sp.SplitMix64(31)
    return result + [sp.random_text(generator) for _ in range(120)]


def controls(folder: Path) -> list[str]:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    pieces = [token["content"] for token in settings["added_tokens_decoder"].values()]
    return [piece for piece in pieces if piece.strip()]


def documents(ids: Sequence[Sequence[int]], vocabulary: int) -> list[list[int]]:
    """Texts whose router logits are compared; the last holds sixty tokens of all kinds."""
    step = max(1, vocabulary // 60)
    return [list(ids[number]) for number in range(DOCUMENTS - 1)] + [list(range(0, vocabulary, step))]


def rows(vocabulary: int) -> list[list[int]]:
    """Every id there is, some in a row, as a model could say them."""
    return [[number, *range(number % 7, vocabulary, vocabulary // 3)] for number in range(0, vocabulary, 1 + vocabulary // 2000)]


def messages(system: str | None, *turns: str) -> list[dict[str, str]]:
    said = [{"role": "user" if number % 2 == 0 else "assistant", "content": text} for number, text in enumerate(turns)]
    return ([{"role": "system", "content": system}] if system else []) + said


def with_end(folder: Path, target: Path, row: int, end: int) -> Path:
    """The checkpoint with two rows of its output matrix exchanged: where it would have said `row`, it says `end`."""
    shutil.copytree(folder, target)
    index = json.loads((target / "model.safetensors.index.json").read_text())
    config = json.loads((target / "config.json").read_text())
    names = ["lm_head.weight", "lm_head.bias"]
    if config["tie_word_embeddings"]:
        # Rows of what is read stay, so the output gets a matrix of its own.
        source = target / index["weight_map"]["model.embed_tokens.weight"]
        data = source.read_bytes().replace(b'"model.embed_tokens.weight"', b'"lm_head.weight"           ')
        (target / "model-output.safetensors").write_bytes(data)
        index["weight_map"]["lm_head.weight"] = "model-output.safetensors"
        (target / "model.safetensors.index.json").write_text(json.dumps(index))
        (target / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    for path in target.glob("*.safetensors"):
        data = bytearray(path.read_bytes())
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + length])
        for name in names:
            if name in header:
                exchange(data, 8 + length, header[name], row, end)
        path.write_bytes(data)
    return target


def exchange(data: bytearray, start: int, tensor: dict[str, Any], first: int, second: int) -> None:
    begin, stop = tensor["data_offsets"]
    width = (stop - begin) // tensor["shape"][0]
    a, b = (start + begin + number * width for number in (first, second))
    data[a : a + width], data[b : b + width] = data[b : b + width], data[a : a + width]


def theirs(folder: Path, planted: Path | None, said: str | None = None) -> Answers:
    """What transformers makes of a folder.

    planted: where checkpoints that end their answers are written, one for each of their ends and one for a token that is none.
    said: the text of the first answer, where it is not the one that transformers makes of its tokens.
    """
    import reference
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = reference.load(folder)

    def ids(text: str) -> list[int]:
        # A text never becomes a control token; what is split in it is what transformers splits.
        return list(tokenizer(text, split_special_tokens=True)["input_ids"])

    def prompt(said: list[dict[str, str]]) -> list[int]:
        text = tokenizer.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    def answer(tokens: list[int], model: Any = model, length: int = LENGTH) -> list[int]:
        with torch.no_grad():
            output = model.generate(
                torch.tensor([tokens]), attention_mask=torch.ones(1, len(tokens), dtype=torch.long), do_sample=False,
                max_new_tokens=length, top_k=None, top_p=None, temperature=None)  # fmt: skip
        return [int(token) for token in output[0, len(tokens) :]]

    encoded = [ids(text) for text in texts(controls(folder))]
    prompts = [prompt(messages(system, text)) for system, text in CONVERSATIONS]
    first = answer(prompts[LONGER])
    kept = [token for token in first if token not in ends_of(model)]
    if said is None:
        said = tokenizer.decode(kept, skip_special_tokens=True)
    system, text = CONVERSATIONS[LONGER]
    second = prompt(messages(system, text, said, THEN))
    ends = ends_of(model)
    row = next((token for token in first[1:] if token != first[0] and token not in ends), first[0])
    endings = {}
    for end in [*ends, first[0] ^ 1]:
        if planted is None:
            break
        changed = with_end(folder, planted / str(end), row, end)
        endings[str(end)] = answer(prompts[LONGER], reference.load(changed))
    routed = documents(encoded, model.config.vocab_size)
    return {
        "texts": encoded, "prompts": prompts, "turns": [first, answer(second)], "said": said, "second": len(second),
        "decoded": [tokenizer.decode(ids, skip_special_tokens=True) for ids in rows(model.config.vocab_size)],
        "ends": sorted(ends), "row": row, "endings": endings, "dated": "strftime_now" in tokenizer.chat_template,
        "documents": reference.run(model, routed),
    }  # fmt: skip


def ends_of(model: Any) -> list[int]:
    ends = model.generation_config.eos_token_id
    return list(ends) if isinstance(ends, list) else [ends]


def mine(path: Path, expected: Answers, folder: Path, program: Path, planted: Path | None = None) -> Answers:
    """What MoEScope makes of a folder or of a GGUF file of it.

    expected: what `theirs` made of it, for the documents and planted ends that it chose.
    planted: where checkpoints with a planted end are written; None: no answer is ended.
    """
    import ours

    model = load(path)
    prompts = [chat_prompt(path, program, system, text) for system, text in CONVERSATIONS]
    turns = chat_turns(path, program)
    endings = {}
    for end in expected["endings"]:
        if planted is None:
            break
        changed = with_end(folder, planted / end, expected["row"], int(end))
        endings[end] = [step.token for step in load(changed).generate(prompts[LONGER], max_tokens=LENGTH)]
    encoded = [model.encode(text) for text in texts(controls(folder))]
    numbers, _ = ours.run(path, documents(encoded, model.config.vocab_size))
    return {
        "texts": encoded, "prompts": prompts, "turns": [turn["tokens"] for turn in turns], "said": turns[0]["text"],
        "second": turns[1]["prompt_tokens"], "ends": sorted(model._facts["ends"]),
        "decoded": [model.decode(ids) for ids in rows(model.config.vocab_size)], "endings": endings, "dated": expected["dated"],
        "documents": numbers,
    }  # fmt: skip


def load(path: Path) -> Any:
    import moescope as ms

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ms.load(path, precision="exact", threads=1)


def command(program: Path, *arguments: str, text: str = "") -> list[dict[str, Any]]:
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix}
    result = subprocess.run(
        [program, "generate", *arguments, "--chat", "--json", "--precision", "exact", "--threads", "1"],
        input=text, capture_output=True, text=True, env=environment)  # fmt: skip
    if result.returncode:
        raise ValueError(result.stderr.strip())
    return [json.loads(line) for line in result.stdout.splitlines()]


def chat_prompt(path: Path, program: Path, system: str | None, text: str) -> list[int]:
    """Ids that `moescope generate --chat` read, from the trace it wrote."""
    from moescope import open_trace

    with tempfile.TemporaryDirectory() as scratch:
        trace = Path(scratch) / "trace"
        arguments = ["--system", system] if system else []
        output = command(program, str(path), "--prompt", text, "--max-tokens", "1", "--trace", str(trace), *arguments)
        return [int(token) for token in open_trace(trace).tokens[: output[0]["prompt_tokens"]]]


def chat_turns(path: Path, program: Path) -> list[dict[str, Any]]:
    """Two turns of one conversation, said line by line."""
    system, text = CONVERSATIONS[LONGER]
    return command(program, str(path), "--system", str(system), "--max-tokens", str(LENGTH), text=f"{text}\n{THEN}\n")


def differences(got: Answers, expected: Answers) -> list[str]:
    """What is not equal, a line each."""
    import ours

    found = []
    if got.get("digest") != expected.get("digest"):
        found.append("texts: the sums of all ids differ")
    for key in ("texts", "prompts"):
        wrong = [number for number, (a, b) in enumerate(zip(got[key], expected[key], strict=True)) if a != b]
        if wrong:
            number = wrong[0]
            found.append(f"{key}: {len(wrong)} of {len(got[key])}; {number}: {got[key][number]}, expected {expected[key][number]}")
    for key in ("turns", "said", "second", "ends", *(["endings"] if got["endings"] else [])):
        mine_, theirs_ = got[key], expected[key]
        if key == "turns":  # an end is no part of an answer
            theirs_ = [[token for token in turn if token not in expected["ends"]] for turn in theirs_]
        if mine_ != theirs_:
            found.append(f"{key}: {mine_}, expected {theirs_}")
    # Where bytes are no text, how many U+FFFD stand for them is the format's matter.
    pairs = zip(got["decoded"], expected["decoded"], strict=True)
    if apart := [(a, b) for a, b in pairs if a != b and "\ufffd" not in a + b]:
        found.append(f"decoded: {len(apart)} of {len(got['decoded'])}: {apart[0][0]!r}, expected {apart[0][1]!r}")
    if far := ours.difference(got["documents"], expected["documents"]):
        found.append(far)
    return found


#: So many texts' ids are stored one by one.
SHOWN = 60


def shown(found: Answers) -> Answers:
    """As it is stored: a sum in place of most ids, and no prompt that depends on the day."""
    prompts = [
        prompt if system or not found["dated"] else None
        for (system, _), prompt in zip(CONVERSATIONS, found["prompts"], strict=True)
    ]
    digest = hashlib.sha256(json.dumps([list(ids) for ids in found["texts"]]).encode()).hexdigest()
    return found | {"texts": found["texts"][:SHOWN], "digest": digest, "prompts": prompts}
