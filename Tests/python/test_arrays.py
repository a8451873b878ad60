"""Arrays and tables share memory with whoever looks at them, and keep it alive."""

import ctypes
import gc

import duckdb
import numpy as np
import pandas
import polars
import pyarrow
import pytest

from moescope import _moescope


@pytest.mark.parametrize(
    ("name", "numpy_type"),
    [
        ("f64", np.float64), ("f32", np.float32), ("f16", np.float16), ("i64", np.int64), ("i32", np.int32),
        ("i16", np.int16), ("i8", np.int8), ("u16", np.uint16), ("u8", np.uint8), ("bool", np.bool_),
    ],
)  # fmt: skip
def test_every_interface_sees_the_same_memory(name, numpy_type):
    array = _moescope.array(name, [3, 4], False)
    by_buffer = np.frombuffer(array, dtype=numpy_type).reshape(3, 4)
    by_asarray = np.asarray(array)
    by_dlpack = np.from_dlpack(array)
    by_interface = np.array(type("I", (), {"__array_interface__": array.__array_interface__})(), copy=False)
    for view in (by_buffer, by_asarray, by_dlpack, by_interface):
        assert view.dtype == numpy_type and view.shape == (3, 4)
        assert view.__array_interface__["data"][0] == array.__array_interface__["data"][0]
    assert np.shares_memory(by_asarray, by_dlpack)
    by_asarray[1, 2] = 1
    assert by_dlpack[1, 2] == 1 and by_buffer[1, 2] == 1


def test_memory_outlives_the_array():
    view = np.asarray(_moescope.array("f32", [1000, 1000], False))
    by_dlpack = np.from_dlpack(_moescope.array("i32", [1000], False))
    gc.collect()
    view[:] = 3
    by_dlpack[:] = 4
    assert view.sum() == 3_000_000 and by_dlpack.sum() == 4000


def test_read_only_arrays_refuse_to_be_written():
    array = _moescope.array("f32", [4], True)
    view = np.asarray(array)
    assert not view.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    with pytest.raises(TypeError, match="not writable"):
        (ctypes.c_float * 4).from_buffer(array)
    # DLPack before 1.0 cannot say "read-only"; 1.0 can.
    with pytest.raises(BufferError, match="read-only"):
        array.__dlpack__()
    assert not np.from_dlpack(array).flags.writeable
    copy = array.__dlpack__(copy=True)
    assert "dltensor" in repr(copy)


def test_dlpack_only_offers_the_cpu():
    array = _moescope.array("f32", [4], False)
    assert array.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError, match="CPU"):
        array.__dlpack__(dl_device=(2, 0))
    array.__dlpack__()  # a capsule that nobody takes frees itself


def test_unusual_shapes():
    assert np.asarray(_moescope.array("f32", [], False)).shape == ()
    assert np.asarray(_moescope.array("f32", [0, 5], False)).shape == (0, 5)
    assert np.asarray(_moescope.array("u8", [1, 1, 7], False)).strides == (7, 7, 1)
    with pytest.raises(ValueError, match="negative"):
        _moescope.array("f32", [-1], False)
    with pytest.raises(ValueError, match="bf17"):
        _moescope.array("bf17", [1], False)
    with pytest.raises(ValueError, match="memory"):
        _moescope.array("f32", [2**40, 2**40], False)


def test_torch_takes_arrays():
    torch = pytest.importorskip("torch")
    array = _moescope.array("f32", [2, 3], False)
    tensor = torch.from_dlpack(array)
    tensor[1, 2] = 7
    assert np.asarray(array)[1, 2] == 7
    assert tensor.data_ptr() == array.__array_interface__["data"][0]


@pytest.fixture
def table():
    columns = [
        ("layer", [0, 1, None]),
        ("group", ["de", None, "größer als 🙂"]),
        ("share", [0.5, None, 2]),
        ("flag", [True, False, None]),
    ]
    return _moescope.table("example", columns)


def test_arrow_consumers(table):
    arrow = pyarrow.table(table)
    arrow.validate(full=True)
    assert arrow.schema.field("layer").type == pyarrow.int64()
    assert arrow.to_pydict() == {
        "layer": [0, 1, None],
        "group": ["de", None, "größer als 🙂"],
        "share": [0.5, None, 2.0],
        "flag": [True, False, None],
    }
    frame = polars.DataFrame(table)
    assert frame["group"].to_list() == ["de", None, "größer als 🙂"]
    by_pandas = pandas.DataFrame.from_arrow(table)
    assert by_pandas["share"].tolist()[0] == 0.5 and by_pandas["share"].isna().sum() == 1
    assert duckdb.sql("select sum(share) from arrow").fetchall() == [(2.5,)]


def test_arrow_memory_outlives_the_table():
    arrow = pyarrow.table(_moescope.table("t", [("x", list(range(1000)))]))
    gc.collect()
    assert pyarrow.compute.sum(arrow["x"]).as_py() == 499_500
    stream = _moescope.table("t", [("x", [1.0])]).__arrow_c_stream__()
    del stream  # one that nobody reads frees itself


def test_empty_and_odd_tables():
    assert pyarrow.table(_moescope.table("none", [])).num_columns == 0
    assert pyarrow.table(_moescope.table("empty", [("x", [])])).num_rows == 0
    with pytest.raises(ValueError, match="expected 2 values, found 1"):
        _moescope.table("t", [("x", [1, 2]), ("y", [1])])
    with pytest.raises(TypeError, match="one type"):
        _moescope.table("t", [("x", [1, "a"])])
