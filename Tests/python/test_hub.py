"""Models by their names on the Hub: found in this machine's Hugging Face cache, never downloaded."""

import os
import subprocess

import pytest

import moescope as ms

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(root, tmp_path):
    """A cache as huggingface_hub lays it out: blobs, snapshots of links to them, refs."""
    model = tmp_path / "hub/models--someone--Tiny-MoE-v0.1"
    snapshot = model / "snapshots" / COMMIT
    (model / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer.model"):
        (model / "blobs" / f"blob-{name}").symlink_to(root / "Models/polyglot" / name)
        (snapshot / name).symlink_to(f"../../blobs/blob-{name}")
    (model / "refs").mkdir()
    (model / "refs/main").write_text(COMMIT)
    return tmp_path / "hub"


def inspect(root, model, **environment):
    return subprocess.run(
        [root / ".build/release/moescope", "inspect", str(model)], capture_output=True, text=True, cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere", **{name: str(value) for name, value in environment.items()}},
    )  # fmt: skip


def load(name, monkeypatch, **environment):
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, str(value))
    return ms.load(name)


@pytest.mark.parametrize("variable, above", [("HF_HUB_CACHE", 0), ("HUGGINGFACE_HUB_CACHE", 0), ("HF_HOME", 1)])
def test_a_name_is_found_where_the_environment_says(cache, monkeypatch, variable, above):
    model = load("someone/Tiny-MoE-v0.1", monkeypatch, **{variable: cache.parents[above - 1] if above else cache})
    assert model.name == "Tiny-MoE-v0.1" and COMMIT in str(model.path)
    assert model.run("Der Rauch").tokens.tolist() == ms.load("polyglot").encode("Der Rauch")


def test_the_default_is_the_home_folders_cache(cache, monkeypatch, tmp_path):
    (tmp_path / ".cache/huggingface").mkdir(parents=True)
    os.rename(cache, tmp_path / ".cache/huggingface/hub")
    assert load("someone/Tiny-MoE-v0.1", monkeypatch, HOME=tmp_path).name == "Tiny-MoE-v0.1"


def test_the_folder_and_the_snapshot_are_the_model_too(cache, root, monkeypatch):
    folder = cache / "models--someone--Tiny-MoE-v0.1"
    for path in (folder, folder / "snapshots" / COMMIT):
        assert load(path, monkeypatch).name == "Tiny-MoE-v0.1"


def test_revisions(cache, monkeypatch):
    folder = cache / "models--someone--Tiny-MoE-v0.1"
    os.rename(folder / "refs/main", folder / "refs/old")
    # Fetched by a commit alone: there is one snapshot, and it is taken.
    assert load("someone/Tiny-MoE-v0.1", monkeypatch, HF_HUB_CACHE=cache).name == "Tiny-MoE-v0.1"
    assert load("someone/Tiny-MoE-v0.1@old", monkeypatch, HF_HUB_CACHE=cache).name == "Tiny-MoE-v0.1"
    assert load(f"someone/Tiny-MoE-v0.1@{COMMIT}", monkeypatch, HF_HUB_CACHE=cache).name == "Tiny-MoE-v0.1"
    (folder / "snapshots/other").mkdir()
    with pytest.raises(FileNotFoundError, match=f"no revision main.*{COMMIT}, other.*name one: someone/Tiny-MoE-v0.1@{COMMIT}"):
        load("someone/Tiny-MoE-v0.1", monkeypatch, HF_HUB_CACHE=cache)
    with pytest.raises(FileNotFoundError, match="hf download someone/Tiny-MoE-v0.1 --revision new"):
        load("someone/Tiny-MoE-v0.1@new", monkeypatch, HF_HUB_CACHE=cache)


def test_what_is_not_there_is_said_with_the_command_that_fetches_it(cache, root, monkeypatch):
    said = f"the Hugging Face cache \\({cache}\\) holds no model of this name.*hf download mistralai/Mixtral-8x7B-v0.1"
    with pytest.raises(FileNotFoundError, match=said):
        load("mistralai/Mixtral-8x7B-v0.1", monkeypatch, HF_HUB_CACHE=cache)
    done = inspect(root, "mistralai/Mixtral-8x7B-v0.1", HF_HUB_CACHE=cache)
    assert done.returncode == 1 and "hf download mistralai/Mixtral-8x7B-v0.1" in done.stderr
    assert inspect(root, "someone/Tiny-MoE-v0.1", HF_HOME=cache.parent).stdout.startswith("Tiny-MoE-v0.1")
    # A path stays a path, with a path's error.
    with pytest.raises(FileNotFoundError, match="no such file or folder") as error:
        load("./models/x", monkeypatch, HF_HUB_CACHE=cache)
    assert "hf download" not in str(error.value)


def test_a_repository_of_gguf_files(cache, root, monkeypatch):
    snapshot = cache / "models--someone--Tiny-MoE-v0.1/snapshots" / COMMIT
    for path in snapshot.iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match="fetch the whole model: hf download someone/Tiny-MoE-v0.1"):
        load("someone/Tiny-MoE-v0.1", monkeypatch, HF_HUB_CACHE=cache)
    ms.quantize("polyglot", snapshot / "tiny-Q8_0.gguf", type="Q8_0")
    model = load("someone/Tiny-MoE-v0.1", monkeypatch, HF_HUB_CACHE=cache)
    assert model.path.name == "tiny-Q8_0.gguf" and model.name == "tiny-Q8_0"
    (snapshot / "tiny-Q4_0.gguf").touch()
    with pytest.raises(FileNotFoundError, match=r"found tiny-Q4_0\.gguf, tiny-Q8_0\.gguf.*name one: .*tiny-Q4_0\.gguf"):
        load("someone/Tiny-MoE-v0.1", monkeypatch, HF_HUB_CACHE=cache)
