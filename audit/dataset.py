"""Rows in: csv, parquet and Arrow files through DuckDB, in order, never all in memory.

A row's id is its position: files sorted bytewise, then rows as they stand. DuckDB counts and casts; it never sums floats, because the
order of a threaded sum moves the last digits.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError

if TYPE_CHECKING:
    import duckdb
    import pyarrow

BATCH = 65_536
MISSING = "(missing)"
#: Everybody who is not in a slice, where a search over slices holds it against them.
REST = "(rest)"
#: Words that people write into a number column where the number is missing; in a text column they stay text (Namibia is "NA").
MISSING_WORDS = ("NA", "N/A", "NaN", "nan", "null", "NULL", "None", "")
MISSING_LIST = ", ".join(f"'{word}'" for word in MISSING_WORDS)
ARROW = (".arrow", ".feather", ".ipc")
SUFFIXES = (".csv", ".tsv", ".parquet", *ARROW)
NUMBERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
)


def find_files(path: str) -> list[Path]:
    """The files that a path, folder or glob names, sorted bytewise."""
    if "://" in path:
        raise AuditError(
            f"{path} is a remote path, and an audit opens no outside connection", "copy the data to this machine and name the local file"
        )
    root = Path(path)
    if root.is_dir():
        found = [p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith((".", "_"))]
    elif root.is_file():
        found = [root]
    else:
        found = (
            [p for p in Path().glob(path) if p.is_file()]
            if not root.is_absolute()
            else [p for p in Path("/").glob(path[1:]) if p.is_file()]
        )
    if not found:
        raise AuditError(f"no data at {path}", "name a csv, parquet or Arrow file, or a folder or glob of them")
    suffixes = {_kind(p) for p in found}
    if len(suffixes) > 1:
        raise AuditError(f"{path} mixes {' and '.join(sorted(suffixes))} files", "name files of one format")
    return sorted((p.absolute() for p in found), key=lambda p: os.fsencode(str(p)))


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise AuditError(f"{path} is no csv, tsv, parquet or Arrow file", f"give a file that ends in one of {', '.join(SUFFIXES)}")
    return "arrow" if suffix in ARROW else suffix[1:]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_digest(files: list[Path]) -> str:
    """SHA-256 of the file; for several, of the sorted manifest (path relative to their common folder, size, digest)."""
    if len(files) == 1:
        return file_digest(files[0])
    common = os.path.commonpath([str(p.parent) for p in files])
    lines = [f"{p.relative_to(common).as_posix()}\t{p.stat().st_size}\t{file_digest(p)}\n" for p in files]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def quoted(name: str) -> str:
    """A column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


