"""Finds the engine: built into `moescope run`, beside this package, or in the build folder of a checkout."""

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

_NAME = "moescope._moescope"


def _candidates() -> list[Path]:
    package = Path(__file__).resolve().parent
    found = []
    if chosen := os.environ.get("MOESCOPE_LIBRARY"):
        found.append(Path(chosen))
    found.append(package / "_moescope.abi3.so")
    # A checkout: the library that was built last.
    builds = [package.parents[1] / ".build" / kind / "lib_moescope.so" for kind in ("release", "debug")]
    found += sorted((b for b in builds if b.exists()), key=lambda b: b.stat().st_mtime, reverse=True)
    return found


def _start_workers_with_this_program() -> None:
    """Lets multiprocessing's "spawn" and "forkserver" start `moescope`, where the engine is built in, not plain python3."""
    if program := os.environ.get("MOESCOPE_PROGRAM"):
        import multiprocessing.spawn

        multiprocessing.spawn.set_executable(program)


def _load() -> ModuleType:
    if "_moescope" in sys.builtin_module_names:
        import _moescope  # type: ignore[import-not-found, unused-ignore]

        sys.modules[_NAME] = _moescope
        _start_workers_with_this_program()
        return _moescope  # type: ignore[no-any-return, unused-ignore]
    candidates = _candidates()
    for path in candidates:
        if not path.exists():
            continue
        loader = importlib.machinery.ExtensionFileLoader(_NAME, str(path))
        spec = importlib.util.spec_from_file_location(_NAME, path, loader=loader)
        if spec is None:
            continue
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
        sys.modules[_NAME] = module
        return module
    looked = ", ".join(str(path) for path in candidates)
    raise ImportError(
        f"moescope's engine was not found (looked at {looked}). "
        "In a checkout: `swift build -c release --product _moescope`; elsewhere: `pip install .` from the checkout."
    )


_load()
