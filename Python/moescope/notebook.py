"""What notebooks show of a model, a trace and a run: HTML without scripts, which stays when a notebook is saved."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from moescope.runs import Run

#: Tokens and layers that are shown; more would make a cell of megabytes.
_SHOWN_TOKENS: Final = 400
_SHOWN_LAYERS: Final = 16


def facts(title: str, values: Mapping[str, object]) -> str:
    """A table of names and values; integers have their thousands grouped."""
    rows = "".join(
        f'<tr><th style="text-align:left">{html.escape(name.replace("_", " "))}</th>'
        f'<td style="text-align:left">{html.escape(f"{value:,}" if isinstance(value, int) else str(value))}</td></tr>'
        for name, value in values.items()
    )
    return f"<table><caption style=\"text-align:left\"><b>{html.escape(title)}</b></caption><tbody>{rows}</tbody></table>"


def run(value: Run) -> str:
    """Every token on the colour of its first expert, one layer open at a time; a token's title has all its experts and weights."""
    tokens, experts = len(value), value.expert_count
    # Dense layers choose nobody.
    routed = [layer for layer, weights in enumerate(value.expert_weights) if weights.any()]
    step = max(1, -(-len(routed) // _SHOWN_LAYERS))
    shown = routed[::step]
    texts = [html.escape(text) for text in value.texts[:_SHOWN_TOKENS]]
    parts = []
    for layer in shown:
        spans = []
        for token, text in enumerate(texts):
            chosen, weights = value.expert_indices[layer, token], value.expert_weights[layer, token]
            title = ", ".join(f"expert {e}: {w:.2f}" for e, w in zip(chosen, weights, strict=True) if 0 <= e < experts)
            spans.append(f'<span title="{title}" style="{_colour(int(chosen[0]), experts)};padding:1px 2px;margin:1px">{text}</span>')
        is_open = " open" if layer == shown[0] else ""
        parts.append(
            f'<details name="run-{id(value)}"{is_open}><summary>layer {layer}</summary>'
            f'<div style="line-height:1.9;font-family:monospace;overflow-wrap:anywhere">{" ".join(spans)}</div></details>'
        )
    legend = " ".join(
        f'<span style="{_colour(expert, experts)};padding:1px 4px">{expert}</span>' for expert in range(min(experts, 64))
    )
    title = html.escape(repr(value).splitlines()[0].strip("<>"))
    title += f"; the first {_SHOWN_TOKENS} tokens are shown" if tokens > _SHOWN_TOKENS else ""
    title += f"; every {step}. layer is shown" if step > 1 else ""
    return f"<p>{title}. Colours: the expert of largest weight. {legend}</p>{''.join(parts)}"


def _colour(expert: int, experts: int) -> str:
    """One hue per expert, pale enough for dark text, as far from its neighbours as can be (steps of the golden angle)."""
    if not 0 <= expert < experts:
        return "background:#eee;color:#222"
    return f"background:hsl({expert * 137.508 % 360:.0f} 70% {82 if expert % 2 == 0 else 72}%);color:#222"