@dataclass
class Dataset:
    """A table on disk. `types` maps each column to DuckDB's type, in order; text columns of a csv that hold numbers only are numbers."""

    files: list[Path]
    threads: int = 1
    notes: list[str] = field(default_factory=list)

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """A connection that may read these files and nothing else."""
        import duckdb

        options = {
            "threads": str(self.threads),
            "memory_limit": "512MB",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        connection = duckdb.connect(config=options)
        paths = ", ".join(literal(str(p)) for p in self.files)
        connection.execute(f"SET allowed_paths=[{paths}]")
        connection.execute("SET TimeZone='UTC'")
        connection.execute("SET temp_directory=''")
        # The statistics of a parquet column leave NaN out, and DuckDB 2.0 concludes from them that there is none.
        connection.execute("SET disabled_optimizers='statistics_propagation'")
        # Reading ahead would hold two row groups of every column, for no gain on a local disk.
        connection.execute("SET disable_parquet_prefetching=true")
        connection.execute("SET enable_external_access=false")
        connection.execute("SET lock_configuration=true")
        return connection

    @cached_property
    def _source(self) -> str:
        """The FROM clause: raw columns as they are stored."""
        kind, paths = _kind(self.files[0]), "[" + ", ".join(literal(str(p)) for p in self.files) + "]"
        if kind == "parquet":
            return f"read_parquet({paths})"
        if kind == "arrow":
            self.connection.register("arrow_rows", _arrow_reader(self.files))
            return "arrow_rows"
        # Every column is read as text and cast by us: DuckDB's own detection would turn 007 into 7, and stops at words that it did not sample.
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in _header(self.files[0]))
        delimiter = literal(_delimiter(self.files[0]))
        return f"read_csv({paths}, auto_detect=false, header=true, delim={delimiter}, quote='\"', escape='\"', columns={{{columns}}})"

    @cached_property
    def types(self) -> dict[str, str]:
        """Column → DuckDB type, in the order of the file."""
        _check_header(self.files, _kind(self.files[0]))
        rows = self._run(f"DESCRIBE SELECT * FROM {self._source}")
        types = {str(name): str(kind) for name, kind, *_ in rows}
        if _kind(self.files[0]) in ("csv", "tsv"):
            types = self._narrowed(list(types))
        return types

    def _narrowed(self, names: list[str]) -> dict[str, str]:
        """The narrowest exact type of each csv column: a code such as 007 stays text, and so do whole numbers that a double would round."""
        parts = []
        for name in names:
            c = quoted(name)
            given = f"{c} IS NOT NULL AND {c} NOT IN ({MISSING_LIST})"
            parts += [
                f"bool_and(TRY_CAST({c} AS BIGINT)::VARCHAR = {c} IS TRUE) FILTER (WHERE {given})",
                f"bool_and(TRY_CAST({c} AS DOUBLE) IS NOT NULL AND NOT regexp_matches({c}, '^[-+]?(0[0-9]|[0-9]{{16,}}$)')) FILTER (WHERE {given})",
                f"bool_and(lower({c}) IN ('true', 'false')) FILTER (WHERE {given})",
            ]
        row = self._run(f"SELECT {', '.join(parts)} FROM {self._source}")[0]
        kinds = {}
        for i, name in enumerate(names):
            whole, real, truth = row[3 * i : 3 * i + 3]
            kinds[name] = "BIGINT" if whole else "DOUBLE" if real else "BOOLEAN" if truth else "VARCHAR"
        return kinds

    def _run(self, query: str) -> list[tuple[Any, ...]]:
        import duckdb

        try:
            rows: list[tuple[Any, ...]] = self.connection.execute(query).fetchall()
            return rows
        except duckdb.Error as error:
            raise AuditError(
                f"cannot read {self.files[0]}: {str(error).strip().splitlines()[0][:300]}", "check that the file is whole and readable"
            ) from None

    @property
    def columns(self) -> list[str]:
        """Column names in order."""
        return list(self.types)

    def require(self, name: str, role: str) -> None:
        """Refuse a column that is not there, and say which are."""
        if name not in self.types:
            near = ", ".join(self.columns[:40])
            raise AuditError(
                f"the {role} {name!r} is not a column of the data", f"its columns are {near}{' …' if len(self.columns) > 40 else ''}"
            )

    def is_number(self, name: str) -> bool:
        """Whether the column holds numbers (booleans are not numbers here)."""
        return self.types[name].startswith(NUMBERS)

    def is_whole(self, name: str) -> bool:
        """Whether the column holds whole numbers, be it as floats."""
        if self.types[name] in ("FLOAT", "DOUBLE"):
            return self._integral(name)
        return self.is_number(name) and not self.types[name].startswith("DECIMAL")

    def is_scalar(self, name: str) -> bool:
        """Whether a row holds one value of this column."""
        return not self.types[name].startswith(("STRUCT", "MAP", "UNION", "BLOB")) and "[" not in self.types[name]

    def value(self, name: str) -> str:
        """The SQL expression for a column in its narrowed type; words for "missing" in a number column become NULL."""
        c = quoted(name)
        stored_text = _kind(self.files[0]) in ("csv", "tsv")
        if not stored_text or self.types[name] == "VARCHAR":
            return c
        # The CASE also keeps DuckDB 2.0 from pushing the cast into its csv reader, where TRY_CAST stops at the first bad word.
        return f"TRY_CAST(CASE WHEN {c} NOT IN ({MISSING_LIST}) THEN {c} END AS {self.types[name]})"

    def number(self, name: str) -> str:
        """The SQL expression for a column as DOUBLE; what is no number becomes NULL."""
        if _kind(self.files[0]) in ("csv", "tsv") or not self.is_number(name):
            return f"TRY_CAST({self.value(name)} AS DOUBLE)"
        return quoted(name) if self.types[name] == "DOUBLE" else f"CAST({quoted(name)} AS DOUBLE)"  # cannot fail, and is faster

    def text(self, name: str) -> str:
        """The SQL expression for a column as text: integral floats as integers, booleans as true and false, missing as NULL."""
        value = self.value(name)
        if self.types[name] in ("FLOAT", "DOUBLE"):
            if self._integral(name):
                return f"CAST(CASE WHEN isfinite({value}) THEN CAST({value} AS BIGINT) END AS VARCHAR)"
            return f"CAST(CASE WHEN NOT isnan({value}) THEN {value} END AS VARCHAR)"
        return f"CAST({value} AS VARCHAR)"

    def _integral(self, name: str) -> bool:
        value = self.value(name)
        query = f"SELECT coalesce(bool_and({value} = trunc({value}) AND abs({value}) < 9e15), false) FROM {self._source} WHERE isfinite({value})"
        return bool(self._run(query)[0][0])

    @cached_property
    def rows(self) -> int:
        """Number of rows; 0 rows are refused."""
        count = int(self._run(f"SELECT count(*) FROM {self._source}")[0][0])
        if not count:
            raise AuditError(f"the data at {self.files[0]} has no rows", "give data with at least one row")
        return count

    def ask(
        self, expressions: dict[str, str], *, tail: str = "", first: int | None = None, columns: list[str] | None = None
    ) -> list[tuple[Any, ...]]:
        """SELECT expressions FROM the data; for counts and exact order statistics only. `first`: of so many rows at its head, and these columns."""
        chosen = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in expressions.items())
        source = self._source
        if first is not None:
            source = f"(SELECT {', '.join(map(quoted, columns or self.columns))} FROM {source} LIMIT {int(first)})"
        return self._run(f"SELECT {chosen} FROM {source} {tail}")

    def levels(self, name: str, *, limit: int) -> list[str]:
        """The distinct values of a column as text, sorted; at most `limit` + 1 of them."""
        text = self.text(name)
        return [
            row[0]
            for row in self._run(f"SELECT DISTINCT {text} AS v FROM {self._source} WHERE {text} IS NOT NULL ORDER BY v LIMIT {limit + 1}")
        ]

    def stream(self, expressions: dict[str, str], *, size: int = BATCH) -> Iterator[pyarrow.RecordBatch]:
        """The rows in order, in batches of `size` whose borders depend on the row number only."""
        import duckdb
        import pyarrow as pa

        chosen = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in expressions.items())
        held: list[pyarrow.RecordBatch] = []
        waiting = 0
        try:
            for batch in self.connection.sql(f"SELECT {chosen} FROM {self._source}").to_arrow_reader(size):
                held.append(batch)
                waiting += len(batch)
                while waiting >= size:
                    whole = pa.concat_batches(held) if len(held) > 1 else held[0]
                    yield whole.slice(0, size)
                    waiting -= size
                    held = [whole.slice(size)] if waiting else []
        except (duckdb.Error, pa.ArrowInvalid, OSError) as error:
            raise AuditError(
                f"cannot read {self.files[0]}: {str(error).strip().splitlines()[0][:300]}", "check that the file is whole and readable"
            ) from None
        if waiting:
            yield pa.concat_batches(held)


