"""Rows in: what a file says is what the audit reads, or an error that names the column or the file."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from audit.dataset import BATCH, Dataset, data_digest, find_files, open_dataset
from audit.errors import AuditError
from audit.prepare import _groups
from audit.roles import Roles
from audit.scored import _hash, coded, codes, sample_rows


def csv(folder: Path, text: str | bytes, name: str = "d.csv") -> Dataset:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return open_dataset(str(path))


def texts(dataset: Dataset, column: str) -> list[str | None]:
    return [row[0] for row in dataset.ask({"v": dataset.text(column)})]


def numbers(dataset: Dataset, column: str) -> list[float | None]:
    return [row[0] for row in dataset.ask({"v": dataset.number(column)})]


# --- csv -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "kind", "read"),
    [
        (["1", "2"], "BIGINT", ["1", "2"]),
        (["-5", "0"], "BIGINT", ["-5", "0"]),
        (["007", "012"], "VARCHAR", ["007", "012"]),
        (["0.5", "2"], "DOUBLE", ["0.5", "2.0"]),
        (["1.0", "2.0"], "DOUBLE", ["1", "2"]),
        (["1e3", "2"], "DOUBLE", ["1000", "2"]),
        (["true", "FALSE"], "BOOLEAN", ["true", "false"]),
        (["yes", "no"], "VARCHAR", ["yes", "no"]),
        (["NA", "DE"], "VARCHAR", ["NA", "DE"]),
        (["NA", "1"], "BIGINT", [None, "1"]),
        (["NaN", "1.5"], "DOUBLE", [None, "1.5"]),
        (["N/A", "null", "None", "7"], "BIGINT", [None, None, None, "7"]),
        (["inf", "1.5"], "DOUBLE", ["inf", "1.5"]),
        (["9007199254740993", "1"], "BIGINT", ["9007199254740993", "1"]),
        (["9223372036854775807", "-9223372036854775808"], "BIGINT", ["9223372036854775807", "-9223372036854775808"]),
        (["18446744073709551615", "18446744073709551614"], "VARCHAR", ["18446744073709551615", "18446744073709551614"]),
        (["9007199254740993", "0.5"], "VARCHAR", ["9007199254740993", "0.5"]),
        (["12-3", "4"], "VARCHAR", ["12-3", "4"]),
        (["2020-01-01", "2020-01-02"], "VARCHAR", ["2020-01-01", "2020-01-02"]),
        (["ü", "日本"], "VARCHAR", ["ü", "日本"]),
        (['"a,b"', '"say ""hi"""'], "VARCHAR", ["a,b", 'say "hi"']),
        (['"two\nlines"', "one"], "VARCHAR", ["two\nlines", "one"]),
        (["''", "o'neill"], "VARCHAR", ["''", "o'neill"]),
    ],
)
def test_a_csv_column_has_its_narrowest_exact_type(tmp_path: Path, cells: list[str], kind: str, read: list[str | None]) -> None:
    dataset = csv(tmp_path, "x,y\n" + "".join(f"{cell},1\n" for cell in cells))
    assert dataset.types["x"] == kind
    assert texts(dataset, "x") == read


def test_an_empty_cell_is_missing(tmp_path: Path) -> None:
    dataset = csv(tmp_path, "x,n\na,1\n,\n")
    assert texts(dataset, "x") == ["a", None]
    assert numbers(dataset, "n") == [1.0, None]


def test_a_column_without_any_value_is_text_and_missing(tmp_path: Path) -> None:
    dataset = csv(tmp_path, "x,y\n,1\n,2\n")
    assert dataset.types == {"x": "VARCHAR", "y": "BIGINT"}
    assert texts(dataset, "x") == [None, None]


def test_one_late_word_makes_a_long_column_text(tmp_path: Path) -> None:
    """Detection that samples the first rows would call it a number and lose the word."""
    dataset = csv(tmp_path, "x\n" + "1\n" * 50_000 + "late\n")
    assert dataset.types["x"] == "VARCHAR"
    assert texts(dataset, "x")[-1] == "late"
    assert dataset.rows == 50_001


