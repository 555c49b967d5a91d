"""The first runs of every cell made again: their numbers settle them, so that other verdicts come of other code alone."""

from __future__ import annotations

from audit.selftest.crowds import GENERATED, Crowd, generated, mortgages
from audit.selftest.defects import Defect
from audit.selftest.trial import trial
from audit.selftested import Cell, Measured

#: Runs of a cell that are made again.
FIRST = 5


def first(defect: Defect, rows: int, crowd: Crowd, *, planted: bool, runs: int = FIRST) -> dict[str, str]:
    """By what may find the defect, the first letters of the verdicts of the first runs."""
    out: dict[str, str] = {}
    for run in range(runs):
        for target, shares in trial(defect, rows, crowd, planted=planted, runs=1, first=run).verdicts.items():
            out[target] = out.get(target, "") + next(name[0] for name, share in shares.items() if share.k)
    return out


def differing(defect: Defect, found: Measured) -> list[str]:
    """The cells whose first runs come out otherwise, or of which none were kept."""
    return [
        f"{cell.source}, base {cell.base:g}, {cell.rows:,} rows, {'planted' if cell.planted else 'nothing planted'}"
        for cell in found.cells if not cell.first or _again(defect, cell) != cell.first
    ]  # fmt: skip


def _again(defect: Defect, cell: Cell) -> dict[str, str]:
    crowd = generated(cell.base) if cell.source == GENERATED else mortgages()
    return first(defect, cell.rows, crowd, planted=cell.planted, runs=len(next(iter(cell.first.values()))))
