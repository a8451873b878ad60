"""Two workers make the trace that one process makes, also where one of them dies. Needs Ray: requirements-scale.txt."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import moescope as ms

ray = pytest.importorskip("ray")
import moescope.ray  # noqa: E402

OPTIONS = {"capture": ["router_logits"], "max_tokens": 64}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(root / "Python"), os.environ.get("PYTHONPATH", "")])
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": path}})
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def documents() -> list[dict[str, str]]:
    words = "Der Rauch steigt langsam auf und the dog sleeps in front of the house".split()
    generator = np.random.default_rng(1)
    return [
        {"id": f"d{number}", "group": "ab"[number % 2], "text": " ".join(generator.choice(words, 40))} for number in range(60)
    ]


@pytest.fixture(scope="module")
def alone(documents: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> ms.Trace:
    model = ms.load("polyglot", precision="exact")
    return ms.trace(model, documents, output=tmp_path_factory.mktemp("alone") / "t", **OPTIONS)  # type: ignore[arg-type]


def same(first: ms.Trace, second: ms.Trace) -> None:
    for one, other in zip(json.loads(first._native.documents), json.loads(second._native.documents), strict=True):
        for name in ("id", "group", "tokens", "text_sha256", "truncated"):
            assert one[name] == other[name]
    assert first.manifest["corpus"]["tokens_sha256"] == second.manifest["corpus"]["tokens_sha256"]
    assert np.array_equal(first.logprob, second.logprob, equal_nan=True)
    for layer in first.layers:
        assert np.array_equal(first.expert_indices(layer), second.expert_indices(layer))
        assert np.array_equal(first.expert_weights(layer), second.expert_weights(layer))
        assert np.array_equal(first.router_logits(layer), second.router_logits(layer))


def test_two_workers_make_the_same_trace(documents: list[dict[str, str]], alone: ms.Trace, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    trace = moescope.ray.trace(
        "polyglot", documents, output=tmp_path / "t", workers=2, piece_size=2000,
        progress=lambda done, read: seen.append((done, read)), **OPTIONS,
    )
    same(trace, alone)
    assert seen[-1] == (60, 60) and len(seen) > 4
    assert not (tmp_path / "t.parts").exists()


def test_a_worker_that_dies_is_replaced(
    documents: list[dict[str, str]], alone: ms.Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is killed while it has a piece: its documents are done again, once."""
    killed: list[int] = []

    def kill_one() -> None:
        parts = tmp_path / "t.parts"
        while not killed:
            for folder in parts.glob(".0*") if parts.exists() else ():
                manifest = folder / "trace" / ".moescope.lock"
                try:
                    process = int(manifest.read_text().split()[1])
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
                    return
                except (OSError, IndexError, ValueError):
                    continue
            time.sleep(0.002)

    thread = threading.Thread(target=kill_one)
    thread.start()
    try:
        trace = moescope.ray.trace("polyglot", documents, output=tmp_path / "t", workers=2, piece_size=4000, **OPTIONS)
    finally:
        done = list(killed)
        killed.append(0)
        thread.join()
    assert done, "no worker was killed"
    same(trace, alone)


def test_errors_are_the_engine_s(documents: list[dict[str, str]], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="capture: a trace cannot hold 'nonsense'"):
        moescope.ray.trace("polyglot", documents[:2], output=tmp_path / "t", capture=["nonsense"])
    with pytest.raises(ValueError, match="at least one document"):
        moescope.ray.trace("polyglot", [], output=tmp_path / "u")
    # Pieces of other settings are not joined with these.
    (tmp_path / "v.parts").mkdir()
    (tmp_path / "v.parts" / "run.json").write_text("{}")
    with pytest.raises(ValueError, match="of a run with other settings"):
        moescope.ray.trace("polyglot", documents[:2], output=tmp_path / "v", **OPTIONS)
