"""How Sphinx builds the site: `make docs`. Pages are Markdown; Scripts/docs puts what is generated beside them."""

import inspect
import os
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, os.environ["MOESCOPE_CHECKOUT"] + "/Python")
import moescope

project = "MoEScope"
author = "The MoEScope authors"
copyright = "The MoEScope authors, Apache-2.0"  # noqa: A001: Sphinx's name
version = release = moescope.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
templates_path: list[str] = []

html_theme = "furo"
html_title = f"MoEScope {release}"
html_static_path = ["_static"]
html_css_files = ["moescope.css"]
html_copy_source = False
html_show_sourcelink = False
# What lies in here is copied as it is: the Swift reference, if it was built.
html_extra_path = ["extra"] if (Path(__file__).parent / "extra").is_dir() else []

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# Notebooks are executed before Sphinx sees them, in the environment that has the package.
nb_execution_mode = "off"
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autoclass_content = "class"
autodoc_class_signature = "separated"
add_module_names = False
suppress_warnings = ["myst.xref_missing"]


def _as_rst(app: Any, what: str, name: str, object: Any, options: Any, lines: list[str]) -> None:
    """Docstrings have code in single backticks, code blocks by indentation, and name arguments as `capture: hook points …`, with what
    follows indented: those lines become a list."""
    lines[:] = [re.sub(r"(?<![`:\w])`([^`]+)`(?!`)", r"``\1``", line) for line in lines]
    if what not in ("function", "method"):
        return
    known = set(inspect.signature(object).parameters)
    found: list[str] = []
    in_list = False
    for line in lines:
        head = re.match(r"(\w+(?:, \w+)*): (.*)", line)
        if head and set(head[1].split(", ")) <= known:
            found += ([] if in_list else [""]) + [f"* **{head[1]}**: {head[2]}"]
            in_list = True
        elif in_list and line.startswith(" "):
            found.append("  " + line.strip())
        else:
            if in_list and line.strip():
                found.append("")
            in_list = in_list and not line.strip()
            found.append(line)
    lines[:] = found


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", _as_rst)
