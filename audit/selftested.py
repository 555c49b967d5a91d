"""What `audit.selftest` measured of a check, and the one place where it is looked up: for the document, `--list` and the self-test's own table.

Kept in `audit/selftest.json`, each with the digest of the sources that it hangs on, so that a figure which has gone stale is known. Nothing here
imports a check or what it computes with.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from audit.measurement import Estimate, Frozen
from audit.plan import DEFAULT
from audit.registry import checks
from audit.result import CheckInfo, SelfTest, Tried

HERE = Path(__file__).parent
PLACE = HERE / "selftest.json"
#: What every run hangs on, and where defects are planted: many side by side, each of which hangs on itself, and kinds of their own, with what they share.
AROUND = tuple(HERE / "selftest" / f"{name}.py" for name in ("crowds", "play", "trial"))
PLANTED, KINDS = HERE / "selftest" / "planted.py", tuple(HERE / "selftest" / f"{name}.py" for name in ("explainers", "promised"))
#: Modules and packages that compute what a check that imports them finds, and modules that make an answer of the findings of one.
COMPUTE = ("audit.stats", "audit.explain.gates", "audit.privacy.attacks", "audit.calibrating", "audit.privacy.assumptions")
DECIDED = {"privacy.claim": ("promise",), "fairness.group": ("screens",), "performance.baseline": ("questions",)}
IMPORTED = re.compile(r"^\s*from (audit[\w.]*) import (\([^)]*\)|[^\n]*)", re.MULTILINE)
#: What a check says of itself, which moves no figure.
PROSE = frozenset({"title", "meaning", "limits", "unit", "references"})


class Share(Frozen):
    """k of n runs, with the 95 % interval of Clopper and Pearson (1934)."""

    k: Annotated[int, Field(ge=0)]
    n: Annotated[int, Field(ge=1)]
    low: Annotated[float, Field(ge=0, le=1)]
    high: Annotated[float, Field(ge=0, le=1)]

    def estimate(self) -> Estimate:
        """As a document holds it."""
        return Estimate(value=self.k / self.n, low=self.low, high=self.high, level=0.95, method="clopper_pearson", n=self.n)


class Cell(Frozen):
    """One size of data, of rows from `source`: by what may find the defect, the share of runs that ended in each verdict; CPU-seconds of all runs.

    `first` are the verdicts of the first runs by their first letters, in the order of their numbers, which settle them.
    """

    source: str
    rows: int
    base: float
    planted: bool
    runs: int
    verdicts: dict[str, dict[str, Share]]
    seconds: float
    first: dict[str, str] = Field(default_factory=dict)


class Replayed(Frozen):
    """When and with which sources the first runs of every cell were made again, and came out as before."""

    date: str
    digest: str


class Measured(Frozen):
    """The cells of one defect: `plant` says what was planted, in the unit of `size`, by the function `build`.

    `check` is meant to find it; `through` are all that are asked, and `target` is what of them counts. `clean_of` is the defect whose runs without
    anything planted are the same rows. `digest` is of the sources that it was measured with, `date` is YYYY-MM-DD. `promised` is, for a base rate, from how
    many rows on the check promises to find it.
    """

    check: str
    plant: str
    size: float
    build: str
    through: list[str]
    target: str
    clean_of: str | None = None
    digest: str
    date: str
    replayed: Replayed | None = None
    promised: list[tuple[float, int]] = Field(default_factory=list)
    cells: list[Cell]

    def promises(self, base: float, rows: int) -> bool:
        """Whether the check promises to find it in so many rows: as at the nearest base rate for which something is promised."""
        nearest = min(self.promised, key=lambda one: abs(one[0] - base), default=None)
        return nearest is not None and rows >= nearest[1]


def load(place: Path | None = None) -> dict[str, Measured]:
    """By the name of the defect; nothing where nothing was measured."""
    place = place or PLACE
    if not place.is_file():
        return {}
    return {name: Measured.model_validate(found) for name, found in json.loads(place.read_bytes()).items()}


def save(measured: dict[str, Measured], place: Path = PLACE) -> None:
    """Whole or not at all."""
    from audit.jobs import write_whole

    def line(value: dict[str, Any]) -> str:
        """A cell to a line, so that what changed is seen."""
        cells = ",\n".join(f"  {json.dumps(cell)}" for cell in value["cells"])
        return json.dumps(value | {"cells": []})[:-2] + f"\n{cells}\n ]}}"

    written = {name: found.model_dump(mode="json", exclude_none=True) for name, found in sorted(measured.items())}
    write_whole(place, ("{\n" + ",\n".join(f" {json.dumps(name)}: {line(v)}" for name, v in written.items()) + "\n}\n").encode())


def digest(build: str, through: list[str]) -> str:
    """SHA-256, shortened, of the checks' code, of the statistics that it imports, of what the built-in plan holds findings against, of what plants the
    defect and of how it is run; what checks say of themselves is left out."""
    sources = [*(_of_check(id_) for id_ in through), _of_build(build), *map(_source, AROUND)]
    return hashlib.sha256("\x00".join(sources).encode()).hexdigest()[:16]


def stale(found: Measured) -> bool:
    """Whether something that the figures hang on has changed since they were measured, or since their first runs were made again and came out the same."""
    now = digest(found.build, found.through)
    return found.digest != now and (found.replayed is None or found.replayed.digest != now)


def documented(info: CheckInfo) -> CheckInfo:
    """The check's own account of itself, with how often it finds what is planted and how often it cries wolf, as far as that was measured."""
    kept = _kept()
    told = [_told(found, kept) for found in kept.values() if found.check == info.id]
    return info.model_copy(update={"self_tests": told}) if told else info


