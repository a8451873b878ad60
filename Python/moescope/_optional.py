"""Libraries that some functions need and most do without."""

from __future__ import annotations

from typing import Any


def require_pyarrow(purpose: str) -> Any:
    """The module pyarrow. Raises ImportError saying what to install."""
    try:
        import pyarrow  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise ImportError(f"{purpose} needs pyarrow: pip install pyarrow") from None
    return pyarrow
