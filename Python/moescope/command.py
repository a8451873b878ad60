"""The `moescope` command of an installed package: `moescope trace …`, or `python -m moescope trace …`."""

from __future__ import annotations

import sys
from typing import NoReturn

from moescope import _moescope


def main() -> NoReturn:
    """Runs the command line of this process and ends it."""
    _moescope.command(["moescope", *sys.argv[1:]], sys.executable)
