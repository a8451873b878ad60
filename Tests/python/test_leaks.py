"""Nothing is leaked: every call many times, memory and reference counts beside it."""

import gc
import resource
import sys

import numpy as np
import pytest

import moescope as ms
from moescope import _moescope

CALLS = 10_000
# KiB that a round of calls may keep.
LIMIT = 300


def resident_kib() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def held_by(call) -> int:
    """KiB that stay after CALLS calls, beyond what the first 500 took."""
    for _ in range(500):
        call()
    gc.collect()
    before = resident_kib()
    for _ in range(CALLS):
        call()
    gc.collect()
    return resident_kib() - before


def swallow(call, error):
    def silently():
        try:
            call()
        except error:
            return
        raise AssertionError(f"expected {error}")

    return silently


NAME = "a name long enough to be seen if it stayed " * 4


@pytest.fixture(scope="module")
def small(root):
    """A checkpoint whose passes take less than a millisecond."""
    return ms.load(root / "Tests/Fixtures/parity/grouped", precision="exact", threads=1)


@pytest.fixture(scope="module")
def calls(model, small, traced):
    native = model._native
    tokens = model.encode("Rauch")
    edit = [("embed", lambda array, name, document: None)]
    failing = [("embed", lambda array, name, document: 1 / 0)]
    table = _moescope.table("t", [("x", [1, None]), ("y", ["a", NAME])])
    array = _moescope.array("f32", [256, 64], False)

    def run(**changes):
        values = {"capture": [], "edits": [], "interventions": "[]"} | changes
        return small._native.run(
            [[1, 2, 3]], [], 0, values["capture"], None, None, values["interventions"], values["edits"], True
        )

    return {
        "array": lambda: _moescope.array("f32", [64, 64], False),
        "asarray": lambda: np.asarray(array),
        "dlpack": lambda: np.from_dlpack(array),
        "dlpack unused": lambda: array.__dlpack__(max_version=(1, 0)),
        "dlpack copy": lambda: array.__dlpack__(copy=True),
        "interface": lambda: array.__array_interface__,
        "attributes": lambda: (array.shape, array.dtype, array.nbytes, array.readonly, repr(array)),
        "table": lambda: _moescope.table("t", [("x", [1.5, None]), ("y", [NAME, None])]),
        "arrow unused": lambda: table.__arrow_c_stream__(),
        "column": lambda: (table.column("y"), table.columns, table.notes, table.name, len(table)),
        "hooks": lambda: _moescope.hooks(),
        "hook points": lambda: _moescope.hook_points("router_logits", native),
        "encode": lambda: (native.encode(NAME), native.decode(tokens), native.pieces(tokens), native.facts),
        "run": run,
        "run capture": lambda: run(capture=["router_logits", "attn.pattern"]),
        "run edit": lambda: run(edits=edit),
        "session": lambda: _moescope.session(small._native, None).append([1, 2], ["router_logits"], None, "[]", edit),
        "rows": lambda: traced._native.rows("token"),
        "layer": lambda: traced._native.layer("router_logits", 0),
        "pattern": lambda: (traced._native.pattern(0, 1, 0), traced._native.patterns()),
        "trace facts": lambda: (traced._native.manifest, traced._native.documents),
        "open trace": lambda: _moescope.open_trace(str(traced.path)),
        "metric": lambda: _moescope.metric(traced._native, "load", '{"bootstrap": 0, "layers": [0]}'),
        "definitions": lambda: _moescope.metric_definitions(),
        "wrong name": swallow(lambda: run(capture=["router_logit"]), ValueError),
        "wrong type": swallow(lambda: run(capture=[3]), TypeError),
        "failing edit": swallow(lambda: run(edits=failing), ZeroDivisionError),
        "no model": swallow(lambda: _moescope.load("/no/model", "exact", None, None), FileNotFoundError),
        "no trace": swallow(lambda: _moescope.open_trace("/no/trace"), FileNotFoundError),
        "no column": swallow(lambda: table.column("z"), KeyError),
        "no array": swallow(lambda: _moescope.array("f32", [-1], False), ValueError),
    }


NAMES = [
    "array", "asarray", "dlpack", "dlpack unused", "dlpack copy", "interface", "attributes", "table", "arrow unused",
    "column", "hooks", "hook points", "encode", "run", "run capture", "run edit", "session", "rows", "layer", "pattern",
    "trace facts", "open trace", "metric", "definitions", "wrong name", "wrong type", "failing edit", "no model",
    "no trace", "no column", "no array",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_memory_stays(calls, name):
    assert set(calls) == set(NAMES)
    # 10,000 leaks of the smallest Python object are 300 KiB and more, in every round; what an allocator rounds up and
    # keeps comes once.
    rounds = []
    while len(rounds) < 4 and min(rounds, default=LIMIT) >= LIMIT:
        rounds.append(held_by(calls[name]))
    assert min(rounds) < LIMIT, f"{name}: KiB kept in each round: {rounds}"


def test_reference_counts_stay(small):
    value, name, tokens = object(), "embed", [1, 2, 3]
    callback = lambda array, name, document: None  # noqa: E731
    watched = [None, True, callback, tokens, value, ms.Array, name, small._native]
    before = [sys.getrefcount(item) for item in watched]
    for _ in range(1000):
        small._native.run([tokens], [], 0, [name], None, None, "[]", [(name, callback)], True)
        with pytest.raises(TypeError):
            small._native.run([value], [], 0, [], None, None, "[]", [], True)
    gc.collect()
    after = [sys.getrefcount(item) for item in watched]
    assert all(abs(b - a) < 50 for a, b in zip(before, after, strict=True)), (before, after)