def open_dataset(path: str, *, threads: int = 1) -> Dataset:
    """The data at a path, folder or glob, with its header read."""
    dataset = Dataset(find_files(path), threads=threads)
    _ = dataset.types
    return dataset


def _check_header(files: list[Path], kind: str) -> None:
    """Refuse empty files, doubled columns, and files whose columns differ."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first: list[str] | None = None
    for path in files:
        if path.stat().st_size == 0:
            raise AuditError(f"the data file {path} is empty (0 bytes)", "give data with a header and at least one row")
        try:
            if kind == "parquet":
                names = pq.read_schema(path).names
            elif kind == "arrow":
                names = _arrow_schema(path).names
            else:
                names = _header(path)
        except (pa.ArrowInvalid, pa.ArrowException, OSError, UnicodeDecodeError, csv.Error, StopIteration) as error:
            raise AuditError(
                f"cannot read {path}: {str(error).strip().splitlines()[0][:300]}", "check that the file is whole and readable"
            ) from None
        doubled = sorted({n for n in names if names.count(n) > 1})
        if doubled:
            raise AuditError(f"the data file {path} has the column {doubled[0]!r} more than once", "give each column a name of its own")
        alike = [(n, m) for n, m in pairwise(sorted(names, key=str.lower)) if n.lower() == m.lower()]
        if alike:  # DuckDB does not tell them apart, and renames the second
            both = " and ".join(map(repr, sorted(alike[0])))
            raise AuditError(f"the data file {path} has the columns {both}, which differ in case only", "rename one of them")
        if first is None:
            first = names
        elif names != first:
            raise AuditError(f"{path} has other columns than {files[0]}", "give files with the same columns in the same order")


def _delimiter(path: Path) -> str:
    """Tab for tsv; comma for csv, or semicolon where the header has semicolons only."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
    return ";" if ";" in first and "," not in first else ","


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file, delimiter=_delimiter(path)))


def _arrow_schema(path: Path) -> pyarrow.Schema:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        try:
            return pa.ipc.open_file(source).schema
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source).schema


def _arrow_reader(files: list[Path]) -> pyarrow.Table:
    """Arrow files, memory-mapped and fully validated: offsets that point outside a buffer are refused before anything reads them."""
    import pyarrow as pa

    tables = []
    for path in files:
        source = pa.memory_map(str(path))
        try:
            try:
                table = pa.ipc.open_file(source).read_all()
            except pa.ArrowInvalid:
                source.seek(0)
                table = pa.ipc.open_stream(source).read_all()
            table.validate(full=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise AuditError(f"{path} is not a valid Arrow file: {str(error).splitlines()[0][:300]}", "write the file again") from None
        tables.append(table)
    return pa.concat_tables(tables)
