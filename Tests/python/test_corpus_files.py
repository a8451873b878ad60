"""Corpora as other programs keep them: the same documents, whatever the file."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv, feather, parquet

import moescope as ms
from moescope import corpus_files

ROWS = [{"body": f"text {number}, \"quoted\"\nand a line", "lang": "de" if number % 2 else "en", "key": f"k{number}"} for number in range(20)]
EXPECTED = [{"id": row["key"], "group": row["lang"], "text": row["body"]} for row in ROWS]
COLUMNS = {"text": "body", "group": "lang", "id": "key"}


def write(folder: Path, kind: str) -> Path:
    table = pa.Table.from_pylist(ROWS)
    path = folder / f"c{kind}"
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    match kind:
        case ".parquet":
            parquet.write_table(table, path, row_group_size=7)
        case ".arrow":  # the stream format, as datasets writes it
            with pa.ipc.new_stream(path, table.schema) as sink:
                sink.write_table(table, max_chunksize=6)
        case ".feather":
            feather.write_feather(table, path)
        case ".csv":
            csv.write_csv(table, path)
        case ".jsonl.gz":
            path.write_bytes(gzip.compress(lines))
        case ".jsonl.zst":
            with pa.CompressedOutputStream(str(path), "zstd") as sink:
                sink.write(lines)
        case "folder":
            path.mkdir()
            with pa.ipc.new_stream(path / "data-00000-of-00001.arrow", table.schema) as sink:
                sink.write_table(table)
            (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    return path


KINDS = [".parquet", ".arrow", ".feather", ".csv", ".jsonl.gz", ".jsonl.zst", "folder"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_documents(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path, kind)
    assert list(corpus_files.read(path, **COLUMNS)) == EXPECTED
    assert list(corpus_files.read(path, **COLUMNS, max_documents=3)) == EXPECTED[:3]


def test_samples_are_reproducible_even_and_in_order(tmp_path: Path) -> None:
    path = write(tmp_path, ".parquet")
    drawn = list(corpus_files.read(path, **COLUMNS, sample=5, seed=3))
    assert drawn == list(corpus_files.read(path, **COLUMNS, sample=5, seed=3))
    assert drawn != list(corpus_files.read(path, **COLUMNS, sample=5, seed=4))
    assert [EXPECTED.index(row) for row in drawn] == sorted(EXPECTED.index(row) for row in drawn)
    counts = [0] * 20
    for seed in range(400):
        for row in corpus_files.read(path, **COLUMNS, sample=5, seed=seed):
            counts[EXPECTED.index(row)] += 1
    # 400 draws of 5 of 20: 100 each, standard deviation 8.7.
    assert all(abs(count - 100) < 40 for count in counts)


def test_a_model_reads_them(model: ms.Model, tmp_path: Path) -> None:
    path = write(tmp_path, ".parquet")
    trace = ms.trace(model, path, text="body", group="lang", id="key", output=tmp_path / "t", max_tokens=8)
    assert trace.documents["id"] == [row["key"] for row in ROWS] and trace.groups == ["de", "en"]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, ".csv")
    with pytest.raises(ValueError, match=r"c\.csv: there is no column 'txt'"):
        list(corpus_files.read(path, text="txt"))
    with pytest.raises(ValueError, match=r"c\.csv: .*no column \"text\""):
        list(corpus_files.read(path))
    (tmp_path / "no.parquet").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"no\.parquet: expected Parquet"):
        list(corpus_files.read(tmp_path / "no.parquet"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        list(corpus_files.read(tmp_path / "none.csv"))
    folder = tmp_path / "dict"
    folder.mkdir()
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    with pytest.raises(ValueError, match=r"several data sets \(train, test\); choose one"):
        list(corpus_files.read(folder))
