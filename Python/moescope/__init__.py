"""MoEScope from Python: run a mixture-of-experts model, look at every hook point, change it, trace it, measure it.

    import moescope as ms

    model = ms.load("polyglot")
    run = model.run("Der Rauch steigt auf.", capture=["router_logits"])
    run["blocks.3.router_logits"]                                   # [T, E], float32, the engine's memory

    changed = model.run("Der Rauch steigt auf.", interventions=[ms.ablate(layer=3, experts=[5])])
    changed.logprob - run.logprob

Letters in shapes: T tokens of a document · L layers · E experts · K experts per token · D hidden size ·
H query heads · G key/value heads · d head size · V vocabulary.
"""

import sys as _sys

try:
    import numpy as _numpy  # noqa: F401
except ImportError as error:
    _needed = "moescope needs numpy: pip install numpy, or use an environment that has it (a checkout's: . .venv/bin/activate)"
    # A command that was started as `python -m moescope.…` is no program of the reader's: one line, and no traceback.
    if _sys.argv[:1] == ["-m"]:
        _sys.exit(f"Error: {_needed}")
    raise ImportError(_needed) from error

from moescope import _native as _native  # finds and loads the engine before anything below asks for it
from moescope import metrics
from moescope._moescope import Array, CheckpointError, TokenizerError, TraceError
from moescope._moescope import version as __version__
from moescope.experiments import Experiment, experiment
from moescope.interventions import (
    Intervention,
    ablate,
    exclude,
    force,
    random_routing,
    replace_with,
    scale,
    steer,
    top_k,
)
from moescope.generation import Generation, Step
from moescope.loading import load
from moescope.model import Model
from moescope.points import hooks
from moescope.quantization import quantize
from moescope.report import report
from moescope.runs import Hook, Run
from moescope.tables import Table, table
from moescope.traces import Trace, merge, open_trace, trace
from moescope.weights import Expert, Weights

__all__ = [
    "Array",
    "CheckpointError",
    "Experiment",
    "Expert",
    "Generation",
    "Hook",
    "Intervention",
    "Model",
    "Run",
    "Step",
    "Table",
    "TokenizerError",
    "Trace",
    "TraceError",
    "Weights",
    "__version__",
    "ablate",
    "exclude",
    "experiment",
    "force",
    "hooks",
    "load",
    "merge",
    "metrics",
    "open_trace",
    "quantize",
    "random_routing",
    "replace_with",
    "report",
    "scale",
    "steer",
    "table",
    "top_k",
    "trace",
]
