"""Reference ids and texts of SentencePiece models, for TokenizersTests.

    python Tests/Fixtures/sentencepiece/make.py

Made with sentencepiece 0.2.3 and mistral-common 1.13.1 (for Mixtral's own tokenizer, which is not copied here). Trains
three small models on the text below, seeded, then writes one cases-NAME.json per model: hostile strings with ids and
decoded text, hashes over 10,000 random strings in blocks of 1,000, and hashes of ids of texts of a megabyte.
"""

import hashlib
import io
import json
import struct
from pathlib import Path

import mistral_common
import sentencepiece

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
MIXTRAL = Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"
POLYGLOT = ROOT / "Models" / "polyglot"

TEXT = """The router sends each token to two experts, and the experts are small networks that look alike.
Der Verteiler schickt jedes Wort zu zwei Fachleuten; größere Modelle öffnen mehr Türen als kleinere.
Le routeur envoie chaque mot à deux experts, où les mêmes idées reviennent çà et là sans répit.
El enrutador envía cada palabra a dos expertos; mañana el niño leerá más despacio que ayer.
Il modello invia ogni parola a due esperti, perché così è più veloce di città in città.
def route(tokens, experts):    return [(token, expert) for token in tokens for expert in experts[:2]]
def norm(x, eps=1e-5):    total = sum(value * value for value in x)    return x / (total + eps) ** 0.5
zebra quiz jumps over lazy dogs while vexed foxes watch; 0123456789 + - * / = < > { } [ ] ( ) # @ ! ? _
"""


