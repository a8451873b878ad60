"""tokenizer.json files of every kind that MoEScope reads, and what the `tokenizers` library does with them.

    python Tests/Fixtures/tokenizers/make.py

Made with tokenizers 0.23.3 and gguf 0.19.0. The vocabularies are trained on the text of ../sentencepiece/make.py, whose
hostile and random strings are used too. References are encoded with `encode_special_tokens` on: text never becomes a
control token.
"""

import importlib.util
import json
from pathlib import Path

import gguf
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = Path(__file__).parent
spec = importlib.util.spec_from_file_location("sp", HERE.parent / "sentencepiece" / "make.py")
sp = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sp)

CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# tiktoken's o200k, as gpt-oss's tokenizer.json has it.
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])  # fmt: skip
EXTRA = [
    "I'm WE'RE they'Ll it's 'ſo don't 'D", "x  =  1\n\n  y\r\n\r\n z\t\t", "12345 1234 ½ Ⅷ ٣٤٥", "<|endoftext|>", "a<|im_start|>b",
    "<tool> x </tool>", "a <pad_l>  b", "a  <pad_l>b", "word1 xword1 word1x", "...\n\n", "...\r\n x", "\u00a0\u00a0a", "A\u030angstro\u0308m",
    "\u1112\u1161\u11ab", "e\u0301<tool>\u0301", "\u2581a", "a\u2581 b",
]  # fmt: skip


def split(digits):
    return isolated(CL100K.replace("DIGITS", digits))


def isolated(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip


def byte_level(pre_tokenizer, normalizer=None, size=500, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)  # fmt: skip
    tokenizer.train_from_iterator(sp.TEXT.splitlines(keepends=True) * 2, trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([
        AddedToken("<tool>", normalized=False), AddedToken("</tool>", normalized=True),
        AddedToken("<pad_l>", lstrip=True, rstrip=True, normalized=False), AddedToken("word1", single_word=True, normalized=True),
    ])  # fmt: skip
    return tokenizer


def character_level(metaspace):
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    space = "\u2581"
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=space, prepend_scheme="first", split=False)
        tokenizer.decoder = decoders.Sequence([
            decoders.Replace(space, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])  # fmt: skip
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(space), normalizers.Replace(" ", space)])
        tokenizer.decoder = decoders.Sequence([
            decoders.Replace(space, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])  # fmt: skip
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=560, special_tokens=special, show_progress=False, max_token_length=12)
    tokenizer.train_from_iterator(sp.TEXT.splitlines(), trainer)
    document = json.loads(tokenizer.to_str())
    # Byte pieces are ordinary members of the vocabulary.
    document["added_tokens"] = document["added_tokens"][:3]
    return Tokenizer.from_str(json.dumps(document))


def reference(name, tokenizer):
    path = HERE / f"{name}.json"
    if not path.is_relative_to(HERE) or tokenizer is None:
        tokenizer = Tokenizer.from_file(str(sp.POLYGLOT / "tokenizer.json"))
    else:
        path.write_text(tokenizer.to_str(pretty=False), encoding="utf-8")
        tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    cases = []
    for text in sp.HOSTILE + EXTRA:
        ids = encode(text)
        cases.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids)})
    generator = sp.SplitMix64(20)
    blocks = []
    for _ in range(10):
        ids = []
        for _ in range(1000):
            ids += encode(sp.random_text(generator)) + [-1]
        blocks.append(sp.digest(ids))
    generator = sp.SplitMix64(5)
    sequences = []
    for _ in range(200):
        ids = [generator.below(tokenizer.get_vocab_size()) for _ in range(generator.below(10))]
        sequences.append({"ids": ids, "decoded": tokenizer.decode(ids)})
    letters = "".join(chr(97 + generator.below(26)) for _ in range(1 << 18))
    result = {
        "made_with": f"tokenizers {tokenizers.__version__}", "size": tokenizer.get_vocab_size(), "cases": cases,
        "sequences": sequences, "random": blocks, "letters": sp.digest(encode(letters)), "seed_of_letters": 5,
    }  # fmt: skip
    with open(HERE / f"cases-{name}.json", "w", encoding="utf-8") as file:
        json.dump(result, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")
    return tokenizer


def write_gguf(name, pre, path):
    """The same vocabulary as GGUF metadata."""
    document = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    vocabulary = dict(document["model"]["vocab"])
    kinds = {}
    for token in document["added_tokens"]:
        vocabulary[token["content"]] = token["id"]
        kinds[token["id"]] = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
    tokens = sorted(vocabulary, key=vocabulary.get)
    writer = gguf.GGUFWriter(path, "test")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.get(i, gguf.TokenType.NORMAL) for i in range(len(tokens))])
    writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in document["model"]["merges"]])
    writer.add_eos_token_id(vocabulary["<|endoftext|>"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def main():
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    reference("olmo", byte_level(gpt2, normalizers.NFC()))
    reference("qwen", byte_level(split(""), normalizers.NFC()))
    reference("llama3", byte_level(split("{1,3}"), ignore_merges=True))
    reference("o200k", byte_level(isolated(O200K), ignore_merges=True))
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2])
    reference("granite", byte_level(digits))
    reference("prefixed", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)))
    reference("prepend", character_level(metaspace=False))
    reference("metaspace", character_level(metaspace=True))
    reference("polyglot", None)
    write_gguf("granite", "refact", HERE / "granite.gguf")


if __name__ == "__main__":
    main()
