"""What a model writes: a `Generation` of `Step`s, and conversations as the engine takes them.

L layers · E experts · K experts per token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from moescope.runs import Value

_ROLES: Final = ("system", "user", "assistant")
#: Hook sites whose value is one array per document, not rows of the whole batch.
_PER_DOCUMENT: Final = ("attn.scores", "attn.pattern")


@dataclass(frozen=True)
class Step:
    """One generated token, and what the hooks saw at the row it was predicted from."""

    #: The id that was chosen.
    token: int
    #: The text it adds.
    text: str
    #: Natural log of its probability, before temperature.
    logprob: float
    #: [L, K] experts of the row that predicted it.
    expert_indices: NDArray[np.int32]
    #: [L, K] their weights.
    expert_weights: NDArray[np.float32]
    captured: Mapping[str, Value]

    def __getitem__(self, name: str) -> Value:
        """The captured value at that row: [E] for `blocks.3.router_logits`."""
        return self.captured[name]


class Generation(Iterator[Step]):
    """What a model writes, token by token as it is asked for: an iterator of `Step`.

        for step in model.generate("Der Rauch", capture="router_logits"): ...
        model.generate("Der Rauch").text

    `model.run(generation.tokens, capture=…)` shows any hook point over prompt and answer at once.
    """

    def __init__(self, prompt: Sequence[int], steps: Iterator[Step]) -> None:
        #: Ids that the model read first.
        self.prompt = list(prompt)
        self._steps = steps
        self._written: list[Step] = []

    def __next__(self) -> Step:
        step = next(self._steps)
        self._written.append(step)
        return step

    @property
    def tokens(self) -> list[int]:
        """Ids of the prompt and of all that is written after it. What has not been asked for yet is generated now."""
        for _ in self:
            pass
        return [*self.prompt, *(step.token for step in self._written)]

    @property
    def text(self) -> str:
        """All that is written after the prompt. What has not been asked for yet is generated now."""
        for _ in self:
            pass
        return "".join(step.text for step in self._written)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Generation, {len(self._written)} tokens so far: {''.join(step.text for step in self._written)!r}>"


def conversation(messages: str | Sequence[Mapping[str, str]]) -> str:
    """Messages as the engine's JSON has them; a text alone is what the user says.

    Raises TypeError or ValueError naming the message that is none.
    """
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if isinstance(messages, bytes | Mapping) or not isinstance(messages, Sequence):
        raise TypeError(f"messages: expected a list of messages or a text, found {type(messages).__name__}")
    if not messages:
        raise ValueError("messages: expected at least one")
    checked = []
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
            raise TypeError(f'{place}: expected {{"role": …, "content": text}}, found {message!r}')
        if message.get("role") not in _ROLES:
            raise ValueError(f"{place}: role: expected {', '.join(_ROLES)}, found {message.get('role')!r}")
        checked.append({"role": message["role"], "content": message["content"]})
    return json.dumps(checked)


def steps(
    prompt: list[int],
    read: Callable[[list[int]], Mapping[str, Any]],
    decode: Callable[[list[int]], str],
    points: Sequence[str],
    *,
    temperature: float,
    seed: int,
    ends: frozenset[int],
) -> Iterator[Step]:
    """Tokens one after the other, until one of `ends`.

    read: what the engine gives for further tokens. decode: the text of all of them.
    """
    random = np.random.default_rng(seed)
    known, text, unread = prompt, decode(prompt), prompt
    while True:
        result = read(unread)
        z = np.asarray(result["next_logits"]).astype(np.float64)
        log_p = z - z.max() - np.log(np.exp(z - z.max()).sum())
        if temperature == 0:
            token = int(log_p.argmax())
        else:
            p = np.exp((log_p - log_p.max()) / temperature)
            token = int(random.choice(len(p), p=p / p.sum()))
        known, unread = [*known, token], [token]
        longer = decode(known)
        added = longer[len(text) :] if longer.startswith(text) else decode([token])
        text = longer
        captured = {point: _last_row(point, result[point]) for point in points}
        indices, weights = np.asarray(result["expert_indices"]), np.asarray(result["expert_weights"])
        yield Step(token, added, float(log_p[token]), indices[:, -1], weights[:, -1], captured)
        if token in ends:
            return


def _last_row(point: str, result: Any) -> Value:
    """The newest row of a captured value; of a pattern, the newest query's row of every head."""
    value = np.asarray(result[0] if isinstance(result, list) else result)
    if point.endswith("attn.summary"):
        return value[:, :, -1]
    return value[:, -1] if point.endswith(_PER_DOCUMENT) else value[-1]
