"""Five checkpoints laid out as their publishers lay them out on the Hub: the same files with the same fields, real values of all
that is not a size. Granite-3.1-1B-A400M-Instruct, Qwen3-30B-A3B, Phi-3.5-MoE-instruct, OLMoE-1B-7B-0924-Instruct and
Mixtral-8x22B-Instruct-v0.1; sizes and vocabularies are small, weights random.

Vocabularies are trained on the text of ../sentencepiece/make.py, with the normalizer, pre-tokenizer, decoder, post-processor and
added tokens of the real ones; Mixtral's can be the real one (mistral-common's v3). Chat templates write what the models' own
write for a conversation in text, by the same means. Needs tokenizers, sentencepiece, torch and transformers.
"""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.convert_slow_tokenizer import generate_merges

HERE = Path(__file__).parent
spec = importlib.util.spec_from_file_location("sp", HERE.parent / "sentencepiece" / "make.py")
assert spec is not None and spec.loader is not None
sp = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sp)

Files = dict[str, Any]
PIECES = 480
#: What the small models have in place of the real sizes.
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}


@dataclass(frozen=True)
class Checkpoint:
    name: str
    #: The name that llama.cpp's converter has for the real vocabulary, which it knows by a hash.
    pre: str
    #: Every file but the weights.
    files: Callable[[Path | None], Files]


def flags(content: str, special: bool = False, **given: bool) -> dict[str, Any]:
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False} | given | {
        "special": special
    }  # fmt: skip


def added(item: dict[str, Any]) -> AddedToken:
    return AddedToken(**item)


