"""Conversations in the formats of models, for ChatTests.

    .venv-parity/bin/python Tests/Fixtures/chat/make.py

mistral.json: ids of mistral-common 1.13.1, tokenizers v1 (Mixtral-8x7B) and v3 (Mixtral-8x22B), whose files come with
that package. templates.json: what transformers 5.23.0 makes of a template of this script's own over the vocabularies of
../tokenizers, as text and as ids.
"""

import json
from pathlib import Path

import mistral_common
from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent
DATA = Path(mistral_common.__file__).parent / "data"
CONVERSATIONS = [
    [("user", "Hello")],
    [("user", "  Zwei  Leerzeichen, größer als 😀 ")],
    [("system", "Antworte kurz."), ("user", "Wie spät ist es?")],
    [("user", "a"), ("assistant", "b "), ("user", "[INST] c [/INST] </s> <s>")],
    [("system", "You are\na poet."), ("user", "Write."), ("assistant", "Smoke\nrises."), ("user", "More"), ("assistant", "It falls."),
     ("user", "Thank you")],
]  # fmt: skip
TEMPLATE = """\
{%- if messages[0].role == 'system' -%}
    {{ bos_token + '<|im_start|>system\\n' + messages[0].content | trim + '<|im_end|>\\n' }}
{%- else -%}
    {{ bos_token }}
{%- endif -%}
{%- for message in messages -%}
    {%- if message['role'] not in ['system', 'user', 'assistant'] -%}{{ raise_exception('who is that?') }}{%- endif -%}
    {%- if message.role == 'system' -%}{% continue %}{%- endif -%}
    {{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}
    {{ '<|im_start|>assistant\\n' }}
{%- endif %}
"""
CLASSES = {"system": SystemMessage, "user": UserMessage, "assistant": AssistantMessage}


def mistral() -> list:
    cases = []
    for version, name in (("v1", "tokenizer.model.v1"), ("v3", "mistral_instruct_tokenizer_240323.model.v3")):
        tokenizer = MistralTokenizer.from_file(str(DATA / name))
        for turns in CONVERSATIONS:
            request = ChatCompletionRequest(messages=[CLASSES[role](content=text) for role, text in turns])
            cases.append({
                "version": version, "file": name, "messages": [{"role": r, "content": t} for r, t in turns],
                "ids": tokenizer.encode_chat_completion(request).tokens,
            })  # fmt: skip
    return cases


def templates() -> dict:
    cases = []
    for name in ("qwen", "llama3", "granite", "prepend"):
        bos = "<s>" if name == "prepend" else "<|endoftext|>"
        file = HERE.parent / f"tokenizers/{name}.json"
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file), chat_template=TEMPLATE, bos_token=bos)
        for turns in CONVERSATIONS:
            # Ours never takes a spelled-out control token for one; that has a test of its own.
            messages = [{"role": r, "content": t.replace("<s>", "").replace("</s>", "")} for r, t in turns]
            text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            ids = tokenizer.encode(text, add_special_tokens=False)
            cases.append({"tokenizer": name, "bos": bos, "messages": messages, "text": text, "ids": ids})
    return {"template": TEMPLATE, "cases": cases}


def main() -> None:
    (HERE / "mistral.json").write_text(json.dumps(mistral(), ensure_ascii=False) + "\n")
    (HERE / "templates.json").write_text(json.dumps(templates(), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
