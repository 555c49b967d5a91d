"""What `audit.selftest` measured of a check, and the one place where it is looked up: for the document, `--list` and the self-test's own table.

Kept in `audit/selftest.json`, each with the digest of the sources that it hangs on, so that a figure which has gone stale is known. Nothing here
imports a check or what it computes with.
"""

from __future__ import annotations

import ast
import hashlib
import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from audit.plan import DEFAULT
from audit.registry import checks
from audit.result import CheckInfo, Estimate, Frozen, SelfTest, Tried

HERE = Path(__file__).parent
PLACE = HERE / "selftest.json"
#: Where defects are planted, and how a run of one is made.
STAGES, AROUND = HERE / "selftest" / "defects.py", (HERE / "selftest" / "crowds.py", HERE / "selftest" / "trial.py")


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
    """One size of data, of rows from `source`: by what may find the defect, the share of runs that ended in each verdict; CPU-seconds of all runs."""

    source: str
    rows: int
    base: float
    planted: bool
    runs: int
    verdicts: dict[str, dict[str, Share]]
    seconds: float


class Measured(Frozen):
    """The cells of one defect: `plant` says what was planted, in the unit of `size`, by the function `build` of `defects.py`.

    `check` is meant to find it; `through` are all that are asked, and `target` is what of them counts. `clean_of` is the defect whose runs without
    anything planted are the same rows. `digest` is of the sources that it was measured with, `date` is YYYY-MM-DD.
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
    cells: list[Cell]


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
    """SHA-256, shortened, of the checks' own modules and what the built-in plan holds them against, of what plants the defect and of how it is run."""
    sources = [*(_of_check(id_) for id_ in through), _stages().get("Rows", ""), _stages().get(build, ""), *map(_source, AROUND)]
    return hashlib.sha256("\x00".join(sources).encode()).hexdigest()[:16]


def stale(found: Measured) -> bool:
    """Whether something that the figures hang on has changed since."""
    return found.digest != digest(found.build, found.through)


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
        )
        for clean, planted in pairs(found, measured)
    ]  # fmt: skip
    beside = measured.get(found.clean_of or "", found)
    return SelfTest(
        plant=found.plant, size=found.size, date=found.date, digest=found.digest, stale=stale(found) or stale(beside), tried=tried
    )


@cache
def _kept() -> dict[str, Measured]:
    return load()


@cache
def _source(path: Path) -> str:
    return path.read_text("utf-8")


@cache
def _stages() -> dict[str, str]:
    """The source of each function and class of `defects.py`, without importing it."""
    text = _source(STAGES)
    named = [node for node in ast.parse(text).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    return {node.name: ast.get_source_segment(text, node) or "" for node in named}


@cache
def _of_check(id_: str) -> str:
    """The source of the check's module and, of the built-in plan, what its findings are held against."""
    import inspect

    plan: dict[str, Any] = tomllib.loads(_source(DEFAULT))
    held = {"decides": plan["decides"], "criteria": plan["checks"].get(id_, {}).get("criteria", [])}
    module = inspect.getsourcefile(checks()[id_].run)
    return (_source(Path(module)) if module else "") + json.dumps(held, sort_keys=True)