def pairs(found: Measured, measured: dict[str, Measured]) -> list[tuple[Cell, Cell]]:
    """The cells of each size of data: (nothing planted, planted), where both were measured."""
    clean = {(c.source, c.base, c.rows): c for c in measured.get(found.clean_of or "", found).cells if not c.planted}
    return [(clean[key], c) for c in found.cells if c.planted and (key := (c.source, c.base, c.rows)) in clean]


def _told(found: Measured, measured: dict[str, Measured]) -> SelfTest:
    tried = [
        Tried(
            source=planted.source, rows=planted.rows, base=planted.base,
            found=planted.verdicts[found.target]["fail"].estimate(), left_open=planted.verdicts[found.target]["inconclusive"].estimate(),
            false_alarms=clean.verdicts[found.target]["fail"].estimate(), passes=clean.verdicts[found.target]["pass"].estimate(),
            promised=found.promises(planted.base, planted.rows),
        )
        for clean, planted in pairs(found, measured)
    ]  # fmt: skip
    beside = measured.get(found.clean_of or "", found)
    return SelfTest(
        plant=found.plant,
        size=found.size,
        date=found.date,
        digest=found.digest,
        stale=stale(found) or stale(beside),
        tried=tried,
        replayed=found.replayed.date if found.replayed else None,
    )


@cache
def _kept() -> dict[str, Measured]:
    return load()


@cache
def _source(path: Path) -> str:
    return path.read_text("utf-8")


def _bare(text: str) -> str:
    """A module's text without its docstrings and what checks in it say of themselves."""
    starts = [0, *itertools.accumulate(len(line.encode()) for line in text.splitlines(keepends=True))]
    cut = []
    for node in ast.walk(ast.parse(text)):
        told: list[ast.expr] = []
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False) is not None:
            told = [node.body[0].value] if isinstance(node.body[0], ast.Expr) else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check":
            told = [k.value for k in node.keywords if k.arg in PROSE]
        cut += [(starts[t.lineno - 1] + t.col_offset, starts[(t.end_lineno or 0) - 1] + (t.end_col_offset or 0)) for t in told]
    whole = text.encode()
    for start, end in sorted(cut, reverse=True):
        whole = whole[:start] + whole[end:]
    return whole.decode()


@cache
def _of_build(build: str) -> str:
    """What plants a defect: its own function, or the whole of a kind's module."""
    text = _source(PLANTED)
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == build:
            return ast.get_source_segment(text, node) or ""
    return next((_source(path) for path in KINDS if f"\ndef {build}(" in _source(path)), "")


@cache
def _of_check(id_: str) -> str:
    """The code of the check's module and of what computes for it and, of the built-in plan, what its findings are held against."""
    import inspect

    plan: dict[str, Any] = tomllib.loads(_source(DEFAULT))
    held = {"judge": plan["judge"], "decides": plan["decides"], "criteria": plan["checks"].get(id_, {}).get("criteria", [])}
    held["criteria"] = [{k: v for k, v in one.items() if k not in ("source", "severity", "basis")} for one in held["criteria"]]
    module = inspect.getsourcefile(checks()[id_].run)
    own = [*([Path(module)] if module else []), *(HERE / f"{name}.py" for name in DECIDED.get(id_, ()))]
    return "\x00".join([*map(_bare, map(_source, own)), *map(_source, _computing(own)), json.dumps(held, sort_keys=True)])


def _computing(own: list[Path]) -> list[Path]:
    """The modules of `COMPUTE` that these import anywhere, and those that they import in turn."""
    found: set[Path] = set()
    ahead = [*own]
    while ahead:
        new = _imported(ahead.pop()) - found
        found |= new
        ahead += new
    return sorted(found - {*own})


@cache
def _imported(path: Path) -> set[Path]:
    named = set()
    for package, names in IMPORTED.findall(_source(path)):
        named |= {package, *(f"{package}.{name}" for name in re.findall(r"\w+", names))}
    places = (HERE.parent.joinpath(*name.split(".")).with_suffix(".py") for name in named if name.startswith(COMPUTE))
    return {place for place in places if place.is_file()}
