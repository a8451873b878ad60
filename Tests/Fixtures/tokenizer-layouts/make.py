"""Folders laid out as those of real families, and what transformers' AutoTokenizer makes of them.

    python Tests/Fixtures/tokenizer-layouts/make.py

Made with transformers 5.24.0, tokenizers 0.23.3, sentencepiece 0.2.3. The vocabularies are those of ../tokenizers and
../sentencepiece: layouts.json says which, with what text in them replaced, and holds the small files beside them. Ids are
those of whole texts, with what the tokenizer puts around them and with special tokens split as text (MoEScope's text never
becomes a control token), and of markup, as apply_chat_template encodes it. A folder in which a tokenizer.model and a
tokenizer.json lie together has two different vocabularies on purpose: the ids show which of them was read.
"""

import json
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers
from transformers import AutoTokenizer

HERE = Path(__file__).parent
FIXTURES = HERE.parent
TEXTS = [
    "the smoke rises", "  zwei  Leerzeichen ", "", "a [T] b [T]c", "x[L]  [R] y", "x\u00a0[L]\u3000[R]\u2028y", "Xw1X w1 \u00e9w1 w1.", "1234 \u00bd 12",
    "don't  we'LL", "e\u0301 \u1112\u1161\u11ab", "<|im_end|> <s> </s> <unk> <cmd>", "\n\n def f(x):\n\treturn 1", "gr\u00f6\u00dfer <sep> x", "    tab",
    " [N] a[N]b", "\u2581a \u2581b",
]  # fmt: skip
MARKUP = ["<|im_start|>user\nhi <tool>[T]<|im_end|>\n<|im_start|>assistant\n", "<s>a</s> b <unk>[L] [R] c", "x <|endoftext|>  y"]


def token(content, special=False, **flags):
    base = {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": special}
    return base | flags


def template(before=(), after=()):
    """A post_processor of TemplateProcessing; pairs of a token and its id."""
    def special(item):
        return {"SpecialToken": {"id": item[0], "type_id": 0}}
    single = [special(x) for x in before] + [{"Sequence": {"id": "A", "type_id": 0}}] + [special(x) for x in after]
    pair = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    tokens = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in [*before, *after]}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def vocabulary(name, post=None, added=(), normalizer=None):
    """tokenizer.json of ../tokenizers with another post-processor, more added tokens, another normalizer."""
    text = (FIXTURES / f"tokenizers/{name}.json").read_text(encoding="utf-8")
    document = json.loads(text)
    replace = []
    if post is not None:
        replace.append(['"post_processor":null', '"post_processor":' + compact(post)])
    if added:
        end = '],"normalizer":'
        more = ",".join(compact({"id": number} | item) for number, item in added)
        replace.append([end, "," + more + end])
    if normalizer is not None:
        replace.append(['"normalizer":' + compact(document["normalizer"]), '"normalizer":' + compact(normalizer)])
    return {"from": f"tokenizers/{name}.json", "replace": replace}


def sentencepiece(name="identity"):
    return {"from": f"sentencepiece/{name}.model", "replace": []}


def bytes_of(source):
    data = (FIXTURES / source["from"]).read_bytes()
    for old, new in source["replace"]:
        assert data.count(old.encode()) == 1, (source["from"], old)
        data = data.replace(old.encode(), new.encode())
    return data


EXTRA = [token("[T]"), token("[L]", lstrip=True), token("[R]", rstrip=True), token("w1", single_word=True), token("[N]", normalized=True)]
CHATML = [token("<|im_start|>", True), token("<|im_end|>", True)]
LLAMA = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def numbered(first, tokens):
    return list(enumerate(tokens, first))


def decoder(items):
    return {str(number): item for number, item in items}