@pytest.mark.parametrize(
    "text",
    [
        "a;b\n1;x\n2;y\n",
        "\ufeffa,b\n1,x\n2,y\n",
        "a,b\r\n1,x\r\n2,y\r\n",
        '"a","b"\n"1","x"\n"2","y"\n',
        "a,b\n1,x\n2,y",
    ],
    ids=["semicolons", "byte order mark", "CRLF", "quotes", "no last newline"],
)
def test_ways_to_write_a_csv(tmp_path: Path, text: str) -> None:
    dataset = csv(tmp_path, text)
    assert dataset.types == {"a": "BIGINT", "b": "VARCHAR"}
    assert texts(dataset, "a") == ["1", "2"]
    assert texts(dataset, "b") == ["x", "y"]


def test_a_tsv_is_cut_at_tabs(tmp_path: Path) -> None:
    assert csv(tmp_path, "a\tb\n1\tx,y\n", "d.tsv").types == {"a": "BIGINT", "b": "VARCHAR"}


@pytest.mark.parametrize("name", ['we"ird', "it's", "a b", "select", "ünï", "1"])
def test_any_column_name_can_be_asked_for(tmp_path: Path, name: str) -> None:
    field = '"' + name.replace('"', '""') + '"'
    dataset = csv(tmp_path, f"{field},y\n1,2\n")
    assert dataset.columns == [name, "y"]
    assert numbers(dataset, name) == [1.0]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "empty"),
        ("a,b\n", "no rows"),
        ("a,b,a\n1,2,3\n", "'a' more than once"),
        ("a,A\n1,2\n", "'A'"),
        ("a,b\n1,2\n3\n", "d.csv"),
        ("a,b\n1,2\n3,4,5\n", "d.csv"),
        (b"a,b\n1,\xff\xfe\n", "d.csv"),
        ('a,b\n1,"never closed\n2,3\n', "d.csv"),
    ],
    ids=[
        "empty",
        "header only",
        "doubled column",
        "columns that differ in case",
        "row too short",
        "row too long",
        "not UTF-8",
        "open quote",
    ],
)
def test_a_broken_csv_is_refused_by_name(tmp_path: Path, text: str | bytes, named: str) -> None:
    with pytest.raises(AuditError) as error:
        _ = csv(tmp_path, text).rows
    assert named in str(error.value)
    assert "\n" not in str(error.value)


# --- parquet and Arrow -----------------------------------------------------------------------------------------------------------------


TABLE = pa.table({
    "id": pa.array([9007199254740993, None, 3], pa.int64()), "big": pa.array([2**64 - 1, 1, 2], pa.uint64()), "f": pa.array([0.5, float("nan"), float("inf")]),
    "t": pa.array(["NA", "007", None]), "b": pa.array([True, False, None]), "whole": pa.array([1.0, 2.0, None]), "small": pa.array([0.1, 0.2, 0.3], pa.float32()),
})  # fmt: skip


