"""What llama.cpp's converter keeps of each checkpoint, as a folder: the folder with what gets lost taken out. transformers on that
folder is the reference for the converter's file; each change here is a difference between the file and the checkpoint.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentencepiece

Settings = dict[str, Any]


def change(file: Path, edit: Callable[[Settings], None]) -> None:
    settings = json.loads(file.read_text())
    edit(settings)
    file.write_text(json.dumps(settings, ensure_ascii=False))


def every_token(folder: Path, edit: Callable[[Settings], None]) -> None:
    """Edits added tokens in both files that hold them."""

    def of_vocabulary(settings: Settings) -> None:
        for token in settings["added_tokens"]:
            edit(token)

    def of_config(settings: Settings) -> None:
        for token in settings["added_tokens_decoder"].values():
            edit(token)

    change(folder / "tokenizer.json", of_vocabulary)
    change(folder / "tokenizer_config.json", of_config)


def not_composed(folder: Path) -> None:
    """GGUF has no key for a normalizer, and llama.cpp applies none."""
    change(folder / "tokenizer.json", lambda settings: settings.update(normalizer=None))
    # The family's own class would put it back.
    change(folder / "tokenizer_config.json", lambda settings: settings.update(tokenizer_class="PreTrainedTokenizerFast"))


def look_special(folder: Path) -> None:
    """Added tokens that look like control tokens become such, whatever `special` says."""

    def edit(token: Settings) -> None:
        if token["content"].startswith("<|") and token["content"].endswith("|>"):
            token["special"] = True

    every_token(folder, edit)


def phi(folder: Path) -> None:
    """Flags of added tokens are lost, `</s>` ends a text by what it spells, of several ends one is written; magnitudes of LongRoPE
    are computed."""

    def edit(token: Settings) -> None:
        token["rstrip"] = False
        if token["content"] == "</s>":
            token["special"] = True

    every_token(folder, edit)
    size = json.loads((folder / "config.json").read_text())["eos_token_id"]
    change(folder / "generation_config.json", lambda settings: settings.update(eos_token_id=[2, size, size + 7]))
    config = json.loads((folder / "config.json").read_text())
    stretch = config["max_position_embeddings"] / config["original_max_position_embeddings"]
    magnitude = math.sqrt(1 + math.log(stretch) / math.log(config["original_max_position_embeddings"]))
    change(
        folder / "config.json",
        lambda settings: settings["rope_scaling"].update(short_mscale=magnitude, long_mscale=magnitude),
    )


def control_pieces(folder: Path) -> None:
    """Pieces that tokenizer.model calls control tokens are, though tokenizer.json has them among the others."""
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))

    def edit(settings: Settings) -> None:
        known = {token["id"] for token in settings["added_tokens"]}
        plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
        for number in range(pieces.vocab_size()):
            if pieces.is_control(number) and number not in known:
                settings["added_tokens"].append({"id": number, "content": pieces.id_to_piece(number)} | plain)

    change(folder / "tokenizer.json", edit)


LOST: dict[str, list[Callable[[Path], None]]] = {
    "granite": [], "qwen": [not_composed, look_special], "phi": [phi], "olmoe": [not_composed],
    "mixtral": [control_pieces],
}  # fmt: skip


def as_converted(family: str, folder: Path, target: Path) -> Path:
    """The folder itself where nothing gets lost."""
    if not LOST[family]:
        return folder
    shutil.copytree(folder, target)
    for lose in LOST[family]:
        lose(target)
    return target
