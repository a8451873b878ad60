"""One place says the version, everything else has it from there; the source archive holds the tracked files and nothing else."""

import importlib
import re
import subprocess
import tarfile

import pytest

import moescope as ms


@pytest.fixture
def backend(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "Python/backend"))
    return importlib.import_module("moescope_build")


def test_everything_says_the_same_version(root, backend):
    version = backend.version()
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert ms.__version__ == version
    command = subprocess.run([root / ".build/release/moescope", "--version"], capture_output=True, text=True)
    assert command.stdout == f"{version}\n"
    first = re.search(r"^## (.*)$", (root / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert version in first
    assert 'dynamic = ["version"]' in (root / "pyproject.toml").read_text()


def test_no_other_source_says_it(root, backend):
    quoted = f'"{backend.version()}"'
    sources = [*(root / "Sources").rglob("*.swift"), *(root / "Python").rglob("*.py"), root / "pyproject.toml", root / "CITATION.cff"]
    saying = [path.relative_to(root).as_posix() for path in sources if quoted in path.read_text(encoding="utf-8")]
    assert saying == ["Sources/Traces/Version.swift"]


def test_the_source_archive(root, backend, tmp_path):
    name = backend.build_sdist(str(tmp_path))
    base = f"moescope-{backend.version()}"
    assert name == f"{base}.tar.gz"
    with tarfile.open(tmp_path / name) as archive:
        found = {entry.name: entry for entry in archive.getmembers()}
        tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
        there = [path for path in tracked if (root / path).exists()]
        assert set(found) == {f"{base}/{path}" for path in ["PKG-INFO", *there]}
        metadata = archive.extractfile(f"{base}/PKG-INFO").read().decode()
        assert metadata.startswith(f"Metadata-Version: 2.1\nName: moescope\nVersion: {backend.version()}\n")
        assert {(entry.uid, entry.uname) for entry in found.values()} == {(0, "")}
    first = (tmp_path / name).read_bytes()
    (tmp_path / "again").mkdir()
    backend.build_sdist(str(tmp_path / "again"))
    assert (tmp_path / "again" / name).read_bytes() == first