def write(table: pa.Table, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".feather":
        feather.write_feather(table, str(path))
    else:
        stream = pa.ipc.new_stream if path.suffix == ".ipc" else pa.ipc.new_file
        with stream(str(path), table.schema) as writer:
            writer.write_table(table)
    return path


@pytest.mark.parametrize("suffix", ["parquet", "feather", "arrow", "ipc"])
def test_values_are_read_as_they_are_stored(tmp_path: Path, suffix: str) -> None:
    dataset = open_dataset(str(write(TABLE, tmp_path / f"d.{suffix}")))
    assert texts(dataset, "id") == ["9007199254740993", None, "3"], "a gap does not turn an id into a float"
    assert texts(dataset, "big") == ["18446744073709551615", "1", "2"]
    assert texts(dataset, "t") == ["NA", "007", None], "in a text column NA is a word: Namibia"
    assert texts(dataset, "b") == ["true", "false", None]
    assert texts(dataset, "whole") == ["1", "2", None]
    assert texts(dataset, "f") == ["0.5", None, "inf"]
    assert texts(dataset, "small") == ["0.1", "0.2", "0.3"]
    assert dataset.rows == 3


def test_categories_of_pandas_are_texts(tmp_path: Path) -> None:
    table = pa.table({"c": pa.array(["b", None, "a", "b"]).dictionary_encode()})
    for suffix in ("parquet", "feather"):
        assert texts(open_dataset(str(write(table, tmp_path / f"d.{suffix}"))), "c") == ["b", None, "a", "b"]


def test_times_are_read_in_utc_whatever_zone_wrote_them(tmp_path: Path) -> None:
    moment = datetime(2024, 7, 1, 12, 0, tzinfo=UTC)
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        table = pa.table({"t": pa.array([moment], pa.timestamp("us", tz=zone))})
        assert texts(open_dataset(str(write(table, tmp_path / f"{zone.replace('/', '-')}.parquet"))), "t") == ["2024-07-01 12:00:00+00"]


@pytest.mark.parametrize("suffix", ["parquet", "feather", "arrow", "ipc"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.97])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    table = pa.table({"x": np.arange(5000), "t": [f"text {i}" for i in range(5000)]})
    path = write(table, tmp_path / f"d.{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(AuditError, match=path.name):
        _ = open_dataset(str(path)).rows


def test_an_arrow_file_with_offsets_outside_its_buffer_is_refused(tmp_path: Path) -> None:
    """The reader would otherwise hand out memory that is not the file's."""
    path = write(pa.table({"x": ["a" * 77, "b" * 55]}), tmp_path / "d.arrow")
    honest, lying = (np.array([0, 77, end], dtype=np.int32).tobytes() for end in (132, 1_000_000))
    assert path.read_bytes().count(honest) == 1
    path.write_bytes(path.read_bytes().replace(honest, lying))
    with pytest.raises(AuditError, match=r"d\.arrow"):
        _ = open_dataset(str(path)).rows


def test_columns_that_differ_in_case_are_refused(tmp_path: Path) -> None:
    """SQL does not tell them apart, and would read one for the other."""
    with pytest.raises(AuditError, match="'Age'"):
        open_dataset(str(write(pa.table({"age": [1, 2], "Age": [3, 4]}), tmp_path / "d.parquet")))


def test_doubled_columns_of_a_parquet_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    with pytest.raises(AuditError, match="'x' more than once"):
        open_dataset(str(write(table, tmp_path / "d.parquet")))


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="no rows"):
        _ = open_dataset(str(write(TABLE.slice(0, 0), tmp_path / "d.parquet"))).rows


# --- files, folders, globs -------------------------------------------------------------------------------------------------------------


def test_files_are_sorted_bytewise(tmp_path: Path) -> None:
    for name in ("b", "a", "B", "é", "a10", "a2"):
        write(pa.table({"name": [name]}), tmp_path / "parts" / f"{name}.parquet")
    expected = ["B", "a", "a10", "a2", "b", "é"]
    for path in (tmp_path / "parts", tmp_path / "parts" / "*.parquet"):
        assert [f.stem for f in find_files(str(path))] == expected
        assert texts(open_dataset(str(path)), "name") == expected


def test_relative_globs_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(pa.table({"x": [1]}), tmp_path / "in" / "deep" / "d.parquet")
    monkeypatch.chdir(tmp_path)
    assert find_files("in") == find_files("in/*/*.parquet") == find_files("in/**/*.parquet") == [tmp_path / "in" / "deep" / "d.parquet"]


def test_a_folder_of_one_format_and_the_same_columns(tmp_path: Path) -> None:
    write(pa.table({"x": [1]}), tmp_path / "a.parquet")
    (tmp_path / "README.md").write_text("not data")
    (tmp_path / "_SUCCESS.csv").write_text("")
    (tmp_path / ".hidden.parquet").write_text("")
    assert len(find_files(str(tmp_path))) == 1
    write(pa.table({"y": [1]}), tmp_path / "b.parquet")
    with pytest.raises(AuditError, match="other columns"):
        open_dataset(str(tmp_path))
    (tmp_path / "c.csv").write_text("x\n1\n")
    with pytest.raises(AuditError, match="mixes csv and parquet"):
        find_files(str(tmp_path))


@pytest.mark.parametrize("path", ["s3://bucket/x.parquet", "https://example.org/x.csv", "hf://datasets/x", "file:///tmp/x.csv"])
def test_remote_paths_are_refused(path: str) -> None:
    with pytest.raises(AuditError, match="remote path"):
        find_files(path)


def test_what_is_no_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="no data at"):
        find_files(str(tmp_path / "none.csv"))
    (tmp_path / "x.xlsx").write_text("")
    with pytest.raises(AuditError, match="no csv, tsv, parquet or Arrow file"):
        find_files(str(tmp_path / "x.xlsx"))


