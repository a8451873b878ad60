"""Model cards: what a record's reader must know of the model that was recorded.

A card is a Hugging Face `config.json`, the folder that holds it, or a JSON object with the fields of a manifest's `model`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

#: A manifest's names of the model's numbers, and those of config.json in the order in which they are looked for.
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_moe_experts"),
    "experts_per_token": ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "experts_per_token"),
    "heads": ("num_attention_heads", "n_head"),
    "kv_heads": ("num_key_value_heads",),
    "hidden_size": ("hidden_size", "n_embd"),
    "vocab_size": ("vocab_size",),
}
#: Without these a record cannot be read.
_NEEDED: Final = ("layers", "experts", "experts_per_token")
#: More than any model has; lists of this length are made.
_MOST: Final = {"layers": 100_000, "experts": 65_535, "experts_per_token": 65_535}
_TEXTS: Final = ("name", "architecture", "quantization", "sha256")


class CardError(ValueError):
    """A card that cannot be read, or does not say what is needed."""


@dataclass(frozen=True)
class Card:
    #: Where it was read, for errors.
    path: str
    #: A manifest's `model`; numbers that nobody gave are not in it.
    fields: dict[str, Any]
    #: Model layers whose routing is recorded; None: all that have a router.
    captured: tuple[int, ...] | None = None
    #: Whether the number of experts itself may stand for a slot that is not used.
    allows_empty_slots: bool = False

    @property
    def layers(self) -> int:
        return int(self.fields["layers"])

    @property
    def experts(self) -> int:
        return int(self.fields["experts"])

    @property
    def experts_per_token(self) -> int:
        return int(self.fields["experts_per_token"])

    @property
    def layers_captured(self) -> list[int]:
        return list(self.captured) if self.captured is not None else self.routed

    @property
    def routed(self) -> list[int]:
        """The model's layers that have a router, rising."""
        return [int(layer) for layer in self.fields.get("moe_layers") or range(self.layers)]

    @property
    def expert_layers(self) -> list[int]:
        """Layers of the record's arrays, rising."""
        routed = set(self.routed)
        return [layer for layer in self.layers_captured if layer in routed]


def read_card(path: str | PathLike[str]) -> Card:
    """Reads config.json, a folder that holds one, or a card. Raises CardError naming file and field."""
    file = Path(fspath(path))
    if file.is_dir():
        file = file / "config.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CardError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CardError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise CardError(f"{file}: expected a JSON object, found {type(content).__name__}")
    # Models that see and hear keep the language model's numbers one level down.
    inner = content.get("text_config")
    if isinstance(inner, dict):
        content = {**content, **inner}
    fields: dict[str, Any] = {}
    for name, others in _NAMES.items():
        value = next((content[key] for key in (name, *others) if content.get(key) is not None), None)
        # An embedding may be tied to lists of numbers by layer; what differs from layer to layer is not one number.
        if isinstance(value, list) and value and len(set(value)) == 1:
            value = value[0]
        if value is None and name not in _NEEDED:
            continue
        place = f"{file}: field {name} ({', '.join(others)})"
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            found = "nothing" if value is None else repr(value)[:40]
            raise CardError(f"{place}: expected an integer, 1 or more, found {found}")
        most = _MOST.get(name, (1 << 31) - 1)
        if value > most:
            raise CardError(f"{place}: expected at most {most:,}, found {repr(value)[:40]}")
        fields[name] = value
    if fields["experts_per_token"] > fields["experts"]:
        raise CardError(
            f"{file}: field experts_per_token: expected 1 to {fields['experts']}, found {fields['experts_per_token']}"
        )
    for name in ("parameters_total", "parameters_active"):
        if isinstance(content.get(name), int):
            fields[name] = content[name]
    for name in _TEXTS:
        if isinstance(content.get(name), str):
            fields[name] = content[name]
    router = content.get("router") or _router(content, fields["experts_per_token"])
    if isinstance(router, dict):
        fields["router"] = router
    fields.setdefault("name", str(content.get("_name_or_path") or "") or file.resolve().parent.name or file.stem)
    fields.setdefault("architecture", str(content.get("model_type") or "unknown"))
    routed = _expert_layers(content, fields["layers"], file)
    if routed != list(range(fields["layers"])):
        fields["moe_layers"] = routed
    return Card(str(file), fields)


def _router(content: dict[str, Any], slots: int) -> dict[str, Any] | None:
    """What the router does with its logits, where config.json says it as DeepSeek's and Qwen's do; None: it does not."""
    score = content.get("scoring_func")
    if score not in ("softmax", "sigmoid") and "norm_topk_prob" not in content:
        return None
    adds_bias = content.get("topk_method") == "noaux_tc"
    select: dict[str, Any] = {"adds_bias": adds_bias, "experts_per_token": slots}
    if isinstance(content.get("n_group"), int) and content["n_group"] > 1:
        scoring = "sum_of_two_largest" if adds_bias else "largest"
        select["groups"] = {"count": content["n_group"], "kept": content.get("topk_group", 1), "scoring": scoring}
    weigh = {
        "normalizes": bool(content.get("norm_topk_prob", True)),
        "epsilon": 1e-20 if score == "sigmoid" else 0,
        "scale": content.get("routed_scaling_factor") or 1,
    }
    return {"jitter": 0, "score": score or "softmax", "select": select, "weigh": weigh}


def _expert_layers(content: dict[str, Any], layers: int, file: Path) -> list[int]:
    """Layers that have experts, as the card or the families' own fields say it."""
    given = content.get("moe_layers")
    if given is not None:
        if not isinstance(given, list) or not all(isinstance(n, int) and 0 <= n < layers for n in given) or not given:
            raise CardError(f"{file}: field moe_layers: expected layers from 0 to {layers - 1}, found {given!r}")
        return sorted(set(given))
    first = content.get("first_k_dense_replace") or 0
    step = content.get("moe_layer_freq") or content.get("decoder_sparse_step") or 1
    dense = set(content.get("mlp_only_layers") or [])
    if isinstance(step, list):  # Megatron's: 1 for each layer with experts
        return [layer for layer, flag in enumerate(step[:layers]) if flag]
    if not isinstance(step, int) or step < 1 or not isinstance(first, int):
        raise CardError(f"{file}: field moe_layer_freq: expected an integer, 1 or more, found {step!r}")
    by_step = "decoder_sparse_step" in content
    return [
        layer
        for layer in range(first, layers)
        if layer not in dense and ((layer + 1) % step == 0 if by_step else layer % step == 0)
    ]