def layouts():
    size = 520  # pieces of identity.model
    own = [(0, token("<unk>", True)), (1, token("<s>", True)), (2, token("</s>", True))]
    sp_added = numbered(size, CHATML + EXTRA)
    json_added = numbered(560, CHATML + EXTRA)
    bos = template([("<s>", 1)])
    both = {"tokenizer.model": sentencepiece(), "tokenizer.json": vocabulary("prepend", bos, json_added)}

    # Mixtral: tokenizer.json wins, its post-processor too, whatever the flags say.
    yield "mixtral-both", "mixtral", both | {
        "tokenizer_config.json": LLAMA | {"add_bos_token": True, "legacy": True, "added_tokens_decoder": decoder(own + json_added)},
        "special_tokens_map.json": {"bos_token": "<s>", "eos_token": "</s>"}, "added_tokens.json": {"<|im_start|>": 560, "<|im_end|>": 561}}
    yield "mixtral-flag-contradicts", "mixtral", both | {"tokenizer_config.json": LLAMA | {"add_bos_token": False, "add_eos_token": True}}
    yield "mixtral-json-alone", "mixtral", {"tokenizer.json": vocabulary("prepend", bos, json_added)}
    yield "mixtral-first", "mixtral", {
        "tokenizer.json": vocabulary("metaspace", bos, json_added),
        "tokenizer_config.json": LLAMA | {"add_prefix_space": None, "legacy": False, "eos_token": "<|im_end|>"}}
    yield "mixtral-no-processor", "mixtral", {"tokenizer.json": vocabulary("prepend", None, json_added), "tokenizer_config.json": LLAMA}
    # tokenizer.model with flags, by the old and the new way of adding tokens.
    yield "model-bos", "mixtral", {"tokenizer.model": sentencepiece(), "tokenizer_config.json": LLAMA | {"add_bos_token": True}}
    yield "model-bos-eos", "mixtral", {
        "tokenizer.model": sentencepiece(), "tokenizer_config.json": LLAMA | {"add_bos_token": True, "add_eos_token": True}}
    yield "model-no-flag", "mixtral", {"tokenizer.model": sentencepiece(), "tokenizer_config.json": LLAMA}
    yield "model-not-legacy", "mixtral", {
        "tokenizer.model": sentencepiece(),
        "tokenizer_config.json": LLAMA | {"add_bos_token": True, "legacy": False, "added_tokens_decoder": decoder(own + sp_added)}}
    yield "model-legacy-null", "mixtral", {
        "tokenizer.model": sentencepiece(),
        "tokenizer_config.json": LLAMA | {"add_bos_token": None, "legacy": None, "added_tokens_decoder": decoder(own + sp_added)}}
    yield "model-decoder", "mixtral", {
        "tokenizer.model": sentencepiece(), "tokenizer_config.json": LLAMA | {
            "add_bos_token": True, "eos_token": "<|im_end|>", "added_tokens_decoder": decoder(own + sp_added), "pad_token": "<|im_end|>"}}
    yield "model-added-tokens-json", "mixtral", {
        "tokenizer.model": sentencepiece(), "added_tokens.json": {"<|im_start|>": size, "<|im_end|>": size + 1, "[T]": size + 2},
        "special_tokens_map.json": {"bos_token": token("<s>"), "eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]},
        "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}}
    yield "model-renamed", "mixtral", {
        "tokenizer.model": sentencepiece(), "tokenizer_config.json": LLAMA | {
            "add_bos_token": True, "added_tokens_decoder": decoder([*own, (300, token("[T]")), (301, token("[R]", True, rstrip=True))])}}
    yield "model-nfkc", "mixtral", {"tokenizer.model": sentencepiece("nfkc"), "tokenizer_config.json": LLAMA | {"add_bos_token": True}}
    # Phi-3.5-MoE: Llama style, with end-of-turn tokens that take white space after them.
    phi = numbered(560, [token("<|im_start|>", True, rstrip=True), token("<|im_end|>", True, rstrip=True), token("[R]", rstrip=True)])
    yield "phimoe", "phimoe", {
        "tokenizer.model": sentencepiece(), "tokenizer.json": vocabulary("prepend", None, phi), "tokenizer_config.json": LLAMA | {
            "add_bos_token": False, "legacy": False, "eos_token": "<|im_end|>", "added_tokens_decoder": decoder(own + phi)}}
    yield "phimoe-model", "phimoe", {
        "tokenizer.model": sentencepiece(), "tokenizer_config.json": LLAMA | {
            "add_bos_token": False, "legacy": False, "added_tokens_decoder": decoder(
                own + numbered(size, [token("<|im_start|>", True, rstrip=True), token("[R]", rstrip=True)]))}}
    # OLMoE: GPT-NeoX's class builds its own steps; white space as added tokens.
    spaces = numbered(507, [token("    ", normalized=True), token("  ", normalized=True), token("[T]", normalized=True), token("[L]", lstrip=True)])
    olmo = {"tokenizer_class": "GPTNeoXTokenizer", "bos_token": None, "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
            "pad_token": "<|im_end|>", "add_bos_token": False, "add_prefix_space": False}  # fmt: skip
    yield "olmoe", "olmoe", {"tokenizer.json": vocabulary("olmo", None, spaces), "tokenizer_config.json": olmo | {
        "added_tokens_decoder": decoder([(500, token("<|endoftext|>", True)), (502, token("<|im_end|>", True)), *spaces])}}
    yield "olmoe-no-config", "olmoe", {"tokenizer.json": vocabulary("olmo", template([("<|endoftext|>", 500)]), spaces)}
    yield "olmoe-own-steps", "olmoe", {"tokenizer.json": vocabulary("granite", template([("<|endoftext|>", 500)])), "tokenizer_config.json": olmo}
    yield "olmoe-fast", "olmoe", {
        "tokenizer.json": vocabulary("granite", template([("<|endoftext|>", 500)]), spaces),
        "tokenizer_config.json": olmo | {"tokenizer_class": "PreTrainedTokenizerFast"}}
    # Qwen: its class has NFC and a pattern of its own.
    qwen = {"tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
            "add_prefix_space": False, "add_bos_token": False, "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}  # fmt: skip
    more = numbered(507, [token("[T]"), token("[R]", True, rstrip=True), token("[N]", normalized=True)])
    listed = decoder([(500, token("<|endoftext|>", True)), (501, token("<|im_start|>", True)), (502, token("<|im_end|>", True)), *more])
    yield "qwen3", "qwen3_moe", {"tokenizer.json": vocabulary("qwen", None, more), "tokenizer_config.json": qwen | {"added_tokens_decoder": listed}}
    yield "qwen2-own-steps", "qwen2_moe", {"tokenizer.json": vocabulary("granite", None, more), "tokenizer_config.json": qwen}
    yield "qwen3-no-config", "qwen3_moe", {"tokenizer.json": vocabulary("granite", None, more)}
    yield "qwen3-fast", "qwen3_moe", {
        "tokenizer.json": vocabulary("granite", None, more),
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}}
    yield "qwen3-prefix-space", "qwen3_moe", {
        "tokenizer.json": vocabulary("qwen", None, more), "tokenizer_config.json": qwen | {"add_prefix_space": True}}
    yield "qwen3-llama-class", "qwen3_moe", {
        "tokenizer.json": vocabulary("prepend", bos, json_added), "tokenizer_config.json": LLAMA | {"legacy": True}}
    yield "qwen3-llama-class-no-prefix", "qwen3_moe", {
        "tokenizer.json": vocabulary("prepend", bos, json_added), "tokenizer_config.json": LLAMA | {"add_prefix_space": False}}
    # vocab.json and merges.txt, which some classes read.
    document = json.loads((FIXTURES / "tokenizers/qwen.json").read_text(encoding="utf-8"))
    merges = "#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in document["model"]["merges"])
    parts = {"vocab.json": document["model"]["vocab"], "merges.txt": merges}
    yield "qwen3-vocab-merges", "qwen3_moe", parts | {"tokenizer_config.json": qwen | {"added_tokens_decoder": listed}}
    yield "olmoe-vocab-merges", "olmoe", parts | {
        "tokenizer_config.json": olmo | {"bos_token": "<|endoftext|>", "added_tokens_decoder": listed}}
    yield "gpt2-vocab-merges", "qwen3_moe", parts | {"tokenizer_config.json": {
        "tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "add_eos_token": True, "added_tokens_decoder": listed}}
    # Granite: the file as it is written, whatever the class.
    granite = {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": False, "add_prefix_space": False, "bos_token": "<|endoftext|>",
               "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}  # fmt: skip
    yield "granite", "granitemoe", {"tokenizer.json": vocabulary("granite", None, more), "tokenizer_config.json": granite}
    yield "granite-flag-contradicts", "granitemoe", {"tokenizer.json": vocabulary("granite"), "tokenizer_config.json": granite | {"add_bos_token": True}}
    yield "granite-both-ends", "granitemoe", {
        "tokenizer.json": vocabulary("granite", template([("<|endoftext|>", 500)], [("<|im_end|>", 502)])), "tokenizer_config.json": granite}
    yield "granite-sequence", "granitemoe", {"tokenizer.json": vocabulary("granite", {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}, template([("<|im_start|>", 501)])]}),
        "tokenizer_config.json": granite}
    yield "granite-roberta", "granitemoe", {"tokenizer.json": vocabulary("granite", {
        "type": "RobertaProcessing", "sep": ["<|im_end|>", 502], "cls": ["<|im_start|>", 501], "trim_offsets": True, "add_prefix_space": False})}
    # Settings of their own.
    yield "flags-replaced", "granitemoe", {"tokenizer.json": vocabulary("granite", None, more), "tokenizer_config.json": granite | {
        "added_tokens_decoder": decoder([(507, token("[T]", normalized=True, lstrip=True)), (503, token("<tool>", True))])}}
    yield "special-split", "granitemoe", {"tokenizer.json": vocabulary("granite", None, more), "tokenizer_config.json": granite | {"split_special_tokens": True}}
    yield "extra-special", "granitemoe", {"tokenizer.json": vocabulary("granite", None, more), "tokenizer_config.json": granite | {
        "extra_special_tokens": ["[T]", "<new>"], "pad_token": "<pad>"}}
    yield "ids-with-gaps", "granitemoe", {"tokenizer.json": vocabulary("granite", None, [(600, token("[T]")), (590, token("[R]", rstrip=True))])}
    yield "tokens-as-objects", "granitemoe", {"tokenizer.json": vocabulary("granite", None, more), "tokenizer_config.json": granite | {
        "bos_token": {"__type": "AddedToken"} | {k: v for k, v in token("<|im_start|>").items() if k != "special"}, "eos_token": None}}
    yield "class-of-config-json", "granitemoe", {"tokenizer.json": vocabulary("granite"), "config.json": {
        "model_type": "granitemoe", "tokenizer_class": "GPT2Tokenizer"}}


def main():
    result = []
    for name, family, files in layouts():
        with tempfile.TemporaryDirectory() as folder:
            files = {"config.json": {"model_type": family}} | files
            for file, content in files.items():
                if isinstance(content, dict) and "from" in content:
                    data = bytes_of(content)
                else:
                    data = (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)).encode()
                (Path(folder) / file).write_bytes(data)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            result.append({
                "name": name, "class": type(tokenizer).__name__,
                "files": {k: v if isinstance(v, dict) and "from" in v else {"text": v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)}
                          for k, v in files.items()},
                "bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "named": dict(tokenizer.special_tokens_map),
                "ids": [tokenizer(text, split_special_tokens=True)["input_ids"] for text in TEXTS],
                "markup": [tokenizer(text, add_special_tokens=False)["input_ids"] for text in MARKUP],
            })  # fmt: skip
    document = {"made_with": f"transformers {transformers.__version__}", "texts": TEXTS, "markup": MARKUP, "layouts": result}
    with open(HERE / "layouts.json", "w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")
    print(len(result), "layouts")


if __name__ == "__main__":
    main()