def test_only_the_named_files_can_be_opened(tmp_path: Path) -> None:
    import duckdb

    other = write(pa.table({"x": [1]}), tmp_path / "secret.parquet")
    dataset = open_dataset(str(write(pa.table({"x": [1]}), tmp_path / "d.parquet")))
    for query in (f"SELECT * FROM read_parquet('{other}')", f"COPY (SELECT 1) TO '{tmp_path}/out.csv'", "INSTALL httpfs", "SET threads=8"):
        with pytest.raises(duckdb.Error):
            dataset.connection.execute(query)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_names_with_quotes_and_stars_are_files_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"it's [1] d.{suffix}"
    if suffix == "csv":
        path.write_text("x\n1\n")
    else:
        write(pa.table({"x": [1]}), path)
    assert open_dataset(str(path)).rows == 1


# --- digest, order, sample -------------------------------------------------------------------------------------------------------------


def test_the_digest_of_one_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("x\n1\n")
    assert data_digest([path]) == hashlib.sha256(b"x\n1\n").hexdigest()
    path.write_text("x\n2\n")
    assert data_digest([path]) != hashlib.sha256(b"x\n1\n").hexdigest()


def test_the_digest_of_several_is_of_their_manifest_and_not_of_where_they_lie(tmp_path: Path) -> None:
    digests = []
    for place in ("here", "there/deep"):
        for name in ("a", "b"):
            write(pa.table({"x": [name]}), tmp_path / place / f"{name}.parquet")
        digests.append(data_digest(find_files(str(tmp_path / place))))
    assert digests[0] == digests[1]
    (tmp_path / "here" / "b.parquet").rename(tmp_path / "here" / "c.parquet")
    assert data_digest(find_files(str(tmp_path / "here"))) != digests[0]


@pytest.mark.parametrize("layout", ["one file", "small row groups", "many files", "csv", "arrow"])
def test_batches_end_at_the_same_rows_whatever_the_files_look_like(tmp_path: Path, layout: str) -> None:
    n = 2 * BATCH + 1234
    table = pa.table({"x": np.arange(n)})
    if layout == "one file":
        pq.write_table(table, tmp_path / "d.parquet")
    elif layout == "small row groups":
        pq.write_table(table, tmp_path / "d.parquet", row_group_size=10_001)
    elif layout == "many files":
        for i, start in enumerate(range(0, n, 30_011)):
            pq.write_table(table.slice(start, 30_011), tmp_path / f"d{i}.parquet")
    elif layout == "csv":
        (tmp_path / "d.csv").write_text("x\n" + "\n".join(map(str, range(n))) + "\n")
    else:
        write(table, tmp_path / "d.arrow")
    dataset = open_dataset(str(tmp_path))
    batches = list(dataset.stream({"x": dataset.value("x")}))
    assert [len(b) for b in batches] == [BATCH, BATCH, 1234]
    assert np.array_equal(np.concatenate([b.column(0).to_numpy() for b in batches]), np.arange(n))
    assert dataset.rows == n


