"""Writes the inputs of this folder that were made by hand: FORMAT/NAME/, with the files that differ from a seed of moescope-fuzz.

    python Tests/Fixtures/hostile/make.py        needs nothing; the same bytes every time

Those whose names begin with "mutation-" are what `make fuzz` found (`moescope-fuzz make FORMAT --seed S --index N`, folder "kept").
"""

import gzip
import json
import re
import struct
from pathlib import Path

HERE = Path(__file__).parent
FIXTURES = HERE.parent
MIXTRAL = "Mixtral-8x22B-Instruct-v0.1"
# Names like this one are compared in time that grows with the square of their length.
MARKS = "a" + "".join(chr(0x300 + i % 0x40) for i in range(20_000))


def case(kind: str, name: str, seed: str, file: str, content: str | bytes) -> None:
    folder = HERE / kind / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "seed.txt").write_text(seed + "\n")


def text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def circular_rules() -> bytes:
    """A SentencePiece model whose trie of rules leads from "a" to "a" for ever."""
    units = [0] * 256
    units[ord("a")] = ord("a") | ord("a") << 10
    rules = struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + b"\0"
    pieces = [(b"<unk>", 0, 2), (b"<s>", 0, 3), (b"</s>", 0, 3), (b"a", -1, 1), ("▁".encode(), -1, 1)]
    made = b"".join(field(1, field(1, p) + b"\x15" + struct.pack("<f", s) + b"\x18" + varint(k)) for p, s, k in pieces)
    return made + field(2, b"\x18\x02") + field(3, field(2, rules))


def main() -> None:
    (HERE / "seeds").mkdir(exist_ok=True)
    lines = '{"id":"a","group":"de","text":"Der Rauch steigt auf."}\n{"id":"b","group":"en","tokens":[1,2,3]}\n'
    (HERE / "seeds/corpus.jsonl.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))

    hub = f"hub-folders/{MIXTRAL}"
    config = (FIXTURES / hub / "config.json").read_text()
    case("config", "marks-in-a-key", hub, "config.json", text(json.loads(config) | {MARKS: 1}))
    case("config", "a-key-twice", hub, "config.json", config.replace("{", '{"hidden_size": 1, ', 1))
    case("config", "brackets", hub, "config.json", "[" * 10_000)
    case("corpus", "marks-in-a-group", "lines", "c.jsonl", text({"id": "a", "group": MARKS, "text": "x"}) + "\n")
    case("corpus", "brackets", "lines", "c.jsonl", "[" * 10_000)

    manifest = (FIXTURES / "routing-trace/manifest.json").read_text()
    twice = manifest.replace("{", '{"status": "complete", ', 1)
    case("manifest", "a-key-twice", "routing-trace", "manifest.json", twice)
    case("manifest", "layers-negative", "routing-trace", "manifest.json", re.sub(r'"layers": (?=\d)', '"layers": -', manifest))
    first, *rest = (FIXTURES / "routing-trace/documents.jsonl").read_text().split("\n")
    for name, changes in {"tokens-max": {"tokens": 2**63 - 1}, "marks-in-a-group": {"group": MARKS}}.items():
        changed = "\n".join([text(json.loads(first) | changes), *rest])
        case("documents", name, "routing-trace", "documents.jsonl", changed)

    tokenizer = json.loads((FIXTURES / hub / "tokenizer.json").read_text())
    flags = dict.fromkeys(("special", "normalized", "lstrip", "rstrip", "single_word"), False)
    token = {"id": max(tokenizer["model"]["vocab"].values()) + 6, "content": "a" * 20_000 + "b", **flags}
    added = tokenizer | {"added_tokens": [*tokenizer["added_tokens"], token]}
    case("tokenizer.json", "long-added-token", MIXTRAL, "tokenizer.json", text(added))
    step = {"type": "Replace", "pattern": {"String": "a" * 20_000 + "b"}, "content": "x"}
    case("tokenizer.json", "long-replacement", MIXTRAL, "tokenizer.json", text(tokenizer | {"normalizer": step}))
    case("tokenizer.model", "rules-in-a-circle", "identity", "tokenizer.model", circular_rules())


if __name__ == "__main__":
    main()
