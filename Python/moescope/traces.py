"""Traces: what a model did over a corpus, on disk.

N rows in all documents · L captured layers · E experts · K slots · H heads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moescope import _arguments, _moescope, notebook
from moescope.corpora import Corpus, source
from moescope.interventions import Intervention, to_json
from moescope.model import Model
from moescope.progress import display
from moescope.tables import Table, table

Progress = Callable[[int, int, int, int], object]


class Trace:
    """A trace, opened for reading. Arrays are read when asked for, layer by layer.

    Files: `manifest.json`, `documents.jsonl`, `vocabulary.json`, `shards/*.safetensors`; everything can be read without MoEScope
    too. The manifest has the SHA-256 of every file and, with 64 zeros in its place, of itself (`manifest_sha256`).
    """

    def __init__(self, native: _moescope.Trace, path: Path) -> None:
        self._native = native
        self.path = path
        #: manifest.json: model, tokenizer, capture, interventions, compute, corpus, shards.
        self.manifest: dict[str, Any] = json.loads(native.manifest)

    @property
    def layers(self) -> list[int]:
        """Captured layers that have a router, rising."""
        routed = self.manifest["model"].get("moe_layers")
        return [layer for layer in self.attention_layers if routed is None or layer in routed]

    @property
    def attention_layers(self) -> list[int]:
        """All captured layers, rising."""
        return [int(layer) for layer in self.manifest["capture"]["layers"]]

    @property
    def is_complete(self) -> bool:
        return bool(self.manifest["status"] == "complete")

    @cached_property
    def documents(self) -> Table:
        """One row per document: index, id, group, tokens, truncated, shard, first_row, parallel_id, cluster, text_sha256;
        None where the corpus gave no parallel_id or cluster."""
        rows = json.loads(self._native.documents)
        names = ("index", "id", "group", "tokens", "truncated", "shard", "first_row", "parallel_id", "cluster", "text_sha256")
        return table({name: [row.get(name) for row in rows] for name in names}, "documents")

    @property
    def groups(self) -> list[str]:
        """Names of the groups, sorted."""
        return sorted(set(self.documents["group"]))

    @cached_property
    def document(self) -> NDArray[np.int32]:
        """[N] the row's document, an index into `documents`."""
        return np.asarray(self._native.rows("document"))

    @cached_property
    def position(self) -> NDArray[np.int32]:
        """[N] position in the document, from 0."""
        return np.asarray(self._native.rows("position"))

    @cached_property
    def tokens(self) -> NDArray[np.int32]:
        """[N] token ids."""
        return np.asarray(self._native.rows("token"))

    @cached_property
    def logprob(self) -> NDArray[np.float32]:
        """[N] natural log of p(token | the tokens before it); NaN in a document's first row."""
        return np.asarray(self._native.rows("logprob"))

    @cached_property
    def group(self) -> NDArray[np.str_]:
        """[N] the group of the row's document."""
        return np.array(self.documents["group"], dtype=np.str_)[self.document]

    def router_logits(self, layer: int) -> NDArray[np.float32]:
        """[N, E] before softmax."""
        return np.asarray(self._native.layer("router_logits", layer))

    def expert_indices(self, layer: int) -> NDArray[np.uint16]:
        """[N, K] by falling weight; E or more means that a slot was not used."""
        return np.asarray(self._native.layer("expert_indices", layer))

    def expert_weights(self, layer: int) -> NDArray[np.float32]:
        """[N, K] as the model applied them."""
        return np.asarray(self._native.layer("expert_weights", layer))

    @cached_property
    def predicted(self) -> NDArray[np.int32]:
        """[N] most probable next token of every row; -1 in a document's last row. Needs capture=["predicted"]."""
        return np.asarray(self._native.rows("predicted"))

    def expert_guesses(self, ahead: int, layer: int) -> NDArray[np.uint16]:
        """[N, K] experts that the router of `layer` would choose for the residual stream `ahead` layers before. Needs
        capture=["speculative"]."""
        return np.asarray(self._native.layer(f"expert_guesses_{ahead}", layer))

    def attention(self, statistic: str, layer: int) -> NDArray[np.float32]:
        """[H, N] of "entropy" (nats), "first", "previous", "distance" (tokens) or "max"."""
        name = statistic if statistic.startswith("attention_") else f"attention_{statistic}"
        return np.asarray(self._native.layer(name, layer))

    def pattern(self, document: int, layer: int, head: int) -> NDArray[np.float32]:
        """[t, t] the attention of one head over one document; rows are queries."""
        pattern = self._native.pattern(document, layer, head)
        if pattern is None:
            raise KeyError(f"document {document}, layer {layer}, head {head}: this pattern was not captured")
        return np.asarray(pattern)

    @property
    def patterns(self) -> list[tuple[int, int, int]]:
        """(document, layer, head) of every captured pattern."""
        return self._native.patterns()

    def load(self) -> Table:
        """Assignments of every layer, group and expert: layer, group, expert, assignments, first_choices."""
        return Table(self._native.load())

    def to_arrow(
        self,
        table: str = "routing",
        *,
        groups: Sequence[str] | None = None,
        documents: Sequence[int] | None = None,
        logits: bool = False,
    ) -> ArrowStream:
        """A table as a stream of Arrow batches, in bounded memory: for `pyarrow.RecordBatchReader.from_stream`, Polars, DuckDB.

        table: "tokens" (document, position, group, token, text, logprob) or "routing" (document, position, group, layer, experts, weights; logits
            where they are asked for).
        groups, documents: only these groups' documents, or documents of these indices.
        """
        if logits and not self.manifest["capture"].get("router_logits"):
            raise ValueError(f"logits: the trace {self.path} has no router logits")
        return self._stream(table, self._chosen(groups, documents), group=True, logits=logits)

    def _chosen(self, groups: Sequence[str] | None, documents: Sequence[int] | None) -> list[int] | None:
        """Indices, rising; None: all."""
        chosen = None if documents is None else sorted(set(_arguments.integers(documents, "documents")))
        if groups is None:
            return chosen
        wanted = set(_arguments.names(groups, "groups"))
        for name in wanted.difference(self.groups):
            raise ValueError(f"groups: the trace has no group {name!r}; it has {', '.join(self.groups)}")
        names = self.documents["group"]
        return [index for index in (range(len(self)) if chosen is None else chosen) if names[index] in wanted]

    def _stream(self, table: str, documents: Sequence[int] | None, *, group: bool, logits: bool) -> ArrowStream:
        if table not in ("tokens", "routing"):
            raise ValueError(f"table: expected 'tokens' or 'routing', found {table!r}")
        request = {"table": table, "documents": documents, "group": group, "logits": logits}
        return ArrowStream(self._native, json.dumps(request))

    def subset(
        self,
        *,
        output: str | PathLike[str],
        groups: Sequence[str] | None = None,
        documents: Sequence[int] | None = None,
    ) -> Trace:
        """Some documents as a trace of their own: of these groups, or of these indices, or both."""
        chosen = self._chosen(groups, documents)
        _moescope.subset(self._native, list(range(len(self))) if chosen is None else chosen, fspath(output))
        return open_trace(output)

    def nll_by_document(self) -> NDArray[np.float64]:
        """[documents] mean negative log-probability in nats, without each document's first row."""
        known = ~np.isnan(self.logprob)
        count = len(self.documents)
        total = np.bincount(self.document[known], weights=-self.logprob[known].astype(np.float64), minlength=count)
        with np.errstate(invalid="ignore"):
            return np.asarray(total / np.bincount(self.document[known], minlength=count))

    def __reduce__(self) -> tuple[Any, ...]:
        return open_trace, (self.path,)

    def _repr_html_(self) -> str:
        model, capture = self.manifest["model"], self.manifest["capture"]
        counts: dict[str, int] = {}
        for group in self.documents["group"]:
            counts[group] = counts.get(group, 0) + 1
        kept = [name for name in ("router_logits", "attention_summary", "predicted") if capture.get(name)]
        return notebook.facts(
            f"Trace {self.path}",
            {
                "model": f"{model['name']}: {model['layers']} layers, {model['experts']} experts, {model['experts_per_token']} per token",
                "documents": len(self),
                "groups": ", ".join(f"{group} {count:,}" for group, count in sorted(counts.items()) if group) or "none",
                "tokens": sum(shard["tokens"] for shard in self.manifest["shards"]),
                "recorded": ", ".join(
                    [
                        *(name for name in ("expert_indices", "expert_weights", "logprob") if name not in capture.get("absent", [])),
                        *kept,
                    ]
                ),
                "layers": ", ".join(map(str, self.layers)),
                "status": self.manifest["status"],
            },
        )

    def __len__(self) -> int:
        """Number of documents."""
        return len(self.documents)

    def __repr__(self) -> str:
        model = self.manifest["model"]["name"]
        tokens = sum(shard["tokens"] for shard in self.manifest["shards"])
        return (
            f"<Trace {self.path}: {model} over {self.manifest['corpus']['source']}, {len(self)} documents, "
            f"{tokens} tokens, {len(self.layers)} layers, {self.manifest['status']}>"
        )