def decoder_of(tokens: dict[int, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(number): item for number, item in sorted(tokens.items())}


def byte_level(steps: Any, first: list[str], size: int = PIECES) -> Tokenizer:
    """A byte-level vocabulary; `first`: pieces that come before the bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = steps
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=first, show_progress=False
    )
    tokenizer.train_from_iterator(sp.TEXT.splitlines(keepends=True) * 2, trainer)
    return tokenizer


def document(tokenizer: Tokenizer) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(tokenizer.to_str())
    return value


def parts(tokenizer: dict[str, Any]) -> Files:
    """`vocab.json` and `merges.txt` beside a tokenizer.json."""
    merges = "#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in tokenizer["model"]["merges"])
    return {"vocab.json": tokenizer["model"]["vocab"], "merges.txt": merges}


# Granite: StarCoder's vocabulary, whose control tokens come first, and three more behind it.
GRANITE_FIRST = [
    "<|end_of_text|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>", "<gh_stars>", "<issue_start>",
    "<issue_comment>", "<issue_closed>", "<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>",
    "<empty_output>", "<commit_before>", "<commit_msg>", "<commit_after>", "<reponame>",
]  # fmt: skip
GRANITE_CHAT = """\
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set system_message = "Knowledge Cutoff Date: April 2024.\\nToday's Date: " + strftime_now('%B %d, %Y') + ".\\nYou are \
Granite, developed by IBM." %}
    {%- if not tools and not documents %}
        {%- set system_message = system_message + " You are a helpful AI assistant." %}
    {%- endif %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- '<|start_of_role|>system<|end_of_role|>' + system_message + '<|end_of_text|>\\n' }}
{%- if tools %}
    {{- '<|start_of_role|>tools<|end_of_role|>' + tools | tojson(indent=4) + '<|end_of_text|>\\n' }}
{%- endif %}
{%- for message in loop_messages %}
    {{- '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] + '<|end_of_text|>\\n' }}
    {%- if loop.last and add_generation_prompt %}
        {{- '<|start_of_role|>assistant' }}
        {%- if controls %}{{- ' ' + controls | tojson() }}{%- endif %}
        {{- '<|end_of_role|>' }}
    {%- endif %}
{%- endfor %}"""


def granite(_: Path | None) -> Files:
    steps = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])  # fmt: skip
    tokenizer = byte_level(steps, GRANITE_FIRST)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=True)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=True, trim_offsets=False, use_regex=True)
    roles = ["<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>"]
    tokenizer.add_special_tokens([added(flags(role, True)) for role in roles])
    size = tokenizer.get_vocab_size()
    written = document(tokenizer)
    control = dict(enumerate(GRANITE_FIRST)) | dict(enumerate(roles, size - 3))
    ends = dict.fromkeys(["bos_token", "eos_token", "pad_token", "unk_token"], "<|end_of_text|>")
    return {
        "config.json": {
            "architectures": ["GraniteMoeForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
            "attention_multiplier": 0.015625, "bos_token_id": 0, "embedding_multiplier": 12.0, "eos_token_id": 0,
            "hidden_act": "silu", "initializer_range": 0.02, "intermediate_size": 16, "logits_scaling": 6.0,
            "max_position_embeddings": 131072, "model_type": "granitemoe", "num_experts_per_tok": 8, "num_local_experts": 12,
            "output_router_logits": False, "pad_token_id": 0, "residual_multiplier": 0.22, "rms_norm_eps": 1e-06,
            "rope_scaling": None, "rope_theta": 1500000.0, "router_aux_loss_coef": 0.0, "tie_word_embeddings": True,
            "torch_dtype": "bfloat16", "transformers_version": "4.47.0", "use_cache": True, "vocab_size": size,
        } | SIZES,
        "generation_config.json": {
            "_from_model_config": True, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0, "transformers_version": "4.47.0",
        },
        "tokenizer.json": written, **parts(written),
        "added_tokens.json": {role: number for number, role in sorted(enumerate(roles, size - 3), key=lambda pair: pair[1])},
        "special_tokens_map.json": {"additional_special_tokens": [flags_of_map(role) for role in roles]} | {
            name: flags_of_map(piece) for name, piece in ends.items()},
        "tokenizer_config.json": {
            "add_bos_token": False, "add_prefix_space": False,
            "added_tokens_decoder": decoder_of({number: flags(piece, True) for number, piece in control.items()}),
            "additional_special_tokens": roles, "chat_template": GRANITE_CHAT, "clean_up_tokenization_spaces": True,
            "errors": "replace", "extra_special_tokens": {}, "model_max_length": 9223372036854775807, "padding_side": "left",
            "tokenizer_class": "GPT2Tokenizer", "vocab_size": size - 3,
        } | ends,
    }  # fmt: skip


def flags_of_map(content: str) -> dict[str, Any]:
    item = flags(content)
    del item["special"]
    return item


# Qwen3: NFC, one digit at a time, 26 added tokens, rows of the embedding that no token has.
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
    "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
QWEN_PLAIN = [
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>",
    "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>",
]  # fmt: skip
QWEN_CHAT = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' + tools | tojson + '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last_query=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == "user" and message.content is string and not (message.content.startswith(\
'<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last_query = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is defined and message.reasoning_content is not none %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query and (loop.last or reasoning) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip(\
'\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""


def qwen(_: Path | None) -> Files:
    steps = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN_PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
    ])  # fmt: skip
    tokenizer = byte_level(steps, [])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokens = [flags(piece, True) for piece in QWEN_SPECIAL] + [flags(piece) for piece in QWEN_PLAIN]
    first = tokenizer.get_vocab_size()
    for item in tokens:
        (tokenizer.add_special_tokens if item["special"] else tokenizer.add_tokens)([added(item)])
    written = document(tokenizer)
    return {
        "config.json": {
            "architectures": ["Qwen3MoeForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": first,
            "decoder_sparse_step": 1, "eos_token_id": first + 2, "head_dim": 16, "hidden_act": "silu", "initializer_range": 0.02,
            "intermediate_size": 48, "max_position_embeddings": 40960, "max_window_layers": 2, "mlp_only_layers": [],
            "model_type": "qwen3_moe", "moe_intermediate_size": 16, "norm_topk_prob": True, "num_experts": 12,
            "num_experts_per_tok": 8, "output_router_logits": False, "rms_norm_eps": 1e-06, "rope_scaling": None,
            "rope_theta": 1000000.0, "router_aux_loss_coef": 0.001, "sliding_window": None, "tie_word_embeddings": False,
            "torch_dtype": "bfloat16", "transformers_version": "4.51.0", "use_cache": True, "use_sliding_window": False,
            "vocab_size": padded(tokenizer.get_vocab_size()),
        } | SIZES,
        "generation_config.json": {
            "bos_token_id": first, "do_sample": True, "eos_token_id": [first + 2, first], "pad_token_id": first,
            "temperature": 0.6, "top_k": 20, "top_p": 0.95, "transformers_version": "4.51.0",
        },
        "tokenizer.json": written, **parts(written),
        "tokenizer_config.json": {
            "add_bos_token": False, "add_prefix_space": False,
            "added_tokens_decoder": decoder_of(dict(enumerate(tokens, first))),
            "additional_special_tokens": QWEN_SPECIAL[1:], "bos_token": None, "chat_template": QWEN_CHAT,
            "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>", "errors": "replace", "model_max_length": 131072,
            "pad_token": "<|endoftext|>", "split_special_tokens": False, "tokenizer_class": "Qwen2Tokenizer", "unk_token": None,
        },
    }  # fmt: skip


def padded(size: int) -> int:
    """The next multiple of 32, and at least some rows that no token has."""
    return (size + 40) // 32 * 32


# Phi: Llama's kind of vocabulary, and eleven tokens behind it that take the white space after them.
PHI_ADDED = [
    flags("<|endoftext|>", True), *(flags(f"<|{name}|>", True, rstrip=True) for name in (
        "assistant", "placeholder1", "placeholder2", "placeholder3", "placeholder4", "system", "end", "placeholder5",
        "placeholder6", "user")),
]  # fmt: skip
PHI_CHAT = (
    "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + "
    "message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
    "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)


def sentencepiece_model(control: list[str]) -> bytes:
    """Trained as Llama's and Mistral's: bytes for what has no piece, one digit at a time, spaces kept."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sp.TEXT.splitlines()), model_writer=model, vocab_size=PIECES + 40, model_type="bpe",
        byte_fallback=True, split_digits=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=True, allow_whitespace_only_pieces=True, character_coverage=0.99995, control_symbols=control,
        unk_surface=" \u2047 ", minloglevel=2)  # fmt: skip
    return model.getvalue()


def as_tokenizer_json(model: bytes, tokens: dict[int, dict[str, Any]], before: str | None) -> dict[str, Any]:
    """What the publishers' converters write of a SentencePiece model: merges in the order of scores.

    before: the token that the post-processor puts before a text.
    """
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    names = [pieces.id_to_piece(number) for number in range(pieces.vocab_size())]
    usual = {
        name: pieces.get_score(number)
        for number, name in enumerate(names)
        if not (pieces.is_control(number) or pieces.is_byte(number) or pieces.is_unknown(number))
    }
    vocabulary = {name: number for number, name in enumerate(names)}
    merges = [pair for pair in generate_merges(vocabulary, usual) if pair[0] in usual and pair[1] in usual]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0),
    ])  # fmt: skip
    for _, item in sorted(tokens.items()):
        (tokenizer.add_special_tokens if item["special"] else tokenizer.add_tokens)([added(item)])
    sequence = f"{before} $A" if before else "$A"
    second = f"{before}:1 $B:1" if before else "$B:1"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=sequence, pair=f"{sequence} {second}", special_tokens=[(before, vocabulary[before])] if before else [])
    return document(tokenizer)


