"""vLLM's `routed_experts`.

`CompletionOutput.routed_experts` is an integer array [rows, layers, K] (vllm-project/vllm, vllm/outputs.py); over HTTP a choice carries
it as the base64 text of a .npy file (vllm-project/vllm, tests of the entry points that decode it with `np.load`). It has one row for every token that went through the
model: prompt and answer, without the last sampled token. `prompt_token_ids` and `token_ids` are there where they were asked for.

Read are JSON lines of

* responses of `/v1/completions` and `/v1/chat/completions`: {"id", "prompt_token_ids", "choices": [{"token_ids", "routed_experts"}]}
* requests as `LLM.generate` gives them: {"request_id", "prompt_token_ids", "token_ids", "routed_experts"}

and .npz archives with the same arrays of one request. Each may have "group". Weights are not recorded, nor the order of experts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from moescope.cards import Card
from moescope.records.reading import archive, array, in_layers, json_lines, logprobs
from moescope.writing import Document, RecordError


def read(file: Path, card: Card) -> Iterator[Document]:
    if file.suffix == ".npz":
        yield _document(archive(file), {}, file.stem, str(file), card)
        return
    for place, request in json_lines(file):
        _same_model(request, card, place)
        identifier = str(request.get("id") or request.get("request_id") or f"{file.stem}-{place.rsplit(' ', 1)[1]}")
        choices = request.get("choices")
        if choices is None:
            yield _document(request, request, identifier, place, card)
            continue
        for number, choice in enumerate(choices):
            name = identifier if len(choices) == 1 else f"{identifier}/{number}"
            yield _document(choice, request, name, place, card)


def _same_model(request: dict[str, Any], card: Card, place: str) -> None:
    """Responses name the model that gave them; the first one's name is the record's."""
    model = request.get("model")
    if not isinstance(model, str):
        return
    first = card.fields.setdefault("config", {}).setdefault("record.model", model)
    if first != model:
        raise RecordError(f"{place}: model: expected {first!r}, as in the lines before, found {model!r}; import each by itself")


def _document(choice: Any, request: Any, identifier: str, place: str, card: Card) -> Document:
    if choice.get("routed_experts") is None:
        raise RecordError(
            f"{place}: expected routed_experts, found {', '.join(sorted(choice)) or 'nothing'} "
            "(vLLM returns them when it is started with --enable-return-routed-experts)"
        )
    experts = in_layers(
        array(choice["routed_experts"], place, "routed_experts", dimensions=3), card, place, "routed_experts"
    )
    n = len(experts)
    prompt = choice.get("prompt_token_ids")
    prompt = request.get("prompt_token_ids") if prompt is None else prompt
    answer = choice.get("token_ids")
    token = None
    fields: dict[str, Any] = {}
    if prompt is not None and answer is not None:
        ids = np.concatenate([array(part, place, "token ids", dimensions=1) for part in (prompt, answer) if len(part)])
        if len(ids) not in (n, n + 1):
            raise RecordError(
                f"{place}: expected {n} or {n + 1} token ids for {n} rows of routed_experts, found {len(ids)}"
            )
        token = ids[:n]
        fields["prompt_tokens"] = min(len(prompt), n)
    elif isinstance(request.get("usage"), dict) and isinstance(request["usage"].get("prompt_tokens"), int):
        fields["prompt_tokens"] = min(request["usage"]["prompt_tokens"], n)
    values = choice.get("token_logprobs")
    group = choice.get("group") if choice.get("group") is not None else request.get("group")
    return Document(
        id=identifier,
        experts=experts,
        place=place,
        group=str(group) if group is not None else "",
        token=token,
        logprob=logprobs(values, n) if token is not None and values is not None else None,
        fields=fields,
    )