class ArrowStream:
    """A table of a trace that speaks Arrow's PyCapsule interface; every reader starts at the beginning."""

    def __init__(self, native: _moescope.Trace, request: str) -> None:
        self._native = native
        self._request = request

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._native.stream(self._request)


def open_trace(path: str | PathLike[str]) -> Trace:
    """Opens a trace's folder. Raises FileNotFoundError, or TraceError naming file and field."""
    return Trace(_moescope.open_trace(fspath(path)), Path(path))


def merge(traces: Sequence[Trace | str | PathLike[str]], *, output: str | PathLike[str]) -> Trace:
    """Joins complete traces of the same model, tokenizer, capture and precision, one after the other.

    Raises TraceError naming the field in which two of them differ, or the document that is in two of them.
    """
    paths = [fspath(one.path if isinstance(one, Trace) else one) for one in traces]
    _moescope.merge(paths, fspath(output), None, None)
    return open_trace(output)


def trace(
    model: Model,
    corpus: Corpus,
    *,
    output: str | PathLike[str],
    capture: Sequence[str] | str = ("router_logits",),
    layers: Sequence[int] | None = None,
    interventions: Sequence[Intervention] | Intervention = (),
    text: str | None = None,
    group: str | None = None,
    id: str | None = None,
    max_tokens: int | None = None,
    wave_tokens: int | None = None,
    resume: bool = False,
    progress: bool | Progress = False,
) -> Trace:
    """Runs a model over a corpus and records how it routes every token.

    corpus: a `.jsonl` file or a folder of `.txt` files, as for `moescope trace`; texts; mappings with "text" or "tokens" and
        optionally "id", "group", "parallel_id" (the same text in another group) and "cluster" (source, manual, author:
        documents of one cluster are not independent), in any iterable; a mapping of such columns; a pandas, Polars or
        pyarrow table; a split of Hugging Face `datasets`. Documents of an iterable are tokenized as they come: their texts are
        not kept, only their tokens (4 bytes each), since a trace names the hash of all of them before the first is run.
    text, group, id: the columns that hold them, where they have other names.
    output: the trace's folder, made here.
    capture: "router_logits" or "router_logits_f16", "attention_summary", "predicted" (the most probable next token of
        every row), "speculative" (experts guessed 1, 2 and 10 layers ahead), "attention_pattern:LAYER.HEAD" (`*` for
        every layer or head, `attention_pattern:*` for all). Chosen experts, their weights and log-probabilities are always recorded.
    layers: record only these.
    max_tokens: cut documents to this many tokens.
    wave_tokens: tokens computed together.
    resume: go on with an interrupted trace. Ctrl-C leaves one that can be resumed.
    progress: True for a bar (tqdm's where it is installed), or a callable(documents, all documents, tokens, all tokens).
    """
    options: dict[str, Any] = _capture(capture, model)
    options |= {
        "layers": None if layers is None else _arguments.integers(layers, "layers"),
        "max_tokens": max_tokens,
        "wave_tokens": wave_tokens,
        "interventions": json.loads(to_json(interventions)),
        "resume": resume,
    }
    path, documents = source(model, corpus, text=text, group=group, id=id, max_tokens=max_tokens)
    shown = display("tracing", "tokens") if progress is True else None

    def show(documents: int, all_documents: int, tokens: int, all_tokens: int) -> None:
        if shown is not None:
            shown(tokens, all_tokens, f"{documents:,} of {all_documents:,} documents")

    try:
        _moescope.trace(
            model._native, path, documents, fspath(output), json.dumps(options), show if progress is True else progress or None
        )
    finally:
        if shown is not None:
            shown.end()
    return open_trace(output)


