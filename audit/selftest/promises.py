"""What is promised of every check and of the whole audit, held against what was measured: broken, or left open by too few runs."""

from __future__ import annotations

from audit.selftested import Cell, Measured

#: False alarms of a whole audit at most, upper bound; fair models of 10,000 rows that pass, at these base rates.
ALARMS, PASSES, PASSING = 0.05, 0.80, (0.3, 0.9)
#: Share of the runs in which a check finds what it promises to find.
POWER = 0.80


def promises(measured: dict[str, Measured]) -> list[str]:
    """What was promised and does not hold by what was measured; a share counts as broken only where its interval says so."""
    broken = []
    for name, found in measured.items():
        for cell in found.cells:
            broken += _missed(name, found, cell) if cell.planted else _alarmed(name, cell)
    return broken


def unsettled(measured: dict[str, Measured]) -> list[str]:
    """Where so few runs were made that more false alarms than promised, fewer passes or less power cannot be ruled out."""
    lines = []
    for name, found in measured.items():
        for cell in found.cells:
            where = f"{cell.source}, base {cell.base:g}, {cell.rows:,} rows"
            if cell.planted:
                there = cell.verdicts[found.target]["fail"]
                if found.promises(cell.base, cell.rows) and there.low < POWER <= there.high:
                    lines.append(f"{name}, {where}: found in as few as {there.low:.1%} of the runs; {cell.runs} runs leave it open")
            elif "audit" in cell.verdicts:
                audit = cell.verdicts["audit"]
                if audit["fail"].high > ALARMS >= audit["fail"].low:
                    lines.append(f"{where}: up to {audit['fail'].high:.1%} of clean audits may fail; {cell.runs} runs leave it open")
                if cell.rows == 10_000 and cell.base in PASSING and audit["pass"].low < PASSES <= audit["pass"].high:
                    lines.append(f"{where}: as few as {audit['pass'].low:.1%} of clean audits may pass; {cell.runs} runs leave it open")
    return lines


def short(measured: dict[str, Measured], wanted: dict[str, int]) -> list[str]:
    """How many cells have fewer runs than are `wanted` of them, by the name of the defect."""
    lines = []
    for name, found in measured.items():
        few = [cell.runs for cell in found.cells if cell.runs < wanted.get(name, 0)]
        if few:
            lines.append(f"{name}: {len(few)} of {len(found.cells)} cells have fewer than {wanted[name]:,} runs, {min(few):,} at least")
    return lines


def _missed(name: str, found: Measured, cell: Cell) -> list[str]:
    there = cell.verdicts[found.target]["fail"]
    if not found.promises(cell.base, cell.rows) or there.high >= POWER:
        return []
    where = f"{name}, {found.target}, {cell.source}, base {cell.base:g}, {cell.rows:,} rows"
    return [f"{where}: found in {there.k} of {there.n} runs, promised are {POWER:.0%}"]


def _alarmed(name: str, cell: Cell) -> list[str]:
    broken = []
    for target, shares in cell.verdicts.items():
        where = f"{name}, {target}, {cell.source}, base {cell.base:g}, {cell.rows:,} rows"
        if shares["fail"].low > ALARMS:
            broken.append(f"{where}: {shares['fail'].k} of {shares['fail'].n} clean runs fail, promised are at most {ALARMS:.0%}")
        if target == "audit" and cell.rows == 10_000 and cell.base in PASSING and shares["pass"].high < PASSES:
            broken.append(f"{where}: {shares['pass'].k} of {shares['pass'].n} clean runs pass, promised are {PASSES:.0%}")
    return broken
