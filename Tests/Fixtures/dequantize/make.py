#!/usr/bin/env python3
"""Random blocks of every quantized type, and what PyPI's `gguf` makes of them.

    pip install gguf numpy && python3 make.py

Writes, for each type, NAME.blocks (raw bytes) and NAME.f32 (little-endian f32); store.f32 and what becomes of it as
Q8_0; and versions.txt. The f16 scales
include zero, subnormals, negatives and large values; infinities and NaN are left out. MXFP4 has exponents instead.
"""

from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np

SEED = 20261123
# Byte offsets of the f16 fields in a block.
HALF_FIELDS = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}
SPECIAL = np.array([0x0000, 0x8000, 0x0001, 0x8003, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00], dtype=np.uint16)


def main() -> None:
    folder = Path(__file__).parent
    rng = np.random.default_rng(SEED)
    for name, fields in HALF_FIELDS.items():
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, size=(36 if elements == 32 else 18, size), dtype=np.uint8)
        for field in fields:
            halves = (rng.standard_normal(len(blocks)) * 0.02).astype(np.float16).view(np.uint16)
            halves[: len(SPECIAL)] = np.roll(SPECIAL, field)
            blocks[:, field : field + 2] = halves.view(np.uint8).reshape(-1, 2)
        blocks.tofile(folder / f"{name}.blocks")
        gguf.quants.dequantize(blocks, kind).astype("<f4").tofile(folder / f"{name}.f32")
    values = rng.standard_normal(32 * 24).astype("<f4") * np.repeat(np.float32(10.0) ** rng.integers(-6, 4, 24), 32)
    values[:32] = 0
    values[32:64] = np.arange(32) - 16  # levels that fall on halves
    values = values.astype("<f4")
    values.tofile(folder / "store.f32")
    gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0).tofile(folder / "store.Q8_0")
    # MXFP4's scale is an exponent.
    rng = np.random.default_rng(SEED + 1)
    blocks = rng.integers(0, 256, size=(36, 17), dtype=np.uint8)
    blocks[:, 0] = rng.integers(118, 126, size=36)
    blocks[:9, 0] = [0, 1, 2, 3, 64, 127, 128, 200, 254]
    blocks.tofile(folder / "MXFP4.blocks")
    gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.MXFP4).astype("<f4").tofile(folder / "MXFP4.f32")
    packages = [f"{package} {version(package)}" for package in ("gguf", "numpy")]
    (folder / "versions.txt").write_text("\n".join([*packages, f"seed {SEED}"]) + "\n")


if __name__ == "__main__":
    main()