def phi(_: Path | None) -> Files:
    model = sentencepiece_model([])
    size = sentencepiece.SentencePieceProcessor(model_proto=model).vocab_size()
    tokens = {0: flags("<unk>", True), 1: flags("<s>", True), 2: flags("</s>", rstrip=True)} | dict(enumerate(PHI_ADDED, size))
    # Four factors each for heads of 8; the real lists have 64.
    long, short = [1.0199999809265137, 1.25, 12.349998474121094, 64.5], [1.0, 1.0399999618530273, 1.6799999475479126, 2.75]
    ends = {"bos_token": "<s>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<unk>"}
    return {
        "config.json": {
            "_name_or_path": "microsoft/Phi-3.5-MoE-instruct", "architectures": ["PhiMoEForCausalLM"], "attention_bias": True,
            "attention_dropout": 0.0, "auto_map": {
                "AutoConfig": "configuration_phimoe.PhiMoEConfig", "AutoModelForCausalLM": "modeling_phimoe.PhiMoEForCausalLM"},
            "bos_token_id": 1, "eos_token_id": size, "hidden_act": "silu", "hidden_dropout": 0.0, "initializer_range": 0.02,
            "input_jitter_noise": 0.01, "intermediate_size": 16, "lm_head_bias": True, "max_position_embeddings": 131072,
            "model_type": "phimoe", "num_experts_per_tok": 2, "num_local_experts": 12, "original_max_position_embeddings": 4096,
            "output_router_logits": False, "rms_norm_eps": 1e-05, "rope_scaling": {
                "long_factor": long, "long_mscale": 1.243163121016122, "original_max_position_embeddings": 4096,
                "short_factor": short, "short_mscale": 1.243163121016122, "type": "longrope"},
            "rope_theta": 10000.0, "router_aux_loss_coef": 0.0, "router_jitter_noise": 0.01, "sliding_window": 131072,
            "tie_word_embeddings": False, "torch_dtype": "bfloat16", "transformers_version": "4.43.3", "use_cache": True,
            "vocab_size": padded(size + len(PHI_ADDED)),
        } | SIZES,
        "generation_config.json": {
            "_from_model_config": True, "bos_token_id": 1, "eos_token_id": [size + 7, size + 1, size], "pad_token_id": size,
            "transformers_version": "4.43.3",
        },
        "tokenizer.model": model, "tokenizer.json": as_tokenizer_json(model, tokens, None),
        "added_tokens.json": {item["content"]: number for number, item in enumerate(PHI_ADDED, size)},
        "special_tokens_map.json": {name: flags_of_map(piece) for name, piece in ends.items()},
        "tokenizer_config.json": {
            "add_bos_token": False, "add_eos_token": False, "added_tokens_decoder": decoder_of(tokens), "chat_template": PHI_CHAT,
            "clean_up_tokenization_spaces": False, "legacy": False, "model_max_length": 131072, "padding_side": "left",
            "sp_model_kwargs": {}, "tokenizer_class": "LlamaTokenizer", "use_default_system_prompt": False,
        } | ends,
    }  # fmt: skip


