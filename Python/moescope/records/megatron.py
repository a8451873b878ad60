"""Megatron's router tracer.

router_trace_rank{r}.jsonl has one line for each step, block and layer: {"step", "block", "layer", "rank", "num_tokens", "topk",
"top_indices": [[…], …]}; with logits captured, logits_rank{r}.bin beside it holds them as bfloat16 and lines have `logit_offset`, `logit_bytes`
and `logit_shape` (NVIDIA/Megatron-LM, megatron/core/transformer/moe/router_trace.py).

The tracer does not say which tokens of a step belong to which sequence: a step of a rank is a document. Lines of multi-token prediction (block
"mtp") are left out. Token ids and weights are not recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moescope.cards import Card
from moescope.records.reading import array, json_lines
from moescope.writing import Document, RecordError


def read(file: Path, card: Card) -> Iterator[Document]:
    step: tuple[Any, Any] | None = None
    found: dict[int, tuple[str, dict[str, Any]]] = {}
    for place, line in json_lines(file):
        if line.get("block", "decoder") != "decoder":
            continue
        for name in ("step", "layer", "top_indices"):
            if name not in line:
                raise RecordError(f"{place}: expected {name}, found {', '.join(sorted(line)) or 'nothing'}")
        own = (line.get("rank", 0), line["step"])
        if step is not None and own != step:
            yield _document(file, step, found, card)
            found = {}
        step = own
        if line["layer"] not in card.expert_layers:
            raise RecordError(
                f"{place}: layer {line['layer']}: expected a layer with experts, as the card {card.path} says: {card.expert_layers}"
            )
        if line["layer"] in found:
            raise RecordError(f"{place}: layer {line['layer']} is there twice in step {line['step']}")
        found[line["layer"]] = place, line
    if step is not None:
        yield _document(file, step, found, card)


def _document(file: Path, step: tuple[Any, Any], found: dict[int, tuple[str, dict[str, Any]]], card: Card) -> Document:
    name = f"rank{step[0]}-step{step[1]}"
    missing = [layer for layer in card.expert_layers if layer not in found]
    if missing:
        raise RecordError(f"{file}: step {step[1]}: layer {missing[0]} is missing")
    parts = [array(line["top_indices"], place, "top_indices", dimensions=2) for place, line in (found[n] for n in card.expert_layers)]
    place = found[card.expert_layers[0]][0]
    shapes = {part.shape for part in parts}
    if len(shapes) > 1:
        raise RecordError(f"{place}: step {step[1]}: the layers differ in shape: {sorted(shapes)}")
    logits = None
    if all("logit_offset" in line for _, line in found.values()):
        logits = np.stack([_logits(file, *found[layer]) for layer in card.expert_layers], axis=1)
    return Document(id=name, experts=np.stack(parts, axis=1), place=place, logits=logits)


def _logits(file: Path, place: str, line: dict[str, Any]) -> NDArray[np.float32]:
    """[n, E] of one layer, widened from bfloat16."""
    beside = file.parent / f"logits_rank{line.get('rank', 0)}.bin"
    try:
        with beside.open("rb") as data:
            data.seek(int(line["logit_offset"]))
            values = np.frombuffer(data.read(int(line["logit_bytes"])), dtype="<u2")
        return (values.astype(np.uint32) << 16).view(np.float32).reshape(line["logit_shape"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{place}: logits in {beside}: {error}") from None
