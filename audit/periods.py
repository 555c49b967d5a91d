"""A time column divided into at most `MOST` periods, in their order."""

from __future__ import annotations

from audit.bins import binned
from audit.dataset import Dataset, literal, quoted
from audit.errors import AuditError

MOST = 12
#: Whole numbers of at most so many values, such as years, are periods as they are.
MOST_NUMBERS = 20
#: A text column is one of dates only if at least this share of its values can be read.
READABLE = 0.9


def periods(dataset: Dataset, name: str) -> tuple[str, list[str]]:
    """(SQL for the period of a row as text, NULL where unknown; the periods in order); [] of them where there is one or none.

    Dates: days, weeks, months, quarters, years or spans of years, the finest of which there are at most `MOST`; whole numbers of at most
    `MOST_NUMBERS` values as they are; other numbers at their quintiles.
    """
    if not dataset.is_scalar(name):
        raise AuditError(f"the time column {name!r} holds {dataset.types[name]} values", "name a column of dates or numbers")
    if dataset.is_number(name):
        return _numbers(dataset, name)
    if dataset.types[name] == "BOOLEAN" or dataset.types[name].startswith("TIME "):
        raise AuditError(f"the time column {name!r} holds {dataset.types[name].lower()} values", "name a column of dates or numbers")
    return _dates(dataset, name)


def _ordered(dataset: Dataset, sql: str, by: str) -> list[str]:
    rows = dataset.ask({"period": sql, "first": f"min({by})"}, tail=f"WHERE ({sql}) IS NOT NULL GROUP BY 1 ORDER BY 2, 1")
    return [str(row[0]) for row in rows]


def _numbers(dataset: Dataset, name: str) -> tuple[str, list[str]]:
    x = dataset.number(name)
    text = dataset.text(name)
    few = dataset.ask({"n": f"count(DISTINCT {x})", "whole": f"bool_and({x} = trunc({x}))"}, tail=f"WHERE isfinite({x})")[0]
    if few[0] <= MOST_NUMBERS and few[1]:
        sql = f"CASE WHEN isfinite({x}) THEN {text} END"
        return sql, _ordered(dataset, sql, x)
    sql = binned(dataset, name, None)
    return sql, _ordered(dataset, sql, x)


def _dates(dataset: Dataset, name: str) -> tuple[str, list[str]]:
    value = dataset.value(name)
    if dataset.types[name].startswith(("DATE", "TIMESTAMP")):
        moment = f"CAST({value} AS TIMESTAMP)"
    else:  # a month without a day, 2019-03, is a date too
        moment = f"coalesce(TRY_CAST({value} AS TIMESTAMP), TRY_CAST({value} || '-01' AS TIMESTAMP))"
    moment = f"CASE WHEN isfinite({moment}) THEN {moment} END"
    given, read = dataset.ask({"given": f"count({quoted(name)})", "read": f"count({moment})"})[0]
    if given and read < READABLE * given:
        raise AuditError(
            f"the time column {name!r} holds neither dates nor numbers: {read} of its {given} values can be read",
            "write dates as 2019-03-31, or name a column of numbers",
        )
    chosen, most = None, 0
    for sql in _cuts(moment):
        count = int(dataset.ask({"n": f"count(DISTINCT {sql})"})[0][0])
        if most < count <= MOST:  # a finer unit that divides nothing further is not taken
            chosen, most = sql, count
    if chosen is not None or not read:
        return (chosen, _ordered(dataset, chosen, moment)) if chosen else ("CAST(NULL AS VARCHAR)", [])
    first, last = dataset.ask({"first": f"min(year({moment}))", "last": f"max(year({moment}))"})[0]
    width = -(-(last - first + 1) // MOST)
    start = f"({first} + {width} * ((year({moment}) - {first}) // {width}))"
    sql = f"CAST({start} AS VARCHAR) || '–' || CAST(least({start} + {width - 1}, {last}) AS VARCHAR)"
    return sql, _ordered(dataset, sql, moment)


def _cuts(moment: str) -> list[str]:
    """A date as its year, quarter, month, week and day, the coarsest first."""
    day, week, month, year = (f"strftime({moment}, {literal(form)})" for form in ("%Y-%m-%d", "%G-W%V", "%Y-%m", "%Y"))
    quarter = f"{year} || '-Q' || CAST(quarter({moment}) AS VARCHAR)"
    return [year, quarter, month, week, day]
