"""Every code block of the documentation runs, from top to bottom of its page, and gives what the page says."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import moescope as ms

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Blocks that are run; "text" is what is shown only, such as installing.
RUN = ("python", "sh")


def blocks(page, language):
    return [code for name, code in BLOCK.findall(page.read_text(encoding="utf-8")) if name == language]


def logits(names, printed, folder):
    # In layer 3, the choice is of the largest logits.
    assert names["logits"].shape == (6, len(names["run"]), 8)
    assert (names["logits"][3].argmax(1) == names["run"].expert_indices[3, :, 0]).all()


def load(names, printed, folder):
    shares = names["shares"]
    assert set(shares.group) == {"code", "de", "en", "es", "fr", "it"}
    np.testing.assert_allclose(shares.groupby(["layer", "group"]).share.sum(), 1, atol=1e-9)


def streamed(names, printed, folder):
    assert len(names["trace"]) == 60 and names["trace"].is_complete


def ablation(names, printed, folder):
    cost = names["cost"]
    assert cost.shape == (6, 8)
    alone = names["model"].run(names["text"], interventions=names["ms"].ablate(layer=4, experts=1))
    assert cost[4, 1] == pytest.approx(alone.nll - names["model"].run(names["text"]).nll, abs=1e-3)
    assert (folder / "ablation.png").stat().st_size > 2000


def residuals(names, printed, folder):
    assert len(names["paths"]) == 500 == len(list((folder / "residuals").iterdir()))
    assert names["residuals"].shape[1] == names["model"].config.hidden_size


def lens(names, printed, folder):
    # The last layer's lens is what the model says.
    said = names["model"].run(names["run"].tokens, capture="logits")["logits"].argmax(-1)
    assert (names["guesses"][-1] == said).all() and names["guesses"].shape == (6, len(said))


def attention(names, printed, folder):
    np.testing.assert_allclose(names["run"]["blocks.1.attn.pattern"].sum(-1), 1, atol=1e-4)
    assert (folder / "attention.png").stat().st_size > 5000


def steering(names, printed, folder):
    assert names["plain"].text != names["steered"].text and printed.count("of layer 5") == 2


def comparing(names, printed, folder):
    kept = names["tables"]["agreement"]
    assert len(kept) == 6 and all(0.9 < row["overlap"] < 1 for row in kept)


def patching(names, printed, folder):
    effect = names["effect"]
    # All of it is in the row of the word that differs (3) at first, and in the row that predicts the last one (6) at the end.
    whole = effect[-1, 6]
    assert whole == pytest.approx(5.02 - 1.72, abs=0.02)
    assert np.abs(effect[:, :3]).max() < 1e-5 and np.abs(effect[-1, :6]).max() == 0 and effect[0, 3] > 0.9 * whole


def weights(names, printed, folder):
    np.testing.assert_allclose(np.diag(names["rows"] @ names["rows"].T), 1, atol=1e-5)


def pca(names, printed, folder):
    assert names["explained"].sum() == pytest.approx(1, abs=1e-5) and (np.diff(names["explained"]) <= 1e-6).all()


def probe(names, printed, folder):
    assert float(printed.split()[1]) > 0.6 and names["test"].sum() == 24


CHECKS = {
    "router-logits": logits, "load-by-language": load, "streamed-corpus": streamed, "ablation-map": ablation,
    "residuals-on-disk": residuals, "logit-lens": lens, "attention-plot": attention, "steering": steering,
    "comparing-models": comparing, "patching": patching, "weights": weights, "router-pca": pca, "linear-probe": probe,
}  # fmt: skip


def lines(code):
    return len([line for line in code.splitlines() if line.strip()])


def test_there_is_a_page_for_each_question():
    pages = {page.stem: page for page in PAGES if page.parent.name == "how-to" and page.stem != "index"}
    assert set(pages) == set(CHECKS)
    for page in pages.values():
        (code,) = blocks(page, "python")
        # No longer than the same with nnsight or transformers.
        assert lines(code) <= lines((ROOT / f"Tests/twins/{page.stem}.py").read_text()), page.stem


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_python_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    import matplotlib

    matplotlib.use("Agg")
    names = {"__name__": "page"}
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        for code in blocks(page, "python"):
            exec(compile(code, str(page), "exec"), names)
    matplotlib.pyplot.close("all")
    if check := CHECKS.get(page.stem):
        check(names, said.getvalue(), tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")], ids=lambda page: page.stem)
def test_commands_run(page, tmp_path):
    path = [str(ROOT / ".build/release"), str(ROOT / ".venv/bin"), os.environ["PATH"]]
    for code in blocks(page, "sh"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PATH": os.pathsep.join(path), "VIRTUAL_ENV": sys.prefix, "PYTHONPATH": str(ROOT / "Python")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_blocks_are_of_known_kinds():
    """A block that is not run says so by its kind."""
    for page in PAGES:
        kinds = {name for name, _ in BLOCK.findall(page.read_text(encoding="utf-8"))}
        assert kinds <= {*RUN, "text", "json", "bibtex"}, page


def test_what_the_program_prints_becomes_pages(tmp_path):
    """Every command, hook point and metric has its place, and every metric says when not to use it."""
    source, notebooks = tmp_path / "source", tmp_path / "notebooks"
    shutil.copytree(ROOT / "docs", source)
    notebooks.mkdir()
    (notebooks / "tour.ipynb").write_text("{}")
    subprocess.run([sys.executable, ROOT / "Scripts/docs_pages.py", source, notebooks], check=True)
    reference = {name: (source / f"reference/{name}.md").read_text() for name in ("command-line", "hooks", "metrics")}
    assert all(f"## {name}\n" in reference["command-line"] for name in ("trace", "report", "experiment", "run", "hooks"))
    assert all(f"| `{row['name']}` |" in reference["hooks"] for row in ms.hooks())
    for name in [*ms.metrics.names(), "agreement", "saturation"]:
        section = reference["metrics"].split(f"## {name}\n")[1].split("\n## ")[0]
        assert "**Source**" in section and len(section.split("**When not to use it**: ")[1]) > 30
    assert json.loads((source / "reference/when-not.json").read_text()).keys() == {*ms.metrics.names(), "agreement", "saturation"}
    assert "tour" in (source / "notebooks/index.md").read_text()


def test_every_public_name_is_in_the_reference_of_python():
    page = (ROOT / "docs/reference/python.md").read_text()
    for name in set(ms.__all__) - {"Array", "__version__", "metrics"}:
        # Interventions are listed together.
        assert f"moescope.{name}\n" in page or re.search(rf":members:.* {name}\b", page), name
