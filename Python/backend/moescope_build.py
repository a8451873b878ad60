"""Builds the wheel: `pip install .` compiles the engine with `swift build` and packs it with the Python package.

A build backend of its own (PEP 517), because a wheel is a zip file with a few lines of metadata. The wheel is the product: the module
and the `moescope` command, the built-in model, and the library that draws figures. It works after the checkout is gone, and
where no Swift toolchain is installed.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "Python" / "moescope"
MODEL = ROOT / "Models" / "polyglot"
VERSION = ROOT / "Sources" / "Traces" / "Version.swift"
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.model", "tokenizer.json", "README.md", "heldout.jsonl")
# One library for Python 3.11 and everything later.
TAG_PYTHON = "cp311-abi3"
# The Swift toolchain's own libraries need this version of the C library; every wheel is checked against it.
GLIBC = (2, 35)
FIGURES = ROOT / ".cache" / "vega-bundle.js"

Settings = dict[str, Any] | None


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {**project, "version": version()}


def version() -> str:
    """The version, from the one place that says it."""
    text = VERSION.read_text(encoding="utf-8")
    found = re.search(r'current = "([^"]+)"', text)
    if found is None:
        sys.exit(f"moescope: {VERSION.relative_to(ROOT)}: expected a line `current = \"…\"`")
    return found[1]


def _say(text: str) -> None:
    print(f"moescope: {text}", file=sys.stderr, flush=True)


def _check_platform() -> None:
    """Ends the build where there is no engine for this machine, before anything is compiled."""
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine not in ("x86_64", "AMD64"):
        sys.exit(f"moescope: {system} on {machine} is not supported yet; it runs on Linux on x86_64")
    if shutil.which("swift") is None:
        sys.exit("moescope: the Swift toolchain is needed to build it, and `swift` was not found (see swift.org/install)")


def _compile() -> Path:
    """The engine as one library, in release. What `swift build` has made already is not made again."""
    command = ["swift", "build", "-c", "release", "--product", "_moescope"]
    _say(f"{' '.join(command)} (some minutes the first time; `pip install -v` shows how far it is)")
    subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
    shown = subprocess.run([*command, "--show-bin-path"], cwd=ROOT, check=True, capture_output=True, text=True)
    return Path(shown.stdout.strip()) / "lib_moescope.so"


def _swift_runtime(library: Path) -> list[Path]:
    """The Swift libraries it needs. They go beside it."""
    listed = subprocess.run(["ldd", str(library)], check=True, capture_output=True, text=True).stdout
    paths = [line.partition("=>")[2].split()[0] for line in listed.splitlines() if "=> /" in line]
    return [Path(path) for path in paths if "/swift/" in path]


@contextmanager
def _packed(libraries: dict[str, Path]) -> Iterator[dict[str, Path]]:
    """Copies for the wheel: without symbols that only debuggers read, and with no place to look for libraries but their own folder."""
    with tempfile.TemporaryDirectory(prefix="moescope-wheel-") as folder:
        copies = {}
        for name, path in libraries.items():
            copy = Path(folder) / name
            subprocess.run(["strip", "--strip-unneeded", "-o", str(copy), str(path)], check=True)
            _search_beside(copy)
            _check_glibc(copy)
            copies[name] = copy
        yield copies


def _search_beside(library: Path) -> None:
    """Shortens the library's search path to $ORIGIN, in place."""
    shown = subprocess.run(["readelf", "-dW", str(library)], check=True, capture_output=True, text=True).stdout
    for found in re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", shown):
        if found == "$ORIGIN":
            continue
        old = found.encode() + b"\0"
        data = library.read_bytes()
        if data.count(old) != 1:
            sys.exit(f"moescope: {library.name}: the search path {found!r} is not there once, and cannot be changed")
        library.write_bytes(data.replace(old, b"$ORIGIN".ljust(len(old), b"\0")))


