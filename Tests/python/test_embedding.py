"""`moescope run` and `moescope python`: the same Python as python3's, with the engine built in."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import moescope as ms


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
    assert done.stdout.split() == [sys.prefix, "embed_tokens"], done.stderr


def test_an_environment_of_another_python_is_refused(moescope, tmp_path):
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.8.1\n")
    done = start(moescope, "python", "-c", "1", environment={"VIRTUAL_ENV": str(tmp_path)})
    assert done.returncode != 0 and "3.8.1" in done.stderr


def test_standard_input_and_prompt(moescope):
    assert start(moescope, "python", "-", text="print(6 * 7)\n").stdout == "42\n"


def test_a_missing_script_is_one_clear_line(moescope):
    done = start(moescope, "run", "no/such.py")
    assert done.returncode != 0 and "no/such.py" in done.stderr


def test_children_have_the_signals_that_the_caller_has(moescope, tmp_path):
    """The right values are what python3 itself prints: nothing blocked, and signals end a child."""
    script = tmp_path / "s.py"
    script.write_text(
        "import multiprocessing, os, signal, subprocess, time\n"
        "def child():\n"
        "    time.sleep(20)\n"
        "if __name__ == '__main__':\n"
        "    print(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))\n"
        "    for start in (lambda: subprocess.Popen(['sleep', '20']), lambda: subprocess.Popen('sleep 20', shell=True)):\n"
        "        process = start()\n"
        "        time.sleep(0.2)\n"
        "        process.terminate()\n"
        "        print(process.wait(timeout=10))\n"
        "    process = multiprocessing.get_context('fork').Process(target=child)\n"
        "    process.start()\n"
        "    process.terminate()\n"
        "    process.join(10)\n"
        "    print(process.exitcode, os.system('kill -TERM $$'))\n"
    )
    assert start(moescope, "run", str(script)).stdout == "0\n-15\n-15\n-15 15\n"


def test_the_engine_works_in_a_forked_child(moescope, tmp_path):
    """A model that was loaded and used before the fork, with two threads; generation, traces and metrics too."""
    script = tmp_path / "s.py"
    script.write_text(
        "import os, sys\n"
        "import numpy as np\n"
        "import moescope as ms\n"
        "model = ms.load('polyglot', precision='exact', threads=2)\n"
        "def work(folder):\n"
        "    trace = ms.trace(model, [f'{i}. Der Rauch steigt auf.' for i in range(4)], output=folder)\n"
        "    load = ms.metrics.load(trace, minimum_documents=1, bootstrap=10, permutations=10, threads=2)\n"
        "    steps = [step.token for step in model.generate('Der Rauch', max_tokens=3)]\n"
        "    return [model.run('Der Rauch').logprob[1:].tolist(), steps, len(load)]\n"
        "here = work(sys.argv[1] + '/parent')\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(write, repr(work(sys.argv[1] + '/child')).encode())\n"
        "    os._exit(0)\n"
        "print(os.read(read, 100000).decode() == repr(here))\n"
    )
    done = start(moescope, "run", str(script), str(tmp_path), environment={"VIRTUAL_ENV": sys.prefix})
    assert done.returncode == 0 and done.stdout == "True\n", done.stderr


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_have_the_engine(moescope, tmp_path, method):
    script = tmp_path / "s.py"
    script.write_text(
        "import multiprocessing, sys\n"
        "import moescope as ms\n"
        "def work(text):\n"
        "    return float(ms.load('polyglot', precision='exact').run(text).logprob[1])\n"
        "if __name__ == '__main__':\n"
        f"    with multiprocessing.get_context('{method}').Pool(2) as pool:\n"
        "        print(pool.map(work, ['Der Rauch', 'Der Hund']) == [work('Der Rauch'), work('Der Hund')])\n"
    )
    done = start(moescope, "run", str(script), environment={"VIRTUAL_ENV": sys.prefix})
    assert done.returncode == 0 and done.stdout == "True\n", done.stderr


def test_an_environment_of_another_build_is_refused(moescope, tmp_path):
    """The same minor version; its standard library is not the one that this program's libpython belongs to."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    library = tmp_path / "other" / "lib" / f"python{version}"
    library.mkdir(parents=True)
    (library / "os.py").write_text("")
    environment = tmp_path / "environment"
    environment.mkdir()
    for line in (f"version = {version}.99", f"version_info = {version}.99.final.0", f"version = {sys.version.split()[0]}"):
        (environment / "pyvenv.cfg").write_text(f"home = {tmp_path}/other/bin\n{line}\n")
        done = start(moescope, "python", "-c", "1", environment={"VIRTUAL_ENV": str(environment)})
        first = done.stderr.splitlines()[0]
        assert done.returncode != 0 and str(tmp_path / "other") in first and line.split()[-1] in first, done.stderr
    # Where that installation is gone, the version tells.
    (environment / "pyvenv.cfg").write_text(f"home = {tmp_path}/gone/bin\nversion = {version}.99\n")
    done = start(moescope, "python", "-c", "1", environment={"VIRTUAL_ENV": str(environment)})
    assert done.returncode != 0 and f"{version}.99" in done.stderr.splitlines()[0]


def test_another_python_first_in_the_path_changes_nothing(moescope, tmp_path):
    """As an activated conda environment has it: its library would be run by this program's libpython."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    library = tmp_path / "lib" / f"python{version}"
    library.mkdir(parents=True)
    (library / "os.py").write_text("")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "python3").chmod(0o755)
    done = start(
        moescope, "python", "-c", "import os; print(os.__file__)",
        environment={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0 and str(tmp_path) not in done.stdout and done.stdout.strip().endswith("os.py"), done.stderr
    done = start(moescope, "python", "-c", "1", environment={"PYTHONHOME": str(tmp_path)})
    assert done.returncode != 0 and f"PYTHONHOME is {tmp_path}" in done.stderr.splitlines()[0]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_trace_that_is_told_to_stop_can_go_on(moescope, tmp_path, name):
    corpus = tmp_path / "c.jsonl"
    corpus.write_text("".join(f'{{"tokens": {[1, *range(3, 200)]}}}\n' for _ in range(400)))
    output = tmp_path / "t"
    command = [moescope, "trace", "polyglot", "--corpus", str(corpus), "--output", str(output), "--wave-tokens", "400"]
    # Under nohup SIGHUP is ignored, and children inherit that.
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(getattr(signal, name), signal.SIG_DFL),
    )
    while not (output / "shards" / "000000.safetensors").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + getattr(signal, name), said
    assert "--resume" in said
    trace = ms.open_trace(output)
    assert not trace.is_complete and 0 < len(trace) < 400
    assert start(moescope, "verify", str(output)).returncode == 0


def test_a_pipe_is_no_model(moescope, tmp_path):
    os.mkfifo(tmp_path / "m.gguf")
    done = start(moescope, "inspect", str(tmp_path / "m.gguf"))
    assert done.returncode == 1 and "m.gguf: not a regular file" in done.stderr
