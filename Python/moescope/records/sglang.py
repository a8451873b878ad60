"""SGLang's expert distribution recorder, mode `per_token`.

Files are `torch.save` of {"records": [...], "last_physical_to_logical_map"}; a record is one forward pass with `input_ids`, `positions`,
`extend_seq_lens`, `forward_mode` (1: extend, 2: decode) and `topk_ids_of_layer` [layers, tokens, K], −1 where a layer has no router
(sgl-project/sglang, python/sglang/srt/eplb/expert_distribution.py: `_DetailSinglePassGatherer`, `_DetailAccumulator`).

Requests have no name in these files. Every sequence of an extend pass is a document; the single tokens of decode passes follow no
document that the file names, and each pass is a document of its own. Weights are not recorded. `topk_ids_of_layer` holds physical experts; with the map in
the file they become logical ones, where the two differ.

The modes `stat`, `stat_approx` and `per_pass` hold counts of passes and no tokens: no trace can be made of them, only tables of load (`counts`).
`stat`: {"rank", "logical_count" [passes, layers, experts], …}, summed over ranks by the recorder (`_StatAccumulator.dump`). `per_pass`: records with
`global_physical_count` [layers, physical experts] of one rank each (`_DetailAccumulator`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from moescope.cards import Card
from moescope.records import torch_files
from moescope.records.reading import in_layers
from moescope.writing import Document, RecordError

_EXTEND: Final = 1


def read(file: Path, card: Card) -> Iterator[Document]:
    content = _content(file)
    records = content.get("records")
    if "logical_count" in content or isinstance(records, list) and records and "topk_ids_of_layer" not in records[0]:
        raise RecordError(
            f"{file}: the record holds counts of passes, and no tokens; expected one of the mode per_token "
            "(--expert-distribution-recorder-mode per_token); `moescope import --load-only` makes tables of the load of these counts"
        )
    if not isinstance(records, list):
        raise RecordError(f"{file}: expected records, found {', '.join(map(str, content)) or 'nothing'}")
    places = _logical(content.get("last_physical_to_logical_map"), card, file)
    for number, record in enumerate(records):
        place = f"{file}, record {number}"
        name = f"{file.stem}-{record.get('rank', 0)}-{record.get('forward_pass_id', number)}"
        yield from _documents(record, name, place, card, places)


def counts(file: Path, card: Card) -> tuple[NDArray[np.int64], int]:
    """Assignments [layers with experts, experts], summed over all passes of a file in any mode; and how many passes they are."""
    content = _content(file)
    if "logical_count" in content:
        logical = _whole(content["logical_count"], f"{file}: logical_count", ("passes", card.layers, card.experts))
        # A buffer that is not full yet holds empty passes.
        return logical.sum(axis=0)[card.expert_layers], int(logical.any(axis=(1, 2)).sum())
    records = content.get("records")
    if not isinstance(records, list) or not records:
        raise RecordError(f"{file}: expected logical_count or records, found {', '.join(map(str, content)) or 'nothing'}")
    places = _logical(content.get("last_physical_to_logical_map"), card, file)
    width = card.experts if places is None else places.shape[1]
    total = np.zeros((card.layers, card.experts), dtype=np.int64)
    passes = set()
    for number, record in enumerate(records):
        place = f"{file}, record {number}: global_physical_count"
        if not isinstance(record, dict) or "global_physical_count" not in record:
            raise RecordError(f"{place}: expected it, found none")
        physical = _whole(record["global_physical_count"], place, (card.layers, width))
        if places is None:
            total += physical
        else:
            for layer in range(card.layers):
                np.add.at(total[layer], places[layer], physical[layer])
        passes.add(record.get("forward_pass_id", number))
    return total[card.expert_layers], len(passes)


def _content(file: Path) -> dict[Any, Any]:
    content = torch_files.load(file)
    if not isinstance(content, dict):
        raise RecordError(f"{file}: expected a recorder's dictionary, found {type(content).__name__}")
    return content


def _whole(given: Any, place: str, shape: tuple[Any, ...]) -> NDArray[np.int64]:
    """Counts of a shape whose first length may be any."""
    found = np.asarray(given)
    fits = found.ndim == len(shape) and all(isinstance(want, str) or want == have for want, have in zip(shape, found.shape, strict=True))
    if not fits or found.dtype.kind not in "iu" or (found < 0).any():
        raise RecordError(f"{place}: expected counts [{', '.join(map(str, shape))}], found {found.dtype} {list(found.shape)}")
    return found.astype(np.int64)


def _logical(given: Any, card: Card, file: Path) -> Any:
    """[layers, physical experts] → logical ones; None where they are the same."""
    if given is None:
        return None
    places = np.asarray(given)
    if places.ndim != 2 or places.shape[0] != card.layers:
        raise RecordError(
            f"{file}: last_physical_to_logical_map: expected [{card.layers}, physical experts], as the card {card.path} says, "
            f"found {list(places.shape)}"
        )
    if places.dtype.kind not in "iu" or (places < 0).any() or (places >= card.experts).any():
        raise RecordError(f"{file}: last_physical_to_logical_map: expected experts from 0 to {card.experts - 1}")
    same = places.shape[1] == card.experts and (places == np.arange(card.experts)).all()
    return None if same else places


def _documents(record: Any, name: str, place: str, card: Card, places: Any) -> Iterator[Document]:
    if not isinstance(record, dict) or "topk_ids_of_layer" not in record:
        raise RecordError(f"{place}: expected topk_ids_of_layer, found none")
    ids = np.asarray(record["topk_ids_of_layer"])
    token = np.asarray(record.get("input_ids", []))
    if ids.ndim != 3 or ids.shape[0] != card.layers or len(token) != ids.shape[1]:
        raise RecordError(
            f"{place}: topk_ids_of_layer: expected [{card.layers} layers, {len(token)} tokens, {card.experts_per_token}], "
            f"found {list(ids.shape)}"
        )
    if not ids.shape[1]:
        return
    # The recorder has room for eight experts, whatever the model's K; those past it are −1.
    experts = in_layers(ids.transpose(1, 0, 2), card, place, "topk_ids_of_layer")
    if experts.shape[2] > card.experts_per_token and (experts[:, :, card.experts_per_token :] < 0).all():
        experts = experts[:, :, : card.experts_per_token]
    if places is not None:
        outside = (experts < 0) | (experts >= places.shape[1])
        if outside.any():
            raise RecordError(
                f"{place}: expected a physical expert from 0 to {places.shape[1] - 1}, found {int(experts[outside][0])}"
            )
        experts = np.stack(
            [places[layer][experts[:, row]] for row, layer in enumerate(card.expert_layers)], axis=1
        )
    lengths = record.get("extend_seq_lens")
    if record.get("forward_mode") != _EXTEND or not lengths or sum(lengths) != len(token):
        yield Document(id=name, experts=experts, place=place, token=token)
        return
    start = 0
    for number, length in enumerate(lengths):
        if length:
            rows = slice(start, start + length)
            yield Document(id=f"{name}/{number}", experts=experts[rows], place=place, token=token[rows])
        start += length
