"""Models: loading, running, changing, generating.

T tokens of a document · L layers · E experts · K experts per token · D hidden size · H query heads · V vocabulary.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NoReturn, SupportsIndex, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from moescope import _arguments, _moescope, notebook
from moescope.edits import BATCH_TOKENS, Document, Edit, Edits, Interventions, batches, callbacks, described, scoped, split_edits, split_interventions
from moescope.generation import Generation, conversation, steps
from moescope.interventions import Intervention, to_json
from moescope.points import Points, hooks
from moescope.progress import display
from moescope.runs import Run, layer_of, split
from moescope.weights import Floats, Weights, last_step

Precision = Literal["exact", "precise", "fast"]
Tokens = Sequence[SupportsIndex] | NDArray[np.integer[Any]]
Cache = Literal["f32", "f16", "q8_0"]
T = TypeVar("T")

@dataclass(frozen=True)
class Config:
    """A model's sizes."""

    architecture: str
    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    expert_size: int
    experts: int
    experts_per_token: int
    context_length: int


class Model:
    """A mixture-of-experts model with its tokenizer. Made by `load`.

    A model can be used from several threads; its passes then run one after the other, without Python's lock.
    """

    def __init__(self, native: _moescope.Model) -> None:
        self._native = native
        self._facts: dict[str, Any] = json.loads(native.facts)
        self.config = Config(**self._facts["config"])

    @property
    def name(self) -> str:
        return str(self._facts["name"])

    @property
    def path(self) -> Path:
        return Path(self._facts["path"])

    @property
    def precision(self) -> str:
        return str(self._facts["precision"])

    @property
    def notices(self) -> list[str]:
        """What the model's files say and is not obeyed, though it would matter; `load` warns of each."""
        return [str(notice) for notice in self._facts["notices"]]

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a Model is memory of the engine; in another process, load it again: moescope.load({str(self.path)!r})")

    def _repr_html_(self) -> str:
        return notebook.facts(self.name, {**asdict(self.config), "precision": self.precision, "path": str(self.path)})

    def __repr__(self) -> str:
        c = self.config
        return (
            f"<Model {self.name}: {c.architecture}, {c.layers} layers, {c.experts} experts, "
            f"{c.experts_per_token} per token, hidden {c.hidden_size}, {self.precision}>"
        )

    def encode(self, text: str, *, bos: bool = True) -> list[int]:
        """Token ids of a text. Text never becomes a control token, whatever it spells.

        bos: with the ids that the tokenizer puts around every text: BOS before it, for most models; some put none.
        """
        tokens = self._native.encode(text)
        return [*self._facts["prefix"], *tokens, *self._facts["suffix"]] if bos else tokens

    def decode(self, tokens: Tokens) -> str:
        """The text of token ids; bytes that are no UTF-8 become U+FFFD."""
        return self._native.decode(_arguments.token_ids(tokens)).decode("utf-8", errors="replace")

    def pieces(self, tokens: Tokens) -> list[str]:
        """Tokens as the vocabulary writes them: "▁der" and `<0x0A>` in SentencePiece's, "Ġder" and "Ċ" in byte-level ones."""
        return self._native.pieces(_arguments.token_ids(tokens))

    def token_id(self, piece: str) -> int:
        """The id of a token as the vocabulary writes it: "▁der" or "Ġder", `<0x0A>`, `</s>`.

        Raises KeyError, with what the text is split into, where the vocabulary has no such piece.
        """
        if piece not in self._ids:
            shown = ", ".join(map(repr, self.pieces(self.encode(piece, bos=False)))) if piece else "nothing"
            raise KeyError(f"{piece!r} is no piece of the vocabulary; as a text it is split into {shown}")
        return self._ids[piece]

    @cached_property
    def _ids(self) -> dict[str, int]:
        ids: dict[str, int] = {}
        for token, piece in enumerate(self.pieces(range(self.config.vocab_size))):
            ids.setdefault(piece, token)
        return ids

    def texts(self, tokens: Tokens) -> list[str]:
        """Tokens as a person reads them: ␣ for a space, ⏎ for a line break, bytes that are no UTF-8 as `⟨E2 80⟩`."""
        return self._native.texts(_arguments.token_ids(tokens))

    def run(
        self,
        text: str | Tokens,
        *,
        capture: Sequence[str] | str = (),
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        interventions: Sequence[Intervention] | Intervention = (),
        edit: Mapping[str, Edit] | None = None,
        group: str = "",
        logprobs: bool = True,
    ) -> Run:
        """Runs one document, all tokens at once.

        text: text (BOS is put first) or token ids (taken as they are).
        capture: hook points (`moescope.hooks()` lists them): `"router_logits"` for every layer,
            `"blocks.3.attn.pattern"` for one; the names of TransformerLens, Hugging Face and llama.cpp work too.
        layers: keep only these layers of names that stand for every layer.
        heads: at attention scores and patterns, only these heads.
        interventions: `moescope.ablate(…)` and its kin.
        edit: hook point → callable. It gets the value as a writable array and may change it in place or return
            another of the same shape; with a second parameter it also gets a `Hook` that says where it is, and which rows are
            whose in a batch.
        group: what interventions with `groups=` compare with.
        logprobs: False saves the product with the vocabulary.

        Raises ValueError with the nearest names for a hook point that does not exist, before any computation; TypeError
        for tokens that are no integers, and for an edit that returns something else than numbers.
        """
        return next(
            self.runs(
                [text], capture=capture, layers=layers, heads=heads, interventions=interventions, edit=edit, groups=[group],
                logprobs=logprobs,
            )
        )  # fmt: skip

    @overload
    def run_many(
        self, texts: Iterable[str | Tokens], *, capture: Sequence[str] | str = ..., layers: Sequence[int] | None = ...,
        heads: Sequence[int] | None = ..., interventions: Interventions = ..., edit: Edits | None = ...,
        groups: Iterable[str] | None = ..., logprobs: bool = ..., batch_tokens: int = ..., progress: bool = ...,
        to: None = ...,
    ) -> list[Run]: ...
    @overload
    def run_many(
        self, texts: Iterable[str | Tokens], *, capture: Sequence[str] | str = ..., layers: Sequence[int] | None = ...,
        heads: Sequence[int] | None = ..., interventions: Interventions = ..., edit: Edits | None = ...,
        groups: Iterable[str] | None = ..., logprobs: bool = ..., batch_tokens: int = ..., progress: bool = ...,
        to: str | PathLike[str], format: Literal["npz", "safetensors"] = ...,
    ) -> list[Path]: ...
    @overload
    def run_many(
        self, texts: Iterable[str | Tokens], *, capture: Sequence[str] | str = ..., layers: Sequence[int] | None = ...,
        heads: Sequence[int] | None = ..., interventions: Interventions = ..., edit: Edits | None = ...,
        groups: Iterable[str] | None = ..., logprobs: bool = ..., batch_tokens: int = ..., progress: bool = ...,
        to: Callable[[Run], T],
    ) -> list[T]: ...
    def run_many(
        self,
        texts: Iterable[str | Tokens],
        *,
        capture: Sequence[str] | str = (),
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        interventions: Interventions = (),
        edit: Edits | None = None,
        groups: Iterable[str] | None = None,
        logprobs: bool = True,
        batch_tokens: int = BATCH_TOKENS,
        progress: bool = False,
        to: str | PathLike[str] | Callable[[Run], Any] | None = None,
        format: Literal["npz", "safetensors"] = "npz",
    ) -> list[Any]:
        """Runs many documents in large batches without padding: much faster than one at a time.

        Everything is as in `run`, but `interventions` and `edit` may also be a list, with those of each document in its place:

            model.run_many([text] * 8, interventions=[[ms.ablate(layer=3, experts=[e])] for e in range(8)])

        texts: any iterable; documents are read as they are needed.
        to: where what is captured goes, so that no more than a batch of it is in memory: a folder, which gets `000000.npz` and so
            on (see `Run.save`), or a function that is called with each `Run` and keeps copies of what it needs. Without it, all
            runs are in memory at the end.
        groups: what interventions with `groups=` compare with, one for each document.
        batch_tokens: tokens that are computed together.
        progress: whether to show a bar (tqdm's where it is installed).

        Gives the runs; with `to`, the files' paths, or what the function returned.
        """
        runs = self.runs(
            texts, capture=capture, layers=layers, heads=heads, interventions=interventions, edit=edit, groups=groups,
            logprobs=logprobs, batch_tokens=batch_tokens, progress=progress,
        )  # fmt: skip
        if to is None:
            return list(runs)
        if not isinstance(to, str | PathLike):
            return [to(run) for run in runs]
        if format not in ("npz", "safetensors"):
            raise ValueError(f"format: expected npz or safetensors, found {format!r}")
        folder = Path(to)
        folder.mkdir(parents=True, exist_ok=True)
        return [run.save(folder / f"{run.number:06}.{format}") for run in runs]

    def runs(
        self,
        texts: Iterable[str | Tokens],
        *,
        capture: Sequence[str] | str = (),
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        interventions: Interventions = (),
        edit: Edits | None = None,
        groups: Iterable[str] | None = None,
        logprobs: bool = True,
        batch_tokens: int = BATCH_TOKENS,
        progress: bool = False,
    ) -> Iterator[Run]:
        """As `run_many`, one `Run` after the other: no more than one batch is in memory, unless what is yielded is kept.

            for run in model.runs(texts, capture="blocks.3.resid_post"):
                means.append(run["blocks.3.resid_post"].mean(0))

        A run's arrays are views of its batch's: keep a copy of what you need, and the batch is freed.
        """
        if isinstance(texts, str | bytes):
            raise TypeError(f"texts: expected a list of texts, found one {type(texts).__name__}; use run")
        capture = _arguments.names(capture, "capture")
        layers = None if layers is None else _arguments.integers(layers, "layers")
        heads = None if heads is None else _arguments.integers(heads, "heads")
        if _arguments.integer(batch_tokens, "batch_tokens") < 1:
            raise ValueError(f"batch_tokens: expected at least 1, found {batch_tokens}")
        shared, each = split_interventions(interventions)
        edits, own = split_edits(edit)
        groups = None if groups is None else _arguments.names(groups, "groups")
        count = len(texts) if isinstance(texts, Sized) else None
        for name, values in (("groups", groups), ("interventions", each), ("edit", own)):
            if count is not None and isinstance(values, Sized) and len(values) != count:
                raise ValueError(f"{name}: expected one per document ({count}), found {len(values)}")

        def run(batch: list[Document]) -> list[Run]:
            changes, names = scoped(batch, shared)
            result = self._native.run(
                [document.tokens for document in batch], names, batch[0].number, capture, layers, heads, changes,
                callbacks(batch, edits), logprobs,
            )  # fmt: skip
            return split(self, batch, result)

        documents = described(map(self._tokens, texts), groups, own, each)
        if isinstance(texts, Sequence) and all(not isinstance(values, Iterator) for values in (groups, own)):
            # What can be looked at beforehand is checked before anything is computed.
            documents = iter(list(documents))

        def every() -> Iterator[Run]:
            with ExitStack() as stack:
                show = display("running", "documents") if progress else None
                if show is not None:
                    stack.callback(show.end)
                    show(0, count)
                for batch in batches(documents, batch_tokens):
                    yield from run(batch)
                    if show is not None:
                        show(batch[-1].number + 1, count)

        return every()

    def _tokens(self, text: str | Tokens) -> list[int]:
        tokens = self.encode(text) if isinstance(text, str) else _arguments.token_ids(text)
        if not tokens:
            raise ValueError("a document needs at least one token")
        return tokens

    def generate(
        self,
        prompt: str | Tokens,
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        capture: Sequence[str] | str = (),
        layers: Sequence[int] | None = None,
        interventions: Sequence[Intervention] | Intervention = (),
        edit: Mapping[str, Edit] | None = None,
        stop_at_eos: bool = True,
        cache: Cache | None = None,
    ) -> Generation:
        """Continues a text, one `Step` per token; `.text` of what is returned is all of it, as one str.

        Temperature 0 takes the most probable token each time. A model without a tokenizer continues ids; its steps have no text.

        It ends after a token that ends a text (`stop_at_eos`): those of generation_config.json, config.json and the tokenizer.
        `cache` is how keys and values of earlier tokens are kept; by default f32 where the model is exact, otherwise f16.
        """
        if not temperature >= 0:
            raise ValueError(f"temperature: expected 0 or more, found {temperature}")
        tokens = self._tokens(prompt)
        if _arguments.integer(max_tokens, "max_tokens") < 0:
            raise ValueError(f"max_tokens: expected 0 or more, found {max_tokens}")
        layers = None if layers is None else _arguments.integers(layers, "layers")
        capture = _arguments.names(capture, "capture")
        points = [point for name in capture for point in _moescope.hook_points(name, self._native)]
        points = [point for point in points if layers is None or layer_of(point) is None or layer_of(point) in layers]
        edits = callbacks([Document(0, tokens, "", {}, ())], edit or {})
        changes = to_json(interventions)
        session = _moescope.session(self._native, cache)

        def read(tokens: list[int]) -> dict[str, Any]:
            return session.append(tokens, points, None, changes, edits)

        ends = frozenset(self._facts["ends"]) if stop_at_eos else frozenset()
        decode = self.decode if self._facts.get("tokenizer") else lambda _: ""
        written = steps(tokens, read, decode, points, temperature=temperature, seed=seed, ends=ends)
        return Generation(tokens, islice(written, max_tokens))

    def chat(
        self,
        messages: str | Sequence[Mapping[str, str]],
        *,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        capture: Sequence[str] | str = (),
        layers: Sequence[int] | None = None,
        interventions: Sequence[Intervention] | Intervention = (),
        edit: Mapping[str, Edit] | None = None,
        stop_at_eos: bool = True,
        cache: Cache | None = None,
    ) -> Generation:
        """Answers a conversation, in the format of the model's own template; everything else is as in `generate`.

            model.chat([{"role": "system", "content": "Antworte kurz."}, {"role": "user", "content": "Was ist Rauch?"}]).text

        messages: in order, each with "role" ("system", "user" or "assistant") and "content"; or what the user says, as a text.
            Content never becomes a control token, whatever it spells.

        Templates are rendered by jinja2 in a process of its own. Raises ValueError where the template refuses the conversation, or
        the model has none and is not of Mixtral's kind.
        """
        return self.generate(
            self.chat_tokens(messages), max_tokens=max_tokens, temperature=temperature, seed=seed, capture=capture,
            layers=layers, interventions=interventions, edit=edit, stop_at_eos=stop_at_eos, cache=cache,
        )  # fmt: skip

    def chat_tokens(self, messages: str | Sequence[Mapping[str, str]]) -> list[int]:
        """Token ids of a conversation, up to where the model is to answer."""
        return self._native.chat(conversation(messages), sys.executable)

    @cached_property
    def weights(self) -> Weights:
        """The model's weights, as arrays when they are asked for."""
        return Weights(self._native)

    @cached_property
    def points(self) -> Points:
        """Names of hook points, for tab completion: `model.points.router_logits`, `model.points.blocks[3].attn.pattern`."""
        return Points(str(row["name"]) for row in hooks()).of(self.config.layers)

    def final_norm(self, residual: Any) -> Floats:
        """The last norm, [..., D], of rows of the residual stream [..., D]."""
        return last_step(self._native, residual, self.config.hidden_size, logits=False)

    def unembed(self, residual: Any) -> Floats:
        """The logits, [..., V], that the model would give if it stopped at these rows of the residual stream, [..., D]: its last
        norm, output matrix and whatever its family does to logits. The logit lens.

        Takes rows × V × 4 bytes: a document at a time, for a large vocabulary.
        """
        return last_step(self._native, residual, self.config.hidden_size, logits=True)
