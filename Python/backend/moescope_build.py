"""Builds the wheel: `pip install .` compiles the engine with `swift build` and packs it with the Python package.

A build backend of its own (PEP 517) and no other build dependency, because a wheel is a zip file with three lines of
metadata. The wheel holds the built-in model, so that it works after the checkout is gone.
"""

from __future__ import annotations

import base64
import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "Python" / "moescope"
MODEL = ROOT / "Models" / "polyglot"
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.model", "tokenizer.json", "README.md", "heldout.jsonl")
# One library for Python 3.11 and everything later.
TAG_PYTHON = "cp311-abi3"


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def _compile() -> Path:
    """The engine as one library, in release."""
    if shutil.which("swift") is None:
        sys.exit("moescope: the Swift toolchain is needed to build it, and `swift` was not found (see swift.org/install)")
    command = ["swift", "build", "-c", "release", "--product", "_moescope"]
    print("moescope:", " ".join(command), file=sys.stderr, flush=True)
    subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
    shown = subprocess.run([*command, "--show-bin-path"], cwd=ROOT, check=True, capture_output=True, text=True)
    return Path(shown.stdout.strip()) / "lib_moescope.so"


def _swift_runtime(library: Path) -> list[Path]:
    """The Swift libraries it needs. They go beside it ($ORIGIN is in its search path), so that the wheel also works
    where no toolchain is installed."""
    listed = subprocess.run(["ldd", str(library)], check=True, capture_output=True, text=True).stdout
    paths = [line.partition("=>")[2].split()[0] for line in listed.splitlines() if "=> /" in line]
    return [Path(path) for path in paths if "/swift/" in path]


def _metadata() -> str:
    project = _project()
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    lines += [f"Summary: {project['description']}", f"Requires-Python: {project['requires-python']}"]
    lines += [f"License: {project['license']['text']}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in project["dependencies"]]
    for extra, requirements in project.get("optional-dependencies", {}).items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {requirement}; extra == "{extra}"' for requirement in requirements]
    return "\n".join(lines) + "\n"


class _Wheel:
    """A zip file that remembers the hash of what went in."""

    def __init__(self, path: Path, tag: str) -> None:
        project = _project()
        self._info = f"{project['name']}-{project['version']}.dist-info"
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
        self._record: list[str] = []
        self.add_text(f"{self._info}/METADATA", _metadata())
        wheel = f"Wheel-Version: 1.0\nGenerator: moescope_build\nRoot-Is-Purelib: false\nTag: {tag}\n"
        self.add_text(f"{self._info}/WHEEL", wheel)

    def add_text(self, name: str, text: str) -> None:
        self._add(name, text.encode())

    def add_file(self, name: str, path: Path) -> None:
        self._add(name, path.read_bytes())

    def _add(self, name: str, data: bytes) -> None:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        self._record.append(f"{name},sha256={digest},{len(data)}")
        self._zip.writestr(name, data)

    def close(self) -> None:
        record = f"{self._info}/RECORD"
        self._zip.writestr(record, "\n".join([*self._record, f"{record},,"]) + "\n")
        self._zip.close()


def _wheel_name() -> tuple[str, str]:
    project = _project()
    tag = f"{TAG_PYTHON}-linux_{platform.machine()}"
    return f"{project['name']}-{project['version']}-{tag}.whl", tag


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    library = _compile()
    name, tag = _wheel_name()
    wheel = _Wheel(Path(wheel_directory) / name, tag)
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in (".py", ".pyi") or path.name == "py.typed":
            wheel.add_file(f"moescope/{path.relative_to(PACKAGE).as_posix()}", path)
    wheel.add_file("moescope/_moescope.abi3.so", library)
    for path in _swift_runtime(library):
        wheel.add_file(f"moescope/{path.name}", path)
    for file in MODEL_FILES:
        if (MODEL / file).exists():
            wheel.add_file(f"moescope/Models/polyglot/{file}", MODEL / file)
    for file in sorted((MODEL / "licenses").glob("*.txt")):
        wheel.add_file(f"moescope/Models/polyglot/licenses/{file.name}", file)
    wheel.close()
    return name


def build_editable(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """`pip install -e .`: the checkout's own package, with the library that `swift build` last made."""
    name, tag = _wheel_name()
    wheel = _Wheel(Path(wheel_directory) / name, tag)
    wheel.add_text("moescope_checkout.pth", str(PACKAGE.parent) + "\n")
    wheel.close()
    return name


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """The tracked files of the checkout."""
    project = _project()
    base = f"{project['name']}-{project['version']}"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    with tarfile.open(Path(sdist_directory) / f"{base}.tar.gz", "w:gz") as archive:
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).exists():
                archive.add(ROOT / name, f"{base}/{name}")
    return f"{base}.tar.gz"
