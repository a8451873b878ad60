"""Kills, full disks, two writers, flipped bits and terminals, a few of each; `make endurance` runs hundreds."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

import moescope as ms

SLEEPING_CHILD = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
import moescope as ms

def kill(documents, *_):
    if documents >= 2:
        child = os.fork()
        if child == 0:
            os.close(1)
            time.sleep(60)
            os._exit(0)
        print(child, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

texts = [f"{n}. Der Rauch steigt auf." for n in range(6)]
ms.trace(ms.load("polyglot", precision="exact"), texts, output=sys.argv[2], wave_tokens=1, progress=kill)
"""


@pytest.fixture(scope="session")
def command(root):
    return str(root / ".build/release/moescope")


def test_a_few_of_every_check(root, command, tmp_path):
    counts = {
        "kills": 2, "early": 3, "disks": 1, "pairs": 2, "flips": 10, "experiments": 2, "gigabytes": 0, "documents": 8,
    }  # fmt: skip
    options = [word for name, count in counts.items() for word in (f"--{name}", str(count))]
    found = subprocess.run(
        [sys.executable, root / "Scripts/endurance", "--moescope", command, "--work", tmp_path / "work", *options],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    rows = [line.split(" | ") for line in found.stdout.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == ["| kills", "| early", "| disks", "| pairs", "| flips", "| experiments"]
    assert all(row[2] == "0" for row in rows[2:])
    assert not list((tmp_path / "work").iterdir())


def test_a_lock_does_not_outlive_its_process_in_a_forked_child(root, model, tmp_path):
    """Killed while a child that it forked lives on: the folder is free."""
    found = subprocess.run(
        [sys.executable, "-c", SLEEPING_CHILD, root / "Python", tmp_path / "t"],
        stdout=subprocess.PIPE, text=True, timeout=120,
    )  # fmt: skip
    assert found.returncode == -signal.SIGKILL
    child = int(found.stdout)
    try:
        assert (tmp_path / "t/.moescope.lock").exists()
        texts = [f"{n}. Der Rauch steigt auf." for n in range(6)]
        trace = ms.trace(model, texts, output=tmp_path / "t", wave_tokens=1, resume=True)
        assert trace.is_complete and len(trace) == 6
        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)


def on_a_terminal(arguments):
    """Exit code and what the command wrote to a terminal."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(arguments[0], arguments)
    written = b""
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not piece:
            break
        written += piece
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), written


def test_names_steer_no_terminal(command, model, tmp_path):
    """Groups of a corpus may be called anything; a pipe gets them as they are."""
    name = "a\x1b]0;title\x07\x9b2Jb"
    documents = [
        {"group": group, "text": f"{n}. Der Rauch steigt langsam auf."} for group in (name, "plain") for n in range(8)
    ]
    ms.trace(model, documents, output=tmp_path / "t")
    arguments = [command, "metrics", str(tmp_path / "t"), "domain-share", "--bootstrap", "2", "--permutations", "2"]
    code, written = on_a_terminal(arguments)
    text = written.decode()
    assert code == 0 and "a\\x1b]0;title\\x07\\x9b2Jb" in text
    assert not {c for c in text if (ord(c) < 32 and c not in "\r\n\t") or 127 <= ord(c) < 160}
    piped = subprocess.run([*arguments, "--json"], capture_output=True, text=True, check=True).stdout
    assert name in {group["name"] for group in json.loads(piped)["sample"]["groups"]}
    # The report's colours are ours, and nothing else steers.
    code, written = on_a_terminal([command, "report", str(tmp_path / "t"), "--bootstrap", "2", "--permutations", "2"])
    assert code == 0 and b"\x1b[1m" in written and b"\x1b]" not in written and b"\x07" not in written
