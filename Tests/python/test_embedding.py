"""`moescope run` and `moescope python`: the same Python as python3's, with the engine built in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def moescope(root: Path) -> str:
    builds = [root / ".build" / kind / "moescope" for kind in ("release", "debug")]
    found = sorted((b for b in builds if b.exists()), key=lambda b: b.stat().st_mtime)
    if not found:
        pytest.skip("moescope has not been built")
    return str(found[-1])


def start(moescope, *arguments, environment=None, text=None):
    clean = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    return subprocess.run(
        [moescope, *arguments], capture_output=True, text=True, env=clean | (environment or {}), input=text, timeout=300
    )


def test_arguments_and_exit_code(moescope, tmp_path):
    script = tmp_path / "s.py"
    script.write_text("import sys\nprint(sys.argv[1:], __name__)\nsys.exit(int(sys.argv[1]))\n")
    done = start(moescope, "run", str(script), "7", "--help", "-x")
    assert done.returncode == 7 and done.stdout == "['7', '--help', '-x'] __main__\n"
    assert start(moescope, "run", str(script), "0").returncode == 0


def test_tracebacks_look_like_pythons_own(moescope, tmp_path):
    script = tmp_path / "s.py"
    script.write_text("def f():\n    return 1 / 0\n\nf()\n")
    ours = start(moescope, "run", str(script))
    theirs = subprocess.run(["/usr/bin/python3", str(script)], capture_output=True, text=True)
    assert ours.returncode == 1 and ours.stderr.strip().splitlines()[-1] == "ZeroDivisionError: division by zero"
    if Path("/usr/bin/python3").exists():
        assert ours.stderr == theirs.stderr


def test_the_engine_is_built_in(moescope):
    done = start(moescope, "python", "-c", "import sys; print('_moescope' in sys.builtin_module_names)")
    assert done.stdout == "True\n", done.stderr


def test_an_active_environment_is_honoured(moescope):
    if sys.prefix == sys.base_prefix:
        pytest.skip("not in a virtual environment")
    code = "import sys, numpy, moescope; print(sys.prefix, moescope.hooks()['name'][0])"
    done = start(moescope, "python", "-c", code, environment={"VIRTUAL_ENV": sys.prefix})
    assert done.stdout.split() == [sys.prefix, "embed"], done.stderr


def test_an_environment_of_another_python_is_refused(moescope, tmp_path):
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.8.1\n")
    done = start(moescope, "python", "-c", "1", environment={"VIRTUAL_ENV": str(tmp_path)})
    assert done.returncode != 0 and "3.8.1" in done.stderr


def test_standard_input_and_prompt(moescope):
    assert start(moescope, "python", "-", text="print(6 * 7)\n").stdout == "42\n"


def test_a_missing_script_is_one_clear_line(moescope):
    done = start(moescope, "run", "no/such.py")
    assert done.returncode != 0 and "no/such.py" in done.stderr