def test_a_whole_number_of_batches_leaves_no_empty_one(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": np.arange(BATCH)}), tmp_path / "d.parquet")
    assert [len(b) for b in open_dataset(str(tmp_path)).stream({"x": '"x"'})] == [BATCH]


def test_a_file_that_breaks_on_the_way_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    pq.write_table(pa.table({"x": np.random.default_rng(0).random(200_000)}), path, compression="zstd", use_dictionary=False)
    dataset = open_dataset(str(path))
    content = bytearray(path.read_bytes())
    content[1000:200_000] = bytes(199_000)
    path.write_bytes(bytes(content))
    with pytest.raises(AuditError, match=r"d\.parquet"):
        list(dataset.stream({"x": '"x"'}))


def test_the_sample_is_the_smallest_keyed_hashes() -> None:
    row = np.arange(50_000)
    hashes = _hash(row, 3)
    assert len(np.unique(hashes)) == len(row)
    assert np.array_equal(sample_rows(50_000, 700, 3), np.sort(np.argsort(hashes, kind="stable")[:700]))


def test_the_sample_is_nested_and_depends_on_the_seed_only() -> None:
    small, large = sample_rows(10_000, 100, 0), sample_rows(10_000, 1000, 0)
    assert set(small) <= set(large)
    assert len(set(small) & set(sample_rows(10_000, 100, 1))) < 20
    assert np.array_equal(sample_rows(50, 2000, 0), np.arange(50))
    assert len(sample_rows(0, 10, 0)) == 0


def test_the_sample_of_many_rows_spans_blocks() -> None:
    n = (1 << 20) + 5000
    chosen = sample_rows(n, 2000, 0)
    assert np.array_equal(chosen, np.sort(np.argsort(_hash(np.arange(n), 0), kind="stable")[:2000]))


def test_the_sample_is_even() -> None:
    """Each tenth of the rows gives about a tenth of the sample."""
    counts = np.histogram(sample_rows(100_000, 10_000, 0), bins=10, range=(0, 100_000))[0]
    assert counts.min() > 880
    assert counts.max() < 1120


def test_an_unknown_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(AuditError) as error:
        csv(tmp_path, "a,b\n1,2\n").require("c", "target")
    assert "target 'c'" in str(error.value)
    assert "a, b" in str(error.value)


def test_levels_are_sorted_and_limited(tmp_path: Path) -> None:
    dataset = csv(tmp_path, "a\nx\ny\nx\nz\n\n")
    assert dataset.levels("a", limit=10) == ["x", "y", "z"]
    assert len(dataset.levels("a", limit=1)) == 2


def value_types() -> list[Any]:
    return ["TINYINT", "DECIMAL(10,2)", "HUGEINT", "DOUBLE"]


@pytest.mark.parametrize("kind", value_types())
def test_number_types_are_numbers(kind: str) -> None:
    dataset = Dataset([Path("d.parquet")])
    dataset.__dict__["types"] = {"x": kind, "l": f"{kind}[]"}
    assert dataset.is_number("x")
    assert dataset.is_scalar("x")
    assert not dataset.is_scalar("l")


# --- missing numbers, and codes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_nan_in_parquet_is_missing(tmp_path, kind):
    """The file's statistics do not count NaN, and the audit does not believe them."""
    values = [0.5, float("nan"), *(0.5 * v for v in range(100))]
    pq.write_table(pa.table({"x": pa.array(values, kind)}), tmp_path / "d.parquet")
    dataset = open_dataset(str(tmp_path / "d.parquet"))
    assert dataset.ask({"n": f"count_if(isnan({dataset.number('x')}))"}) == [(1,)]
    assert texts(dataset, "x").count(None) == 1
    binned = _groups(dataset, "x", Roles(), {"x": [10.0]})
    assert dict(zip(binned.levels, binned.sizes, strict=True)) == {"[0, 10)": 21, "[10, 49.5]": 80, "(missing)": 1}


def test_texts_become_their_position(tmp_path):
    pq.write_table(pa.table({"g": ["b", None, "it's", "", "z", "b"]}), tmp_path / "d.parquet")
    dataset = open_dataset(str(tmp_path / "d.parquet"))
    found = [codes(b.column(0)).tolist() for b in dataset.stream({"g": coded(dataset.text("g"), ["it's", "b", ""])})]
    assert found == [[1, -1, 0, 2, -1, 1]]
    groups = _groups(dataset, "g", Roles(), {})
    assert groups.levels == ["b", "", "(missing)", "it's", "z"]
    place = groups.levels.index("(missing)")
    assert [codes(b.column(0), place).tolist() for b in dataset.stream({"g": coded(groups.sql, groups.levels)})] == [[0, 2, 3, 1, 4, 0]]
