"""How the `tokenizers` library cuts texts with the pre-tokenizers of models, for SplitTests.

    .venv-parity/bin/python Tests/Fixtures/splits/make.py

splits.json: pre-tokenizers as `tokenizer.json` writes them, with the expressions of DeepSeek, Mistral, Qwen, AFMoE, Ling and
others, and of this script's own for what the syntax allows; texts; and the words of tokenizers 0.23.3.
"""

import json
import random
from pathlib import Path

from tokenizers import Regex, pre_tokenizers

HERE = Path(__file__).parent
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
SIGNS = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|""" + SPACES
HAN = "[一-龥\u0800-一가-퟿]+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LEADING = r"[^\r\n\p{L}\p{N}]?"
NOT_HAN = r"&&[^\p{Han}]]"
EXPRESSIONS = {
    "deepseek-llm": [r"[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-Ֆ]+",
                     r"\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$", HAN, r"\p{N}+"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", HAN, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", SIGNS],
    "tekken": [f"{LEADING}{UPPER}*{LOWER}+|{LEADING}{UPPER}+{LOWER}*|" + r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACES],
    "qwen35": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + SPACES],
    "afmoe": [r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))", "[一-鿿\u0e40-\u0e7f]+", SIGNS],
    "tiny-aya": [r"\d{1,3}(?=(?:\d{3})*\b)"],
    "bailing": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "exaone-moe": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "kimi": [r"[\p{Han}]+|" + "|".join(
        f"{LEADING}{UPPER[:-1]}{NOT_HAN}{upper}{LOWER[:-1]}{NOT_HAN}{lower}{CONTRACTIONS}?" for upper, lower in ("*+", "+*"))
        + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES],
    "lines": [r"[^\n]+|[\n]+"],
    # What the syntax allows beside that.
    "lazy": [r"a+?b*?c|(?:ab)+?", r"\w+?\W"],
    "counted": [r"\w{2}|\d{1,3}|x{2,}|[a-c]{,2}"],
    "looks": [r"\w+(?= \w)|\s(?=\S)|\p{L}(?!\p{L})"],
    "groups": [r"(a|ab)(c|bcd)(d*)|(?i:[k-s]+)\x{e9}?|\u00e9\t|.\."],
    "negated": [r"[^\S\n]+|[^\W\d]+|\P{L}\p{^L}|[\D\d]"],
    "edges": [r"\bw\w*|\w+\b|\s+$"],
    "sets": [r"[a-c[x-z]&&[^b]]+|[^\d&&[^1]]+|[[K-S]&&(?i:k)\p{L}]", r"[\p{L}&&\p{Latin}]+"],
    "scripts alone": [r"[\p{Cyrillic}]+|\p{Hebrew}+|\p{Devanagari}+|\p{Han}+|\p{Arabic}+"],
    "scripts": [r"\p{Hiragana}+|\p{Katakana}+|\P{Greek}\p{Greek}+|\p{^Hangul}|[\p{Cyrillic}\p{Thai}]+|\p{hani}"],
    "classes": [r"[\]\-a]+|[]x]+|[-b]+|[c-]+|[\p{Sc}\p{Pd}é-ü]+|\p{Zs}+|\p{Cc}+|\p{Mn}"],
}  # fmt: skip
TEXTS = [
    "", "a", " ", "Hello, World! It's 12345 tests; they'LL cost €5.00 -- no?", "x  =  1\n\n  y\r\n\r\n z\t\t", "  \n  ", "abcd abc ab aab aabbc",
    "12 123 1234 12345 1234567 12a 123abc ½Ⅷ٣٤٥", "Größe ÉTÉ été Ǆ ǅ ǆ ŉ ΑΒΓ αβγ ЖЗ жз", "你好，世界。今天是2024年！ カタカナ ひらがな 한국어 สวัสดี", "A\u030angstro\u0308m e\u0301 \u0301x",
    "foo_bar(baz)[0] += \"q\"; // c\n\tif (x) { y(); }\r\n", "ſo 's 'S 'ſ K k", "a\u00a0b\u3000c\u2028d", "😀👍🏽 a👍b", "www. w w2 2w", "\x00\x01 \x7f", "]-a x] -b c- $¢- éü",
    "...\n\n", "...\r\n x", "!a ?b /usr/bin", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "  " * 300, "1" * 100, "a\n" * 50, "kKsS ékÉ é\té\t",
    "第〡〩々〇〢号 Жё\u0301з Привет שָׁלוֹם नमस्ते مرحبًا", "a-&&b",
]  # fmt: skip


def random_texts(count: int) -> list[str]:
    numbers = random.Random(18)
    alphabet = " \n\r\t.,'-/$aAbBcxkKsSßéÉ你가ひ1٣½\u0301\u00a0😀ſ_"
    return ["".join(numbers.choices(alphabet, k=numbers.randrange(1, 40))) for _ in range(count)]


def case(name: str, steps: list, texts: list[str]) -> dict:
    made = pre_tokenizers.Sequence(steps)
    written = made.__getstate__().decode()
    words = [[word for word, _ in made.pre_tokenize_str(text)] for text in texts]
    # Oniguruma takes ½ for a letter of a word where \\w or \\b stands, and not where \\w stands in a set: no reference for it.
    if any(mark in written for mark in ("\\\\w", "\\\\W", "\\\\b")):
        words = [None if "½" in text else found for text, found in zip(texts, words, strict=True)]
    return {"name": name, "pre_tokenizer": json.loads(written), "words": words}


def main() -> None:
    texts = TEXTS + random_texts(60)
    cases = [
        case(name, [pre_tokenizers.Split(Regex(expression), "isolated") for expression in expressions], texts)
        for name, expressions in EXPRESSIONS.items()
    ]
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            step = pre_tokenizers.Split(Regex(r"\s|\p{P}|ab"), behavior, invert)
            cases.append(case(f"{behavior} {invert}", [step], texts))
    cases.append(case("plain", [pre_tokenizers.Split("a.", "merged_with_previous")], texts + ["a.a. b.a. aab"]))
    out = json.dumps({"texts": texts + ["a.a. b.a. aab"], "cases": cases}, ensure_ascii=True, separators=(",", ":"))
    (HERE / "splits.json").write_text(out.replace('{"name"', '\n{"name"') + "\n")


if __name__ == "__main__":
    main()