def _check_glibc(library: Path) -> None:
    shown = subprocess.run(["objdump", "-T", str(library)], check=True, capture_output=True, text=True).stdout
    needed = max((tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_(\d+\.\d+)", shown)), default=(0, 0))
    if needed > GLIBC:
        sys.exit(f"moescope: {library.name} needs glibc {'.'.join(map(str, needed))}; expected {'.'.join(map(str, GLIBC))} or earlier")


def _figures() -> Path:
    """Vega, Vega-Lite and vega-embed as one script, out of vl-convert-python."""
    if not FIGURES.exists():
        _say("taking the library that draws figures out of vl-convert-python")
        subprocess.run([sys.executable, str(ROOT / "Scripts/vega_bundle.py"), str(FIGURES)], check=True, stdout=sys.stderr)
    return FIGURES


def _licenses() -> dict[str, Path]:
    """Our license, and those of what is compiled in."""
    found = {"LICENSE": ROOT / "LICENSE"}
    for path in sorted((ROOT / ".build" / "checkouts").glob("*/LICENSE*")):
        found[f"{path.parent.name}.txt"] = path
    return found


def _metadata() -> str:
    project = _project()
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    lines += [f"Summary: {project['description']}", f"Requires-Python: {project['requires-python']}"]
    lines += [f"License: {project['license']['text']}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in project["dependencies"]]
    for extra, requirements in project.get("optional-dependencies", {}).items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {requirement}; extra == "{extra}"' for requirement in requirements]
    return "\n".join(lines) + "\nDescription-Content-Type: text/markdown\n\n" + (ROOT / "README.md").read_text(encoding="utf-8")


def _information(tag: str) -> dict[str, str]:
    """The files of the dist-info folder, without RECORD."""
    scripts = "".join(f"{name} = {target}\n" for name, target in _project().get("scripts", {}).items())
    return {
        "METADATA": _metadata(),
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: moescope_build\nRoot-Is-Purelib: false\nTag: {tag}\n",
        "entry_points.txt": f"[console_scripts]\n{scripts}",
    }


def _names(tag: str) -> tuple[str, str]:
    """Of the wheel, and of its dist-info folder."""
    project = _project()
    base = f"{project['name']}-{project['version']}"
    return f"{base}-{tag}.whl", f"{base}.dist-info"


_TAG = f"{TAG_PYTHON}-manylinux_{GLIBC[0]}_{GLIBC[1]}_{platform.machine()}"
# Editable: the checkout's own build, for this machine.
_EDITABLE_TAG = f"{TAG_PYTHON}-linux_{platform.machine()}"


class _Wheel:
    """A zip file that remembers the hash of what went in."""

    def __init__(self, folder: str, tag: str) -> None:
        self.name, self._info = _names(tag)
        self._zip = zipfile.ZipFile(Path(folder) / self.name, "w", zipfile.ZIP_DEFLATED, compresslevel=9)
        self._record: list[str] = []
        for name, text in _information(tag).items():
            self.add_information(name, text.encode())

    def add_information(self, name: str, data: bytes) -> None:
        self.add(f"{self._info}/{name}", data)

    def add(self, name: str, data: bytes) -> None:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        self._record.append(f"{name},sha256={digest},{len(data)}")
        # The same bytes for the same files, whenever it is built.
        entry = zipfile.ZipInfo(name)
        entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
        self._zip.writestr(entry, data)

    def close(self) -> None:
        record = f"{self._info}/RECORD"
        self._zip.writestr(zipfile.ZipInfo(record), "\n".join([*self._record, f"{record},,"]) + "\n")
        self._zip.close()


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    if FIGURES.exists():
        return []
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    return re.findall(r"^vl-convert-python==\S+", pinned, re.MULTILINE)


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """Answers at once: nothing is compiled for it."""
    _check_platform()
    return _write_information(metadata_directory, _TAG)


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Settings = None) -> str:
    return _write_information(metadata_directory, _EDITABLE_TAG)


def _write_information(directory: str, tag: str) -> str:
    _, name = _names(tag)
    folder = Path(directory) / name
    folder.mkdir()
    for file, text in _information(tag).items():
        (folder / file).write_text(text, encoding="utf-8")
    return name


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    _check_platform()
    figures = _figures()
    library = _compile()
    wheel = _Wheel(wheel_directory, _TAG)
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in (".py", ".pyi") or path.name == "py.typed":
            wheel.add(f"moescope/{path.relative_to(PACKAGE).as_posix()}", path.read_bytes())
    _say("packing the libraries")
    libraries = {"_moescope.abi3.so": library} | {path.name: path for path in _swift_runtime(library)}
    with _packed(libraries) as copies:
        for name, path in copies.items():
            wheel.add(f"moescope/{name}", path.read_bytes())
    wheel.add(f"moescope/{figures.name}", figures.read_bytes())
    for file in MODEL_FILES:
        if (MODEL / file).exists():
            wheel.add(f"moescope/Models/polyglot/{file}", (MODEL / file).read_bytes())
    for path in sorted((MODEL / "licenses").glob("*.txt")):
        wheel.add(f"moescope/Models/polyglot/licenses/{path.name}", path.read_bytes())
    for name, path in _licenses().items():
        wheel.add_information(f"licenses/{name}", path.read_bytes())
    wheel.close()
    size = (Path(wheel_directory) / wheel.name).stat().st_size
    _say(f"{wheel.name}: {size / 1e6:.1f} MB")
    return wheel.name


def build_editable(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """`pip install -e .`: the checkout's own package, with the library that `swift build` last made."""
    wheel = _Wheel(wheel_directory, _EDITABLE_TAG)
    wheel.add("moescope_checkout.pth", f"{PACKAGE.parent}\n".encode())
    wheel.close()
    return wheel.name


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """The tracked files of the checkout, with the time of its last commit: the same bytes for the same commit."""
    project = _project()
    base = f"{project['name']}-{project['version']}"

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    time = int(git("log", "-1", "--format=%ct"))

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = time, 0, 0, "", ""
        return entry

    path = Path(sdist_directory) / f"{base}.tar.gz"
    with gzip.GzipFile(path, "wb", mtime=time) as compressed, tarfile.open(fileobj=compressed, mode="w") as archive:
        metadata = _metadata().encode()
        entry = tarfile.TarInfo(f"{base}/PKG-INFO")
        entry.size = len(metadata)
        archive.addfile(plain(entry), io.BytesIO(metadata))
        for name in sorted(filter(None, git("ls-files", "-z").split("\0"))):
            if (ROOT / name).exists():
                archive.add(ROOT / name, f"{base}/{name}", filter=plain)
    return path.name