def _capture(names: Sequence[str] | str, model: Model) -> dict[str, Any]:
    wanted: dict[str, Any] = {"router_logits": None, "attention_summary": False, "attention_pattern": []}
    wanted |= {"predicted": False, "speculative": False}
    for name in _arguments.names(names, "capture"):
        if name in ("router_logits", "router_logits_f16"):
            wanted["router_logits"] = "f16" if name.endswith("f16") else "f32"
        elif name in ("attention_summary", "attn.summary"):
            wanted["attention_summary"] = True
        elif name in ("predicted", "speculative"):
            wanted[name] = True
        elif name.startswith("attention_pattern:"):
            wanted["attention_pattern"] += _patterns(name, model)
        elif name not in ("expert_indices", "expert_weights", "logprob"):
            raise ValueError(
                f"capture: a trace cannot hold {name!r}; it takes router_logits, router_logits_f16, attention_summary, predicted, "
                "speculative, attention_pattern:LAYER.HEAD (model.run captures any hook point)"
            )
    return wanted


def _patterns(name: str, model: Model) -> list[list[int]]:
    layer, dot, head = name.partition(":")[2].partition(".")
    if layer == "*" and not dot:
        head = "*"
    try:
        layers = range(model.config.layers) if layer == "*" else [int(layer)]
        heads = range(model.config.heads) if head == "*" else [int(head)]
    except ValueError:
        raise ValueError(f"capture: expected attention_pattern:LAYER.HEAD, found {name!r}") from None
    return [[one_layer, one_head] for one_layer in layers for one_head in heads]
