"""llama.cpp's `llama-moe-trace`.

CSV with the columns phase,token,layer,rank,expert: `token` is the position in the one sequence of the run, `rank` the place in the top K
(examples/moe-trace in Cartaz/llama.cpp-vulkan-moe, after ggml-org/llama.cpp pull request 28544). The pull request itself writes `layer,expert` only, in the order of evaluation;
which token a row belongs to cannot be told from it, and it is refused.

A file is a document. Token ids, weights and logits are not recorded; the order of experts is.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from moescope.cards import Card
from moescope.writing import Document, RecordError


def read(file: Path, card: Card) -> Iterator[Document]:
    layers = {layer: place for place, layer in enumerate(card.expert_layers)}
    K = card.experts_per_token
    rows: list[tuple[int, int, int, int]] = []
    prompt = 0
    with file.open(encoding="utf-8", newline="") as text:
        reader = csv.reader(text)
        header = next(reader, [])
        wanted = ["token", "layer", "rank", "expert"]
        missing = [name for name in wanted if name not in header]
        if missing:
            raise RecordError(
                f"{file}: expected the columns phase,token,layer,rank,expert, found {','.join(header) or 'nothing'}: "
                f"{missing[0]} is missing"
            )
        places = [header.index(name) for name in wanted]
        phase = header.index("phase") if "phase" in header else None
        for line in reader:
            place = f"{file}, line {reader.line_num}"
            try:
                token, layer, rank, expert = (int(line[column]) for column in places)
            except (ValueError, IndexError):
                raise RecordError(f"{place}: expected five fields, four of them integers, found {','.join(line)}") from None
            if layer not in layers or not 0 <= rank < K or token < 0:
                raise RecordError(
                    f"{place}: expected a layer with experts of the card {card.path} and a rank from 0 to {K - 1}, "
                    f"found layer {layer}, rank {rank}"
                )
            if not 0 <= expert < card.experts:
                raise RecordError(f"{place}: expected an expert from 0 to {card.experts - 1}, found {expert}")
            rows.append((token, layers[layer], rank, expert))
            if phase is not None and line[phase] == "prefill":
                prompt = max(prompt, token + 1)
    if not rows:
        raise RecordError(f"{file}: the record holds no row")
    table = np.array(rows, dtype=np.int64)
    n = int(table[:, 0].max()) + 1
    if n > len(rows):
        raise RecordError(f"{file}: token {n - 1}: expected every token before it too")
    experts = np.full((n, len(layers), K), -1, dtype=np.int32)
    experts[table[:, 0], table[:, 1], table[:, 2]] = table[:, 3]
    if (experts < 0).any() or len(rows) != experts.size:
        token, layer, rank = (int(number) for number in np.argwhere(experts < 0)[0]) if (experts < 0).any() else (0, 0, 0)
        problem = (
            f"token {token}, layer {card.expert_layers[layer]}, rank {rank} is missing"
            if (experts < 0).any()
            else "a row is there twice"
        )
        raise RecordError(f"{file}: expected {experts.size} rows, one for each token, layer and rank, found {len(rows)}: {problem}")
    fields = {"prompt_tokens": prompt} if phase is not None else {}
    yield Document(id=file.stem, experts=experts, place=str(file), ordered=True, fields=fields)
