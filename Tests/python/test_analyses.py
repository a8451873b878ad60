"""Every analysis runs from a checkout by plain python3, ends in a table and a picture, and has --help."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: These read and write other people's tables and machines, and are tested with them (test_export, test_ray).
OTHERS = ("common.py", "specialization_in_sql.py", "trace_on_ray.py")
SCRIPTS = sorted(path for path in (ROOT / "Analyses").glob("*.py") if path.name not in OTHERS)


def start(command, *arguments):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"VIRTUAL_ENV": sys.prefix}
    if sys.prefix == sys.base_prefix:
        environment.pop("VIRTUAL_ENV")
    return subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment, timeout=900)


def test_there_are_eight():
    assert len(SCRIPTS) >= 8
    assert all(len(script.read_text().splitlines()) < 120 for script in SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_analysis_ends_in_a_table_and_a_picture(script, tmp_path):
    picture, table = tmp_path / "p.png", tmp_path / "t.csv"
    small = ["--documents", "5", "--tokens", "48", "--picture", picture, "--csv", table]
    done = start([sys.executable], script, *small)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 5000
    header, *rows = table.read_text().splitlines()
    assert rows and len(done.stdout.splitlines()) == 1 + len(rows) and header.split(",")[0] in done.stdout


#: What a metric defined a second time would need: logarithms, counting, quantiles, resampling.
FORMULAS = ("log(", "log2(", "bincount", "histogram", "quantile", "percentile(", "add.at", "choice(", "softmax", "entropy(")


def test_no_metric_is_defined_here():
    """Numbers with a name come from RoutingMetrics, through ms.metrics and ms.experiment."""
    sources = {path.name: path.read_text() for path in (*SCRIPTS, ROOT / "Analyses/common.py")}
    for path in (ROOT / "Notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        sources[path.name] = "".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")
    # The tour's only count picks an expert of six tokens to switch off.
    sources["tour.ipynb"] = sources["tour.ipynb"].replace("np.bincount(run.expert_indices[layer].ravel()).argmax()", "")
    found = [(name, formula) for name, text in sources.items() for formula in FORMULAS if formula in text]
    assert found == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help_explains_itself(script):
    done = start([sys.executable], script, "--help")
    assert done.returncode == 0 and "--corpus" in done.stdout and len(done.stdout) > 500


def test_both_doors_print_the_same_numbers(tmp_path):
    builds = [ROOT / ".build" / kind / "moescope" for kind in ("release", "debug")]
    found = sorted((b for b in builds if b.exists()), key=lambda b: b.stat().st_mtime)
    if not found:
        pytest.skip("moescope has not been built")
    arguments = [ROOT / "Analyses/language_specialization.py", "--documents", "6", "--tokens", "64"]
    arguments += ["--precision", "exact", "--picture", tmp_path / "p.png"]
    by_python = start([sys.executable], *arguments)
    by_moescope = start([found[-1], "run"], *arguments)
    assert by_python.returncode == 0 and by_moescope.returncode == 0, by_python.stderr + by_moescope.stderr
    assert by_python.stdout == by_moescope.stdout and "information" in by_python.stdout
