"""What the set-up promises: the interpreter libpython3-dev belongs to, and the figures' library."""

import pathlib
import sys

repository = pathlib.Path(__file__).resolve().parents[2]


def test_python_is_new_enough():
    assert sys.version_info >= (3, 11)


def test_vega_bundle_cannot_end_its_script_element():
    text = (repository / ".cache/vega-bundle.js").read_text(encoding="utf-8")
    assert len(text) > 500_000
    assert "</script" not in text.lower()
    assert "window.vegaEmbed" in text
