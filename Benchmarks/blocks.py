"""Random weights in any type of GGUF: valid blocks whose values have mean 0 and a wanted spread.

The packed numbers of a block are random; its scale is what makes the values sane. Where a type has a minimum besides, it is
tied to the scale so that the values lie around 0, as trained weights do.
"""

from dataclasses import dataclass

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

POOL_BYTES = 16 << 20


@dataclass(frozen=True)
class Layout:
    """Where a block keeps its f16 scale and, for types with one, its f16 minimum (in units of the scale)."""

    scale: int
    minimum: int | None = None
    minimum_per_scale: float = 0.0


LAYOUTS = {
    "Q8_0": Layout(0),
    "Q4_0": Layout(0),
    "Q4_1": Layout(0, 2, -7.5),
    "Q5_0": Layout(0),
    "Q5_1": Layout(0, 2, -15.5),
    "IQ4_NL": Layout(0),
    "IQ4_XS": Layout(0),
    "Q2_K": Layout(80, 82, 1.5),
    "Q3_K": Layout(108),
    "Q4_K": Layout(0, 2, 7.5),
    "Q5_K": Layout(0, 2, 15.5),
    "Q6_K": Layout(208),
}


def random_rows(kind: str, columns: int, spread: float, generator: np.random.Generator) -> np.ndarray:
    """About 16 MiB of rows of `columns` weights, [rows, bytes of a row] uint8, with standard deviation `spread`.

    Raises ValueError for types that are not known here and rows that blocks do not fill.
    """
    if kind in ("F32", "F16", "BF16"):
        return _plain_rows(kind, columns, spread, generator)
    if kind not in LAYOUTS:
        raise ValueError(f"type {kind}: expected F32, F16, BF16, {', '.join(LAYOUTS)}")
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    if columns % elements:
        raise ValueError(f"type {kind}: expected rows of a multiple of {elements} weights, found {columns}")
    row_blocks = columns // elements
    rows = max(1, POOL_BYTES // (row_blocks * size))
    blocks = generator.integers(0, 256, (rows * row_blocks, size), dtype=np.uint8)
    _tie_minima(kind, blocks, generator)
    _set_scale(LAYOUTS[kind], blocks, np.ones(len(blocks)))
    sample = blocks[: min(len(blocks), 4096)]
    unit = float(dequantize(sample, GGMLQuantizationType[kind]).std())
    _set_scale(LAYOUTS[kind], blocks, spread / unit * generator.uniform(0.8, 1.2, len(blocks)))
    return blocks.reshape(rows, row_blocks * size)


def _plain_rows(kind: str, columns: int, spread: float, generator: np.random.Generator) -> np.ndarray:
    width = 4 if kind == "F32" else 2
    rows = max(1, POOL_BYTES // (columns * width))
    values = generator.standard_normal((rows, columns), dtype=np.float32) * np.float32(spread)
    if kind == "F16":
        return values.astype(np.float16).view(np.uint8)
    if kind == "BF16":
        # Truncated: the high half of each f32, little-endian.
        return np.ascontiguousarray(values.view(np.uint16)[:, 1::2]).view(np.uint8)
    return values.view(np.uint8)


def _set_scale(layout: Layout, blocks: np.ndarray, scale: np.ndarray) -> None:
    blocks[:, layout.scale : layout.scale + 2] = scale.astype("<f2")[:, None].view(np.uint8)
    if layout.minimum is not None:
        minimum = (scale * layout.minimum_per_scale).astype("<f2")
        blocks[:, layout.minimum : layout.minimum + 2] = minimum[:, None].view(np.uint8)


def _tie_minima(kind: str, blocks: np.ndarray, generator: np.random.Generator) -> None:
    """Gives every sub-block the number of its scale as the number of its minimum."""
    if kind == "Q2_K":
        blocks[:, :16] = (blocks[:, :16] & 15) * 17
    elif kind in ("Q4_K", "Q5_K"):
        # Eight numbers of six bits: the upper two of the last four lie over the first four.
        number = generator.integers(16, 64, (len(blocks), 8), dtype=np.uint8)
        first = number[:, :4] | (number[:, 4:] >> 4) << 6
        blocks[:, 4:8] = first
        blocks[:, 8:12] = first
        blocks[:, 12:16] = (number[:, 4:] & 15) * 17
    elif kind == "Q6_K":
        scales = generator.integers(32, 128, (len(blocks), 16), dtype=np.int8)
        blocks[:, 192:208] = scales.view(np.uint8)
