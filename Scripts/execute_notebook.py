"""Executes a notebook and writes it, with what its cells gave, into a folder: `python execute_notebook.py NOTEBOOK FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

path, folder = Path(sys.argv[1]), Path(sys.argv[2])
os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
notebook = nbformat.read(path, as_version=4)
NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()
nbformat.write(notebook, folder / path.name)
