"""Files that are hostile, or change while they are read, and Ctrl-C: an error that names the file, never a signal."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import moescope as ms


@pytest.fixture(scope="module")
def command(root):
    return root / ".build/release/moescope"


def test_inputs_that_did_harm_are_refused(root, tmp_path):
    run = subprocess.run(
        [root / ".build/release/moescope-fuzz", "replay", "--output", tmp_path],
        cwd=root, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0 and run.stdout.endswith(" 0 failures\n"), run.stdout + run.stderr
    kept = [case for folder in (root / "Tests/Fixtures/hostile").iterdir() if folder.name != "seeds" for case in folder.glob("*/")]
    assert run.stdout.startswith(f"{len(kept)} kept inputs read")


def copy_of_polyglot(root, folder):
    folder.mkdir()
    for file in (root / "Models/polyglot").iterdir():
        if file.suffix in {".json", ".safetensors", ".model"}:
            shutil.copy(file, folder)
    return folder


def when(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stderr.read()
        if time.monotonic() > deadline:
            process.kill()
            pytest.fail("what was waited for did not happen in two minutes")
        time.sleep(0.02)


def test_a_model_cut_short_while_it_runs_is_an_error_and_the_trace_goes_on(root, command, tmp_path):
    model = copy_of_polyglot(root, tmp_path / "model")
    weights = model / "model.safetensors"
    corpus = tmp_path / "c.jsonl"
    texts = [json.loads(line) for line in (root / "Models/polyglot/heldout.jsonl").open()][:200]
    corpus.write_text("".join(json.dumps(text) + "\n" for text in texts))
    arguments = [command, "trace", model, "--corpus", corpus, "--output", tmp_path / "t", "--threads", "1"]
    arguments += ["--max-tokens", "200", "--wave-tokens", "400"]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    when((tmp_path / "t/shards/000001.safetensors").exists, process)
    whole = weights.read_bytes()
    os.truncate(weights, len(whole) // 4)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 1, (process.returncode, said)
    assert f"{weights}: the file was cut short" in said
    partial = ms.open_trace(tmp_path / "t")
    assert not partial.is_complete and len(partial) > 0
    weights.write_bytes(whole)
    assert subprocess.run([*arguments, "--resume"], capture_output=True, timeout=300).returncode == 0
    fresh = [tmp_path / "fresh" if part == tmp_path / "t" else part for part in arguments]
    assert subprocess.run(fresh, capture_output=True, timeout=300).returncode == 0
    one, two = ms.open_trace(tmp_path / "t"), ms.open_trace(tmp_path / "fresh")
    assert one.is_complete and (one.router_logits(3) == two.router_logits(3)).all()


def has_worked(process, seconds):
    """Whether a process has used so much processor time."""
    fields = open(f"/proc/{process.pid}/stat").read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) > seconds * os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("verb", ["metrics", "report"])
def test_a_shard_cut_short_while_it_is_read_is_an_error(command, traced, tmp_path, verb):
    folder = tmp_path / "t"
    shutil.copytree(traced.path, folder)
    shard = sorted((folder / "shards").iterdir())[0]
    page = tmp_path / "page.html"
    # So many permutations that shards are read again long after they were first read.
    arguments = [command, verb, folder, "--permutations", "200000", "--minimum-documents", "1"]
    arguments += ["--json"] if verb == "metrics" else ["--html", page]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    when(lambda: has_worked(process, 0.4), process)
    os.truncate(shard, 100)
    printed, said = process.communicate(timeout=300)
    assert process.returncode == 1, (process.returncode, printed[-300:], said)
    assert str(shard) in said and not printed and not page.exists()


def test_control_c_ends_metrics_at_once(command, traced):
    process = subprocess.Popen(
        [command, "metrics", traced.path, "--permutations", "10000000", "--minimum-documents", "1"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    when(lambda: has_worked(process, 1), process)
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT) and not printed
    assert time.monotonic() - pressed < 10


def test_a_model_cut_short_in_python_is_an_error(root, tmp_path):
    folder = copy_of_polyglot(root, tmp_path / "model")
    model = ms.load(str(folder))
    other = ms.load("polyglot")
    before = other.run("Der Rauch").logprob[1:].tolist()
    os.truncate(folder / "model.safetensors", 1 << 20)
    with pytest.raises(ms.CheckpointError, match=r"model\.safetensors: the file was cut short"):
        model.run("Der Rauch")
    assert other.run("Der Rauch").logprob[1:].tolist() == before


def test_weights_that_change_during_a_run_are_noticed(root, tmp_path):
    folder = copy_of_polyglot(root, tmp_path / "model")
    model, weights = ms.load(str(folder)), folder / "model.safetensors"

    def touch(*_):
        os.utime(weights)

    # Another time and the same bytes: nothing has happened.
    assert ms.trace(model, ["Der Rauch"], output=tmp_path / "touched", progress=touch).is_complete

    last = weights.read_bytes()[-1]

    def change(*_):
        with weights.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last ^ 1]))

    with pytest.raises(ms.CheckpointError, match=r"model\.safetensors: the file was changed while the model ran"):
        ms.trace(model, ["Der Rauch"], output=tmp_path / "changed", progress=change)
    assert not ms.open_trace(tmp_path / "changed").is_complete


@pytest.mark.parametrize(
    "work", ["ms.report(ms.open_trace(sys.argv[1]), html=out)", "ms.quantize('polyglot', out, type='Q4_K_M')"]
)
def test_control_c_ends_what_takes_long_within_a_second(root, traced, tmp_path, work):
    script = textwrap.dedent(
        f"""
        import itertools, sys
        import moescope as ms
        print("begun", flush=True)
        try:
            for number in itertools.count():
                out = f"{{sys.argv[2]}}{{number}}"
                {work}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, traced.path, tmp_path / "out"], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(root / "Python")},
    )  # fmt: skip
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.7)
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n"
    # One second on an idle machine; this bound only catches work that goes on regardless.
    assert time.monotonic() - pressed < 10
    process.wait(60)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "tokenizer.json", "config.json", "generation_config.json"])
def test_a_pipe_in_place_of_a_file_is_refused(root, command, tmp_path, name):
    folder = tmp_path / "model"
    shutil.copytree(root / "Tests/Fixtures/hub-folders/Mixtral-8x22B-Instruct-v0.1", folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    run = subprocess.run(
        [command, "generate", folder, "--prompt", "x", "--max-tokens", "2"], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 1 and f"{folder / name}: " in run.stderr and "not a regular file" in run.stderr


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "does not end"),
        ("{{ 'x' * 99999999999 }}", "takes more than"),
    ],
)
def test_a_chat_template_that_does_not_end_is_an_error(root, command, tmp_path, template, said):
    folder = tmp_path / "model"
    shutil.copytree(root / "Tests/Fixtures/hub-folders/Qwen3-30B-A3B", folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": template}))
    run = subprocess.run(
        [command, "generate", folder, "--chat", "--prompt", "x", "--max-tokens", "2"],
        capture_output=True, text=True, timeout=120, env=os.environ | {"VIRTUAL_ENV": sys.prefix},
    )  # fmt: skip
    assert run.returncode == 1 and said in run.stderr, run.stderr