class SplitMix64:
    """The generator the Swift test has too (prng.di.unimi.it/splitmix64.c)."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & (2**64 - 1)
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        return z ^ (z >> 31)

    def below(self, bound):
        return self.next() % bound


# First and last code point of the ranges random strings are made of.
RANGES = [
    (0x20, 0x7E), (0x61, 0x7A), (0x20, 0x20), (0x00, 0x1F), (0xA0, 0x17F), (0x300, 0x36F), (0x391, 0x3C9),
    (0x410, 0x44F), (0x5D0, 0x5EA), (0x627, 0x64A), (0x905, 0x939), (0x1100, 0x1112), (0x2000, 0x200F),
    (0x2581, 0x2581), (0x3000, 0x30FF), (0x4E00, 0x4EFF), (0xAC00, 0xAC7F), (0xFE00, 0xFE0F), (0xFF01, 0xFF5E),
    (0xFFFD, 0xFFFD), (0x1F1E6, 0x1F1FF), (0x1F600, 0x1F64F), (0x20000, 0x200FF), (0xE0061, 0xE007A),
]


def random_text(generator):
    """Up to 39 characters; within a text neighbours tend to come from the same range."""
    text = []
    which = generator.below(len(RANGES))
    for _ in range(generator.below(40)):
        if generator.below(3) == 0:
            which = generator.below(len(RANGES))
        first, last = RANGES[which]
        text.append(chr(first + generator.below(last - first + 1)))
    return "".join(text)


HOSTILE = [
    "", " ", "  ", "   a", "a ", "a  b", " a", "a", "Hello world", "Hello  world \n\t x", "\n", "\r\n", "\t\t", "\0", "a\0b",
    "▁", "▁▁", " ▁ ", "a▁b", "<s>", "</s>", "<unk>", "<s> x </s>", "<0x41>", "<0x0A>", "[INST] hi [/INST]", "<pad>",
    "naïve café", "nai\u0308ve cafe\u0301", "e\u0301\u0302\u0303", "\u0301", "ﬁ ﬂ ½ ① Ⅷ ｆｕｌｌ", "\u00a0x\u2003y\u3000z",
    "👩‍👩‍👧‍👦", "👍🏽", "🇩🇪🇫🇷", "\u200d\u200d", "a\u200bb", "\ufeffx", "\u202eabc", "漢字かなカナ", "한국어", "日本語のテキスト。",
    "Ünïcödé", "שלום", "مرحبا", "नमस्ते", "𝔘𝔫𝔦", "\U0010ffff", "\ud7ff\ue000", "�", "if x == 1:\n    return  y\n",
    "http://a.b/c?d=e&f=%20", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "!!!???...", "3.14159e-10", "ROUTER", "<sep>", "a<sep>b", "  <sep>  ",
    "<se", "<sep><sep>p>", "ex▁perts", "<cmd>", "a<cmd>b", "ſtraße", "ŀ", "ǆ", "\u1e9b\u0323", "ﷺ", "の\u3099", "㍿",
]
HOSTILE_BYTES = [
    b"\xff", b"\xfe\xff", b"a\x80b", b"\xc3", b"\xc3\x28", b"\xe2\x82", b"\xe2\x28\xa1", b"\xf0\x9f\x98", b"\xf0\x28\x8c\xbc",
    b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"abc\xf0\x9f\x98\x80\xf0\x9f",
    b"\xef\xbf\xbd\xef\xbf", bytes(range(128, 256)), b" \xff \xff ", b"\x80\x80\x80",
]


def digest(ids):
    return hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()


def big_texts():
    generator = SplitMix64(7)
    letters = bytes(97 + generator.below(26) for _ in range(1 << 20))
    return {"one letter": b"a" * (1 << 20), "letters": letters, "one kanji": "漢".encode() * (1 << 18)}


def write_cases(name, path):
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    cases = []
    for text in [t.encode("utf-8") for t in HOSTILE] + HOSTILE_BYTES:
        ids = processor.encode(text)
        cases.append({"hex": text.hex(), "ids": ids, "decoded": processor.decode(ids).encode().hex()})
    # Sequences no text gives: what decoding does with them.
    generator = SplitMix64(3)
    sequences = []
    for _ in range(300):
        ids = [generator.below(300 if generator.below(2) else len(processor)) for _ in range(generator.below(12))]
        sequences.append({"ids": ids, "decoded": processor.decode(ids).encode().hex()})
    generator = SplitMix64(20)
    blocks = []
    for _ in range(10):
        ids = []
        for _ in range(1000):
            ids += processor.encode(random_text(generator)) + [-1]
        blocks.append(digest(ids))
    result = {
        "made_with": f"sentencepiece {sentencepiece.__version__}",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size": len(processor), "bos": processor.bos_id(), "eos": processor.eos_id(),
        "pieces": {i: processor.id_to_piece(i) for i in [0, 1, 2, 3, 13, 200, 259, len(processor) - 1]},
        "cases": cases, "sequences": sequences, "random": blocks,
        "big": {key: digest(processor.encode(text)) for key, text in big_texts().items()},
    }
    if name == "polyglot":
        lines = (POLYGLOT / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
        texts = [json.loads(line)["text"] for line in lines]
        result["corpus"] = [digest(processor.encode(text)) for text in texts]
        for text in texts:
            assert processor.decode(processor.encode(text)) == text, text[:80]
    with open(HERE / f"cases-{name}.json", "w", encoding="utf-8") as file:
        json.dump(result, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


def train(name, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines()), model_writer=model, model_type="bpe", num_threads=1,
        hard_vocab_limit=False, minloglevel=2, **options)
    path = HERE / f"{name}.model"
    path.write_bytes(model.getvalue())
    return path


def main():
    models = {
        # As Llama's and Mixtral's are made.
        "identity": train(
            "identity", vocab_size=520, byte_fallback=True, normalization_rule_name="identity",
            remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True,
            user_defined_symbols=["<sep>", "experts!"], control_symbols=["<cmd>"]),
        # SentencePiece's own defaults: character rules, no byte fallback.
        "nfkc": train("nfkc", vocab_size=300, normalization_rule_name="nmt_nfkc"),
        "suffix": train(
            "suffix", vocab_size=300, normalization_rule_name="identity", treat_whitespace_as_suffix=True,
            user_defined_symbols=["<sep>"]),
        "mixtral": MIXTRAL,
        "polyglot": POLYGLOT / "tokenizer.model",
    }
    for name, path in models.items():
        write_cases(name, path)


if __name__ == "__main__":
    main()
