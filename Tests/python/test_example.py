"""Reports/Example/ is what `make example` makes: from the same trace, the same bytes."""

import pathlib
import re
import subprocess

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "Reports/Example"


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in (".html", ".csv", ".json")}


def claims(page):
    return re.findall(r'<p class="claim">(.*?)</p>', page.read_text(encoding="utf-8"))


def test_example_is_rebuilt_byte_for_byte(tmp_path):
    done = subprocess.run([REPOSITORY / "Scripts/example", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert files(tmp_path) == files(EXAMPLE)
    assert sum(path.stat().st_size for path in EXAMPLE.rglob("*") if path.is_file()) < 3_100_000
    assert len(claims(tmp_path / "index.html")) == 4
    assert (tmp_path / "trace.sha256").read_text() == (EXAMPLE / "trace.sha256").read_text(), "exact traces have the same bits everywhere"
    different = [name for name in sorted(files(EXAMPLE)) if (tmp_path / name).read_bytes() != (EXAMPLE / name).read_bytes()]
    assert different == [], f"run `make example` and look at what changed: {different}"
