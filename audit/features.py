"""The model's input columns: which they are, how they are read, and how a batch of rows becomes a frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from audit.dataset import BATCH, Dataset, quoted
from audit.decoding import decode
from audit.errors import AuditError
from audit.measurement import Frozen, Message
from audit.text import message

if TYPE_CHECKING:
    import pyarrow
    from numpy.typing import NDArray

    from audit.subject.frame import Categories, Frame

INTEGERS = ("integer", "long", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
REALS = ("double", "float", "float16", "float32", "float64")

#: A kind in the model's metadata → how a column is asked for; any other kind is a number.
KINDS = {"category": "string", "text": "text", "image": "image", "sequence": "sequence", "audio": "audio"}
#: Numbers of one decoded input at most.
MAX_SHAPE = 1 << 24

#: Types of whole numbers that fit in 64 bits.
WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")


#: Numbers that one batch may hold: pictures travel in smaller batches than rows of a table.
BATCH_NUMBERS = BATCH * 64


class Field(Frozen):
    """One field of an event in a sequence; a category travels as its place in the vocabulary."""

    name: str
    kind: Literal["number", "category"]
    vocabulary: tuple[str, ...] = ()


class FeatureSpec(Frozen):
    """One input column: `kind` as in the document, `read` how its values travel to the model.

    `shape` is that of one row of what is decoded: (channels, height, width), (steps, fields) or (samples,);
    `rate` are samples of sound in a second, 0 where nobody said.
    """

    name: str
    kind: Literal["number", "category", "datetime", "text", "image", "sequence", "audio"]
    read: Literal["float64", "int64", "bool", "text", "datetime", "decoded"]
    shape: tuple[int, ...] = ()
    fields: tuple[Field, ...] = ()
    rate: int = 0


def batch_rows(specs: list[FeatureSpec]) -> int:
    """Rows of one batch on the way to the model: a power of two that depends on the inputs' width only."""
    width = sum(math.prod(s.shape) for s in specs)
    return max(64, min(BATCH, 1 << (BATCH_NUMBERS // max(width, 1)).bit_length() - 1))


def choose(
    dataset: Dataset, inputs: list[dict[str, Any]], metadata: dict[str, Any], given: list[str], others: set[str]
) -> tuple[list[FeatureSpec], list[Message]]:
    """The input columns in the model's order, and what had to be assumed.

    `inputs` is the MLflow signature, `metadata` the MLmodel's, `given` what `--features` or training named, `others` are the columns that are
    target or sensitive.
    """
    notes: list[Message] = []
    columns = metadata.get("columns") or []
    named = [i for i in inputs if i.get("name") is not None and i.get("shape") is None]
    if columns:
        wanted = [(str(c["name"]), KINDS.get(str(c.get("kind")), "double"), True) for c in columns]
    elif named:
        wanted = [(str(i["name"]), str(i["type"]), bool(i.get("required", True))) for i in named]
    else:
        names = given or [c for c in dataset.columns if c not in others and dataset.is_scalar(c)]
        kind = "text" if any(i.get("type") == "string" for i in inputs) else "double" if inputs else "any"
        _check_width(inputs, names, bool(given))
        if not given:
            notes.append(
                message(
                    "The model's signature names no columns: every column that is neither outcome nor sensitive is taken as an input, in order."
                )
            )
        wanted = [(name, kind, True) for name in names]
    present = []
    for name, kind, required in wanted:
        if name not in dataset.types and not required:
            continue
        dataset.require(name, "model input")
        present.append((name, kind))
    if named and [n for n, _ in present] != [c for c in dataset.columns if c in {n for n, _ in present}]:
        notes.append(message("The data's columns stand in another order than the model's inputs; they were matched by name."))
    described = {str(c["name"]): c for c in columns}
    return [_spec(dataset, name, kind, described.get(name, {})) for name, kind in present], notes


def for_endpoint(dataset: Dataset, given: list[str], others: set[str]) -> tuple[list[FeatureSpec], list[Message]]:
    """The columns that an endpoint gets: those that `given` names, else all scalar ones but `others`, which is noted.

    Whole numbers stay whole, because a server may insist on them.
    """
    names = given or [c for c in dataset.columns if c not in others and dataset.is_scalar(c)]
    if not names:
        raise AuditError("no column of the data is left as an input of the model", "name the input columns with --features")
    for name in names:
        dataset.require(name, "model input")
    specs = [_spec(dataset, name, "long" if dataset.types[name] in WHOLE else "any") for name in names]
    said = message("The endpoint names no inputs: it gets every column that is neither outcome, sensitive nor decision, by name.")
    return specs, [] if given else [said]


def _check_width(inputs: list[dict[str, Any]], names: list[str], named: bool) -> None:
    shape = (inputs[0].get("shape") or []) if inputs else []
    width = shape[-1] if len(shape) == 2 else None
    if width not in (None, -1) and width != len(names):
        have = f"--features names {len(names)}" if named else f"the data has {len(names)} that are neither target nor sensitive"
        raise AuditError(f"the model takes a tensor of {width} columns, and {have}", "name the input columns in order with --features")


def _spec(dataset: Dataset, name: str, kind: str, described: dict[str, Any] | None = None) -> FeatureSpec:
    stored = dataset.types[name]
    if kind in ("image", "sequence", "audio"):
        return _decoded(name, kind, described or {})
    if not dataset.is_scalar(name):
        raise AuditError(
            f"the model input {name!r} holds {stored} values, and this version audits tables of numbers and texts", "name scalar columns"
        )
    if kind == "any":
        kind = (
            "double"
            if dataset.is_number(name)
            else "boolean"
            if stored == "BOOLEAN"
            else "datetime"
            if stored.startswith(("TIMESTAMP", "DATE"))
            else "string"
        )
    if kind == "text":
        return FeatureSpec(name=name, kind="text", read="text")
    if kind in ("string", "str", "object"):
        return FeatureSpec(name=name, kind="category", read="text")
    if kind == "datetime" or kind.startswith("datetime"):
        return FeatureSpec(name=name, kind="datetime", read="datetime")
    if kind in ("boolean", "bool") and stored == "BOOLEAN":
        return FeatureSpec(name=name, kind="number", read="bool")
    if kind in INTEGERS and dataset.is_number(name):
        return FeatureSpec(name=name, kind="number", read="int64")
    if kind in INTEGERS + REALS + ("boolean", "bool"):
        return FeatureSpec(name=name, kind="number", read="float64")
    raise AuditError(
        f"the model input {name!r} has the type {kind!r} in the signature",
        "log the model with a signature of numbers, strings, booleans or datetimes",
    )


def _decoded(name: str, kind: str, described: dict[str, Any]) -> FeatureSpec:
    """An input that the model's metadata describe: its shape, and the fields of its events."""
    try:
        fields = tuple(Field.model_validate(f) for f in described.get("fields") or [])
        shape = (int(described["steps"]), len(fields)) if kind == "sequence" else tuple(int(s) for s in described["shape"])
        wanted = {"image": 3, "sequence": 2, "audio": 1}[kind]
        if len(shape) != wanted or not 0 < math.prod(shape) <= MAX_SHAPE or min(shape) < 1:
            raise ValueError(shape)
        rate = described.get("rate")
        known = rate if isinstance(rate, int) and rate > 0 else 0
        return FeatureSpec.model_validate({"name": name, "kind": kind, "read": "decoded", "shape": shape, "fields": fields, "rate": known})
    except (KeyError, TypeError, ValueError):
        raise AuditError(
            f"the model's metadata describe the {kind} {name!r} without a shape that can be read",
            "log the model with shape [channels, height, width], with steps and fields, or with shape [samples]",
        ) from None


def expressions(dataset: Dataset, specs: list[FeatureSpec]) -> dict[str, str]:
    """Column name → SQL for the values as they travel; what is no number in a number column is NULL."""
    sql = {}
    for spec in specs:
        if spec.read == "decoded":
            sql[spec.name] = quoted(spec.name)
        elif spec.read == "text":
            sql[spec.name] = dataset.text(spec.name)
        elif spec.read == "datetime":
            sql[spec.name] = f"TRY_CAST({quoted(spec.name)} AS TIMESTAMP)"
        elif spec.read in ("bool", "int64"):
            sql[spec.name] = dataset.value(spec.name)
        else:
            sql[spec.name] = (
                f"CASE WHEN {dataset.value(spec.name)} THEN 1.0 WHEN NOT {dataset.value(spec.name)} THEN 0.0 END"
                if dataset.types[spec.name] == "BOOLEAN"
                else dataset.number(spec.name)
            )
    return sql


def unreadable_numbers(dataset: Dataset, specs: list[FeatureSpec]) -> list[Message]:
    """Notes on text in number columns; a column without a single number is refused."""
    suspects = [s.name for s in specs if s.read == "float64" and not dataset.is_number(s.name) and dataset.types[s.name] != "BOOLEAN"]
    notes = []
    for spec in specs:
        if spec.read != "int64" or dataset.types[spec.name].startswith(WHOLE):
            continue
        x = dataset.number(spec.name)
        (wrong,) = dataset.ask({"wrong": f"count_if(isfinite({x}) AND ({x} <> trunc({x}) OR abs({x}) >= 9223372036854775808))"})[0]
        if wrong:
            raise AuditError(
                f"the model input {spec.name!r} is a whole number in the model's signature, and {wrong} of its values are none or too large",
                "check the column, or log the model with a signature of doubles",
            )
    for name in suspects:
        given, read = dataset.ask({"given": f"count({quoted(name)})", "read": f"count({dataset.number(name)})"})[0]
        if given and not read:
            raise AuditError(
                f"the model input {name!r} must hold numbers, and not one of its {given} values is a number",
                "check the column, or name the inputs with --features",
            )
        if given > read:
            notes.append(
                message(
                    "Column {column}: {count:count} values are not numbers and were treated as missing.", column=name, count=given - read
                )
            )
    return notes


def to_frame(batch: pyarrow.RecordBatch, specs: list[FeatureSpec]) -> Frame:
    """A batch as named arrays: numbers float64 with NaN for missing (int64 and bool only where nothing is missing), texts as codes."""
    frame: Frame = {}
    for spec in specs:
        column = batch.column(batch.schema.get_field_index(spec.name))
        if spec.read == "decoded":
            frame[spec.name] = decode(column, spec)
        else:
            frame[spec.name] = categories(column) if spec.read == "text" else _array(column, spec.read)
    return frame


def categories(column: pyarrow.Array) -> Categories:
    """A text column as codes into its sorted values, -1 where missing."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from audit.subject.frame import Categories

    encoded = column if pa.types.is_dictionary(column.type) else column.cast(pa.string()).dictionary_encode()
    values = encoded.dictionary.to_pylist()
    order = np.argsort(np.array(values, dtype=object), kind="stable") if values else np.zeros(0, dtype=np.intp)
    rank = np.empty(len(values) + 1, dtype=np.int32)
    rank[order] = np.arange(len(values), dtype=np.int32)
    rank[-1] = -1
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return Categories(rank[codes], tuple(values[i] for i in order))


def _array(column: pyarrow.Array, read: str) -> NDArray[Any]:
    import numpy as np
    import pyarrow as pa

    if read == "datetime":
        times: NDArray[Any] = column.cast(pa.timestamp("ns")).to_numpy(zero_copy_only=False)
        return times
    if read in ("int64", "bool") and column.null_count == 0:
        return column.cast(pa.int64() if read == "int64" else pa.bool_()).to_numpy(zero_copy_only=False).astype(read, copy=False)  # type: ignore[no-any-return]
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)
