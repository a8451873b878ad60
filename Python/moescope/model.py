"""Models: loading, running, changing, generating.

T tokens of a document · L layers · E experts · K experts per token · D hidden size · H query heads · V vocabulary.
"""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from moescope import _arguments, _moescope, notebook
from moescope.interventions import Intervention, to_json
from moescope.tables import Table

Precision = Literal["exact", "precise", "fast"]
Tokens = Sequence[SupportsIndex] | NDArray[np.integer[Any]]
Value = NDArray[Any]
Edit = Callable[[Any], Any] | Callable[[Any, "Hook"], Any]

#: Hook sites whose value is one array per document, not rows of the whole batch.
_PER_DOCUMENT: Final = ("attn.scores", "attn.pattern")
#: Rows of one wave of `Model.run_many`.
_WAVE_ROWS: Final = 8192


@dataclass(frozen=True)
class Hook:
    """Where an edit is called."""

    #: The point's name: `blocks.2.resid_post`.
    name: str
    #: From 0; None outside the layers.
    layer: int | None
    #: At attention scores and patterns, the number of the document in the batch; None elsewhere.
    document: int | None


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


class Run:
    """What one document's run gave. `run[name]` is the value at a captured hook point, over the engine's memory."""

    def __init__(
        self,
        model: Model,
        tokens: NDArray[np.int32],
        logprob: NDArray[np.float32],
        expert_indices: NDArray[np.int32],
        expert_weights: NDArray[np.float32],
        captured: Mapping[str, Value],
    ) -> None:
        self._model = model
        #: [T] token ids, BOS included.
        self.tokens = tokens
        #: [T] natural log of p(token | the tokens before it); NaN in the first row. Empty with `logprobs=False`.
        self.logprob = logprob
        #: [L, T, K] chosen experts, by falling weight.
        self.expert_indices = expert_indices
        #: [L, T, K] mixing weights, as the model applies them.
        self.expert_weights = expert_weights
        self._captured = captured

    @property
    def names(self) -> list[str]:
        """Names of the captured points."""
        return sorted(self._captured, key=_natural)

    @property
    def pieces(self) -> list[str]:
        """[T] the tokens as the vocabulary writes them; `texts` is for readers."""
        return self._model.pieces(self.tokens)

    @property
    def texts(self) -> list[str]:
        """[T] the tokens as a person reads them: "␣der", "⏎"."""
        return self._model.texts(self.tokens)

    @property
    def expert_count(self) -> int:
        """E, experts in a layer."""
        return self._model.config.experts

    @property
    def nll(self) -> float:
        """Mean negative log-probability of the tokens after the first, in nats."""
        return float(-np.mean(self.logprob[1:])) if len(self.logprob) > 1 else float("nan")

    def __getitem__(self, name: str) -> Value:
        """The value at a point, under any of its names. A name without a layer gives all captured layers, stacked."""
        if name in self._captured:
            return self._captured[name]
        points = _moescope.hook_points(name, self._model._native)
        found = [self._captured[point] for point in points if point in self._captured]
        if not found:
            captured = ", ".join(self.names) or "nothing"
            raise KeyError(f"{name} was not captured; captured: {captured}")
        return found[0] if len(points) == 1 else np.stack(found)

    def __contains__(self, name: str) -> bool:
        return name in self._captured

    def _ipython_key_completions_(self) -> list[str]:
        return self.names

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Run holds its model and memory of the engine; keep the arrays that you need (np.save, np.savez)")

    def _repr_html_(self) -> str:
        return notebook.run(self)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        """Number of tokens, T."""
        return len(self.tokens)

    def __repr__(self) -> str:
        lines = [f"<Run of {len(self)} tokens through {self._model.name}: {self.nll:.3f} nats per token"]
        lines += [f"  {name:<32} {self._captured[name].dtype} {list(self._captured[name].shape)}" for name in self.names]
        return "\n".join(lines) + ">"


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
    """

    def __init__(self, steps: Iterator[Step]) -> None:
        self._steps = steps
        self._texts: list[str] = []

    def __next__(self) -> Step:
        step = next(self._steps)
        self._texts.append(step.text)
        return step

    @property
    def text(self) -> str:
        """All that is written after the prompt. What has not been asked for yet is generated now."""
        for _ in self:
            pass
        return "".join(self._texts)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Generation, {len(self._texts)} tokens so far: {''.join(self._texts)!r}>"


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
            another of the same shape; with a second parameter it also gets a `Hook` that says where it is.
        group: what interventions with `groups=` compare with.
        logprobs: False saves the product with the vocabulary.

        Raises ValueError with the nearest names for a hook point that does not exist, before any computation; TypeError
        for tokens that are no integers, and for an edit that returns something else than numbers.
        """
        return self.run_many(
            [text], capture=capture, layers=layers, heads=heads, interventions=interventions, edit=edit,
            groups=[group], logprobs=logprobs,
        )[0]  # fmt: skip

    def run_many(
        self,
        texts: Sequence[str | Tokens],
        *,
        capture: Sequence[str] | str = (),
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        interventions: Sequence[Intervention] | Intervention = (),
        edit: Mapping[str, Edit] | None = None,
        groups: Sequence[str] | None = None,
        logprobs: bool = True,
    ) -> list[Run]:
        """Runs many documents in large batches without padding: much faster than one at a time. See `run`.

        All that is captured of all documents is in memory at the end; `runs` gives them one by one.
        """
        return list(
            self.runs(
                texts, capture=capture, layers=layers, heads=heads, interventions=interventions, edit=edit, groups=groups,
                logprobs=logprobs,
            )
        )  # fmt: skip

    def runs(
        self,
        texts: Sequence[str | Tokens],
        *,
        capture: Sequence[str] | str = (),
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        interventions: Sequence[Intervention] | Intervention = (),
        edit: Mapping[str, Edit] | None = None,
        groups: Sequence[str] | None = None,
        logprobs: bool = True,
    ) -> Iterator[Run]:
        """As `run_many`, one `Run` after the other: no more than one batch is in memory, unless what is yielded is kept.

            for run in model.runs(texts, capture="blocks.3.resid_post"):
                np.save(f"{next(numbers)}.npy", run["blocks.3.resid_post"])

        A run's arrays are views of its batch's: keep a copy of what you need, and the batch is freed.
        """
        if isinstance(texts, str | bytes):
            raise TypeError(f"texts: expected a list of texts, found one {type(texts).__name__}; use run")
        capture = _arguments.names(capture, "capture")
        groups = None if groups is None else _arguments.names(groups, "groups")
        layers = None if layers is None else _arguments.integers(layers, "layers")
        heads = None if heads is None else _arguments.integers(heads, "heads")
        documents = [self._tokens(text) for text in texts]
        if groups is not None and len(groups) != len(documents):
            raise ValueError(f"groups: expected one per document ({len(documents)}), found {len(groups)}")
        edits = [(name, _adapter(function)) for name, function in (edit or {}).items()]
        described = to_json(interventions)

        def wave(numbers: range) -> list[Run]:
            batch = documents[numbers.start : numbers.stop]
            names = list(groups[numbers.start : numbers.stop]) if groups is not None else []
            return self._split(
                batch, self._native.run(batch, names, numbers.start, capture, layers, heads, described, edits, logprobs)
            )

        return (run for numbers in _waves([len(document) for document in documents]) for run in wave(numbers))

    def _tokens(self, text: str | Tokens) -> list[int]:
        tokens = self.encode(text) if isinstance(text, str) else _arguments.token_ids(text)
        if not tokens:
            raise ValueError("a document needs at least one token")
        return tokens

    def _split(self, batch: Sequence[Sequence[int]], result: Mapping[str, Any]) -> list[Run]:
        """Each document's rows of a batch's arrays: views, not copies."""
        logprob = np.asarray(result["logprob"])
        indices = np.asarray(result["expert_indices"])
        weights = np.asarray(result["expert_weights"])
        whole = {name: value for name, value in result.items() if name not in ("logprob", "expert_indices", "expert_weights")}
        arrays = {name: np.asarray(value) for name, value in whole.items() if not isinstance(value, list)}
        runs = []
        first = 0
        for number, tokens in enumerate(batch):
            rows = slice(first, first + len(tokens))
            first += len(tokens)
            captured = {
                name: array[:, :, rows] if name.endswith("attn.summary") else array[rows]
                for name, array in arrays.items()
            }
            captured |= {name: np.asarray(value[number]) for name, value in whole.items() if isinstance(value, list)}
            runs.append(
                Run(self, np.array(tokens, dtype=np.int32), logprob[rows], indices[:, rows], weights[:, rows], captured)
            )
        return runs

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
        cache: Literal["f32", "f16", "q8_0"] | None = None,
    ) -> Generation:
        """Continues a text, one `Step` per token; `.text` of what is returned is all of it, as one str.

        Temperature 0 takes the most probable token each time.

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
        random = np.random.default_rng(seed)
        points = [point for name in capture for point in _moescope.hook_points(name, self._native)]
        points = [point for point in points if layers is None or _layer(point) is None or _layer(point) in layers]
        edits = [(name, _adapter(function)) for name, function in (edit or {}).items()]
        described = to_json(interventions)
        session = _moescope.session(self._native, cache)

        def steps() -> Iterator[Step]:
            known, text, unread = tokens, self.decode(tokens), tokens
            ends = frozenset(self._facts["ends"])
            for _ in range(max_tokens):
                result = session.append(unread, points, None, described, edits)
                z = np.asarray(result["next_logits"]).astype(np.float64)
                log_p = z - z.max() - np.log(np.exp(z - z.max()).sum())
                if temperature == 0:
                    token = int(log_p.argmax())
                else:
                    p = np.exp((log_p - log_p.max()) / temperature)
                    token = int(random.choice(len(p), p=p / p.sum()))
                known, unread = [*known, token], [token]
                longer = self.decode(known)
                added = longer[len(text) :] if longer.startswith(text) else self.decode([token])
                text = longer
                captured = {point: _last_row(point, result[point]) for point in points}
                indices, weights = np.asarray(result["expert_indices"]), np.asarray(result["expert_weights"])
                yield Step(token, added, float(log_p[token]), indices[:, -1], weights[:, -1], captured)
                if stop_at_eos and token in ends:
                    return

        return Generation(steps())


@overload
def load(
    model: str, *, precision: Precision = ..., threads: int | None = ..., memory: int | str | None = ...
) -> Model: ...
@overload
def load(
    model: PathLike[str], *, precision: Precision = ..., threads: int | None = ..., memory: int | str | None = ...
) -> Model: ...
def load(
    model: str | PathLike[str],
    *,
    precision: Precision = "fast",
    threads: int | None = None,
    memory: int | str | None = None,
) -> Model:
    """Opens a model: a Hugging Face folder, a `.gguf` file, or `"polyglot"`, the built-in one.

    precision: "exact" computes in f32 throughout and is the reference. "precise" is nearly exact and fast, on processors with
        AMX only. "fast" rounds activations for the large products: to bf16 with AMX; elsewhere to int8 where weights are
        quantized, otherwise to bf16 (AVX-512) or to 16-bit integers with a scale per block (AVX2).
    threads: to compute with; by default all processors.
    memory: bytes, or text such as "12G", that the model may take with what runs on it. Weights of more than half of it
        are read from disk once per pass. By default three quarters of what is free.

    Raises FileNotFoundError, or CheckpointError naming file and tensor.
    """
    path = fspath(model)
    opened = Model(
        _moescope.load(_built_in(path) or path, precision, threads, None if memory is None else str(memory))
    )
    for notice in opened._facts["notices"]:
        warnings.warn(f"{opened.path}: {notice}", stacklevel=2)
    return opened


def hooks() -> Table:
    """Every hook point: name, shape, type, whether it can be edited, what it is."""
    return Table(_moescope.hooks())


def _built_in(name: str) -> str | None:
    """A built-in model that came with this package, or lies in its checkout; MOESCOPE_MODELS goes before both."""
    if name != "polyglot" or os.environ.get("MOESCOPE_MODELS"):
        return None
    package = Path(__file__).resolve().parent
    for folder in (package / "Models" / name, package.parents[1] / "Models" / name):
        if (folder / "config.json").exists():
            return str(folder)
    return None


def _adapter(function: Edit) -> Callable[[_moescope.Array, str, int | None], None]:
    """The engine's callback for a user's edit: what it returns, if anything, replaces the value."""
    takes_hook = _required_parameters(function) >= 2

    def edit(array: _moescope.Array, name: str, document: int | None) -> None:
        value = np.asarray(array)
        arguments = (value, Hook(name, _layer(name), document)) if takes_hook else (value,)
        changed = function(*arguments)
        if changed is not None and changed is not value:
            _arguments.edited(name, value, changed)

    return edit


def _required_parameters(function: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1  # built in C, without a signature
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(1 for p in parameters if p.kind in positional and p.default is inspect.Parameter.empty)


def _layer(point: str) -> int | None:
    parts = point.split(".")
    return int(parts[1]) if parts[0] == "blocks" else None


def _natural(name: str) -> tuple[int, str]:
    layer = _layer(name)
    return (-1 if layer is None else layer, name)


def _last_row(point: str, result: Any) -> Value:
    """The newest row of a captured value; of a pattern, the newest query's row of every head."""
    value = np.asarray(result[0] if isinstance(result, list) else result)
    if point.endswith("attn.summary"):
        return value[:, :, -1]
    return value[:, -1] if point.endswith(_PER_DOCUMENT) else value[-1]


def _waves(lengths: Sequence[int]) -> Iterator[range]:
    """Ranges of documents of at most `_WAVE_ROWS` tokens together, at least one document each."""
    first = 0
    for end in _moescope.waves(list(lengths), _WAVE_ROWS):
        yield range(first, end)
        first = end
