"""What pip does with the package, short of compiling it (`make wheel` does that): metadata, platforms, and the command."""

import importlib
import json
import shutil
import subprocess
import sys
import zipfile

import pytest


@pytest.fixture
def backend(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "Python/backend"))
    return importlib.import_module("moescope_build")


def command(root, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "moescope", *map(str, arguments)], capture_output=True, text=True,
        env={"PYTHONPATH": str(root / "Python"), "PATH": "/usr/bin:/bin"}, **options,
    )  # fmt: skip


def test_metadata_is_there_without_compiling(backend, tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "_compile", lambda: pytest.fail("nothing is to be compiled"))
    info = tmp_path / backend.prepare_metadata_for_build_wheel(str(tmp_path))
    assert info.name == f"moescope-{backend.version()}.dist-info"
    metadata = (info / "METADATA").read_text()
    assert f"Name: moescope\nVersion: {backend.version()}\n" in metadata and "Requires-Dist: numpy>=1.26\n" in metadata
    assert (info / "entry_points.txt").read_text() == "[console_scripts]\nmoescope = moescope.command:main\n"
    assert "Tag: cp311-abi3-manylinux_2_35_x86_64\n" in (info / "WHEEL").read_text()


@pytest.mark.parametrize("system, machine", [("Darwin", "arm64"), ("Linux", "aarch64"), ("Windows", "AMD64")])
def test_other_platforms_are_refused_before_anything_is_compiled(backend, monkeypatch, tmp_path, system, machine):
    monkeypatch.setattr(backend.platform, "system", lambda: system)
    monkeypatch.setattr(backend.platform, "machine", lambda: machine)
    monkeypatch.setattr(backend, "_compile", lambda: pytest.fail("nothing is to be compiled"))
    with pytest.raises(SystemExit, match=f"{system} on {machine} is not supported yet"):
        backend.build_wheel(str(tmp_path))


def test_a_library_looks_for_others_beside_itself_alone(backend, root, tmp_path):
    with backend._packed({"x.so": root / ".build/release/lib_moescope.so"}) as copies:
        shown = subprocess.run(["readelf", "-dW", copies["x.so"]], capture_output=True, text=True, check=True).stdout
    assert "[$ORIGIN]" in shown and "swift/linux" not in shown


def test_an_editable_install_has_the_command(backend, tmp_path):
    wheel = zipfile.ZipFile(tmp_path / backend.build_editable(str(tmp_path)))
    assert "moescope_checkout.pth" in wheel.namelist()
    assert b"moescope = moescope.command:main" in wheel.read(f"moescope-{backend.version()}.dist-info/entry_points.txt")


def test_the_command_of_the_library_is_that_of_the_program(root):
    program = subprocess.run([root / ".build/release/moescope", "hooks", "--json"], capture_output=True, text=True)
    library = command(root, "hooks", "--json")
    assert library.returncode == 0 and library.stdout == program.stdout and library.stdout.startswith("[")


def test_its_errors_and_exit_codes(root, tmp_path):
    unknown = command(root, "traec")
    assert unknown.returncode == 64 and "there is no command 'traec'. Did you mean 'trace'?" in unknown.stderr
    missing = command(root, "verify", tmp_path / "none")
    assert missing.returncode == 1 and str(tmp_path / "none") in missing.stderr and not missing.stdout


def test_its_scripts_run_in_the_python_that_has_it(root, tmp_path):
    script = tmp_path / "s.py"
    script.write_text("import sys, moescope; print(sys.executable, sys.argv[1:]); sys.exit(7)")
    done = command(root, "run", script, "--x", "1")
    assert done.returncode == 7 and done.stdout == f"{sys.executable} ['--x', '1']\n"


def test_a_reader_that_goes_away_ends_it_quietly(root):
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" -m moescope metrics --list | head -1', sys.executable], capture_output=True, text=True,
        env={"PYTHONPATH": str(root / "Python"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "Traceback" not in done.stderr and "Error" not in done.stderr and len(done.stdout.splitlines()) == 1


def test_without_numpy_it_says_what_to_do(root):
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import moescope"], capture_output=True, text=True,
        env={"PYTHONPATH": str(root / "Python"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 1 and "moescope needs numpy: pip install numpy" in done.stderr


def test_verify_answers_machines_too(root, traced, tmp_path):
    sound = command(root, "verify", traced.path, "--json")
    said = json.loads(sound.stdout)
    assert sound.returncode == 0 and said.pop("trace") == str(traced.path)
    shards = traced.manifest["shards"]
    assert said == {
        "is_sound": True, "problems": [], "status": "complete", "documents": len(traced), "shards": len(shards),
        "tokens": sum(shard["tokens"] for shard in shards),
    }  # fmt: skip
    damaged = tmp_path / "t"
    shutil.copytree(traced.path, damaged)
    (damaged / "documents.jsonl").write_text("")
    broken = command(root, "verify", damaged, "--json")
    said = json.loads(broken.stdout)
    assert broken.returncode == 1 and not said["is_sound"] and any("documents.jsonl" in problem for problem in said["problems"])