# OLMoE: GPT-NeoX's vocabulary with runs of spaces and three tokens for what was hidden in the texts it was trained on.
OLMOE_CHAT = (
    "{{ bos_token }}{% for message in messages %}\n{% if message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + "
    "'\n' }}\n{% elif message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + '\n' }}\n{% elif message['role'] == "
    "'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token + ('' if loop.last else '\n') }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>\n' }}\n{% endif %}\n{% endfor %}"
)


def olmoe(_: Path | None) -> Files:
    tokenizer = byte_level(
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True), ["|||IP_ADDRESS|||", "<|padding|>"])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1", special_tokens=[])
    first = tokenizer.get_vocab_size()
    more = [flags(" " * count, normalized=True) for count in range(24, 1, -1)]
    more += [flags(f"|||{name}|||", normalized=True) for name in ("EMAIL_ADDRESS", "PHONE_NUMBER")] + [flags("<|endoftext|>", True)]
    tokens = {0: flags("|||IP_ADDRESS|||", normalized=True), 1: flags("<|padding|>", True)} | dict(enumerate(more, first))
    written = document(tokenizer)
    # The library adds what the trainer was given as control tokens; the publisher's file says otherwise of the first.
    written["added_tokens"] = [{"id": number} | item for number, item in sorted(tokens.items())]
    end = max(tokens)
    return {
        "config.json": {
            "architectures": ["OlmoeForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "clip_qkv": None,
            "eos_token_id": end, "hidden_act": "silu", "initializer_range": 0.02, "intermediate_size": 16,
            "max_position_embeddings": 4096, "model_type": "olmoe", "norm_topk_prob": False, "num_experts": 12,
            "num_experts_per_tok": 8, "output_router_logits": False, "pad_token_id": 1, "rms_norm_eps": 1e-05,
            "rope_scaling": None, "rope_theta": 10000.0, "router_aux_loss_coef": 0.01, "tie_word_embeddings": False,
            "torch_dtype": "bfloat16", "transformers_version": "4.43.0.dev0", "use_cache": True, "vocab_size": padded(end + 1),
        } | SIZES | {"num_key_value_heads": SIZES["num_attention_heads"]},
        "generation_config.json": {
            "_from_model_config": True, "eos_token_id": end, "pad_token_id": 1, "transformers_version": "4.43.0.dev0",
        },
        "tokenizer.json": written,
        "special_tokens_map.json": {
            "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|padding|>", "unk_token": "<|endoftext|>",
        },
        "tokenizer_config.json": {
            "add_bos_token": False, "add_eos_token": False, "add_prefix_space": False, "added_tokens_decoder": decoder_of(tokens),
            "bos_token": "<|endoftext|>", "chat_template": OLMOE_CHAT, "clean_up_tokenization_spaces": True,
            "eos_token": "<|endoftext|>", "model_max_length": 1000000000000000019884624838656, "pad_token": "<|padding|>",
            "tokenizer_class": "GPTNeoXTokenizer", "unk_token": "<|endoftext|>",
        },
    }  # fmt: skip


# Mixtral 8x22B Instruct: version 3 of Mistral's vocabulary, marks of turns and tools as control tokens.
MIXTRAL_CONTROL = [
    "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
]  # fmt: skip
MIXTRAL_CHAT = """\
{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{#- Whose turn it is, messages about tools left out. #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, user and assistant speak in turns") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] " + tools | tojson + "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, after an optional system message") }}
    {%- endif %}
{%- endfor %}"""


def mixtral(vocabulary: Path | None) -> Files:
    model = vocabulary.read_bytes() if vocabulary else sentencepiece_model([*MIXTRAL_CONTROL, "[control_8]", "[control_9]"])
    size = sentencepiece.SentencePieceProcessor(model_proto=model).vocab_size()
    tokens = {number: flags(piece, True) for number, piece in enumerate(["<unk>", "<s>", "</s>", *MIXTRAL_CONTROL])}
    return {
        "config.json": {
            "architectures": ["MixtralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
            "hidden_act": "silu", "initializer_range": 0.02, "intermediate_size": 16, "max_position_embeddings": 65536,
            "model_type": "mixtral", "num_experts_per_tok": 2, "num_local_experts": 8, "output_router_logits": False,
            "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "router_aux_loss_coef": 0.001, "router_jitter_noise": 0.0,
            "sliding_window": None, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "transformers_version": "4.38.0",
            "use_cache": True, "vocab_size": size,
        } | SIZES,
        "generation_config.json": {
            "_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2, "transformers_version": "4.38.0",
        },
        "tokenizer.model": model, "tokenizer.json": as_tokenizer_json(model, tokens, "<s>"),
        "special_tokens_map.json": {
            name: flags_of_map(piece) for name, piece in (("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"))},
        "tokenizer_config.json": {
            "add_bos_token": True, "add_eos_token": False, "add_prefix_space": True, "added_tokens_decoder": decoder_of(tokens),
            "additional_special_tokens": [], "bos_token": "<s>", "chat_template": MIXTRAL_CHAT,
            "clean_up_tokenization_spaces": False, "eos_token": "</s>", "legacy": True,
            "model_max_length": 1000000000000000019884624838656, "pad_token": None, "sp_model_kwargs": {}, "spaces_between_special_tokens": False, "tokenizer_class": "LlamaTokenizer",
            "unk_token": "<unk>", "use_default_system_prompt": False,
        },
    }  # fmt: skip


CHECKPOINTS = {
    "granite": Checkpoint("granite-3.1-1b-a400m-instruct", "refact", granite),
    "qwen": Checkpoint("Qwen3-30B-A3B", "qwen2", qwen),
    "phi": Checkpoint("Phi-3.5-MoE-instruct", "default", phi),
    "olmoe": Checkpoint("OLMoE-1B-7B-0924-Instruct", "olmo", olmoe),
    "mixtral": Checkpoint("Mixtral-8x22B-Instruct-v0.1", "default", mixtral),
}


def write(checkpoint: Checkpoint, folder: Path, vocabulary: Path | None = None) -> Path:
    """The checkpoint in a folder of its name. vocabulary: a `tokenizer.model` in place of the trained one (Mixtral)."""
    folder = folder / checkpoint.name
    folder.mkdir(parents=True)
    files = checkpoint.files(vocabulary)
    for name in ("config.json", "generation_config.json"):
        (folder / name).write_text(json.dumps(files[name], indent=2) + "\n")
    torch.manual_seed(7)
    config = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("bias"):
                parameter.normal_(0, 0.3)
            elif parameter.dim() > 1:
                # One matrix for input and output would repeat the last token for ever if it were as large as the others.
                scale = 1.5 if not config.tie_word_embeddings else 0.1 if "embed" in key else 4
                parameter.normal_(0, scale / parameter.shape[-1] ** 0.5)
            else:
                parameter.uniform_(0.5, 1.5)
    size = sum(parameter.numel() for parameter in model.parameters()) * 2
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=int(size * 0.6))
    # Over what save_pretrained wrote.
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif isinstance(content, str):
            (folder / name).write_text(content)
        else:
            layout: dict[str, Any] = {"separators": (",", ":")} if name in ("tokenizer.json", "vocab.json") else {"indent": 2}
            (folder / name).write_text(json.dumps(content, ensure_ascii=False, **layout) + "\n")
    return folder
