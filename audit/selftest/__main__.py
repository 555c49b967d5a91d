"""`python -m audit.selftest`: plant known defects, and nothing, and report for each check how often it is right and how often it cries wolf."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime

from audit.errors import AuditError
from audit.selftest.defects import DEFECTS, Defect
from audit.selftest.record import Measured, digest, load, save
from audit.selftest.trial import Cell, trial

#: False alarms of a whole audit at most, upper bound; fair models of 10,000 rows that pass, at these base rates.
ALARMS, PASSES, PASSING = 0.05, 0.80, (0.3, 0.9)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m audit.selftest", description=__doc__)
    p.add_argument("--runs", type=int, metavar="N", help="measure anew, with so many runs a cell (default: show what was measured)")
    p.add_argument("--defects", metavar="NAMES", help=f"only these, with commas between them: {', '.join(d.name for d in DEFECTS)}")
    p.add_argument("--changed", action="store_true", help="measure only where the check or the defect has changed since")
    p.add_argument("--json", action="store_true", help="the figures as JSON")
    return p


def main(arguments: list[str] | None = None) -> int:
    """0 where every promise is kept by what was measured, 1 where one is not, 2 for a mistake in the command."""
    given = parser().parse_args(arguments)
    try:
        return _run(given)
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2


def _run(given: argparse.Namespace) -> int:
    chosen = _chosen(given.defects)
    if given.runs is not None and given.runs < 1:
        raise AuditError(f"--runs is {given.runs}", "give 1 or more; 200 take about half an hour")
    measured = load()
    for defect in chosen if given.runs else ():
        if given.changed and defect.name in measured and measured[defect.name].digest == digest(defect):
            continue
        measured[defect.name] = _measure(defect, given.runs)
        save(measured)
    shown = {d.name: measured[d.name] for d in chosen if d.name in measured}
    if not shown:
        raise AuditError("nothing was measured yet", "run it with --runs 200")
    broken = promises(shown)
    if given.json:
        print(json.dumps({"measured": {k: v.model_dump(mode="json") for k, v in shown.items()}, "broken": broken}, indent=1))
    else:
        print(
            "\n".join([*table(shown), "", *(f"✗ {line}" for line in broken)] if broken else [*table(shown), "", "✓ every promise is kept"])
        )
    return 1 if broken else 0


def _chosen(names: str | None) -> list[Defect]:
    wanted = None if names is None else [n.strip() for n in names.split(",")]
    for name in wanted or ():
        if name not in {d.name for d in DEFECTS}:
            raise AuditError(f"there is no defect {name!r}", f"known are {', '.join(d.name for d in DEFECTS)}")
    return [d for d in DEFECTS if wanted is None or d.name in wanted]


def _measure(defect: Defect, runs: int) -> Measured:
    cells = []
    for base in defect.bases:
        for rows in defect.rows:
            for planted in (False, True):
                print(f"{defect.name}: base {base:g}, {rows:,} rows, {'planted' if planted else 'clean'} …", file=sys.stderr)
                cells.append(trial(defect, rows, base, planted=planted, runs=runs))
    return Measured(digest=digest(defect), date=f"{datetime.now(UTC):%Y-%m-%d}", cells=cells)


def table(measured: dict[str, Measured]) -> list[str]:
    """A line for each defect, target and size of data, in Markdown."""
    lines = [
        "| check | planted | held by | base rate | rows | clean: fail / open / pass, % | planted: fail / open / pass, % | runs | measured |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for defect in DEFECTS:
        if (found := measured.get(defect.name)) is None:
            continue
        stale = "" if found.digest == digest(defect) else ", stale"
        for clean, planted in zip(found.cells[::2], found.cells[1::2], strict=True):
            for target in defect.targets:
                cells = (f"{defect.check}", f"{defect.plant}: {defect.size:g}", target, f"{clean.base:g}", f"{clean.rows:,}")
                lines.append(
                    f"| {' | '.join(cells)} | {_line(clean, target)} | {_line(planted, target)} | {clean.runs} | {found.date}{stale} |"
                )
    return lines


def _line(cell: Cell, target: str) -> str:
    shares = cell.verdicts[target]
    return " / ".join(f"{100 * shares[v].k / shares[v].n:.1f}" for v in ("fail", "inconclusive", "pass"))


def promises(measured: dict[str, Measured]) -> list[str]:
    """What was promised and does not hold by what was measured; a share counts as broken only where its interval says so."""
    broken = []
    for name, found in measured.items():
        for cell in (c for c in found.cells if not c.planted):
            for target, shares in cell.verdicts.items():
                where = f"{name}, {target}, base {cell.base:g}, {cell.rows:,} rows"
                if shares["fail"].low > ALARMS:
                    broken.append(f"{where}: {shares['fail'].k} of {shares['fail'].n} clean runs fail, promised are at most {ALARMS:.0%}")
                if target == "audit" and cell.rows == 10_000 and cell.base in PASSING and shares["pass"].high < PASSES:
                    broken.append(f"{where}: {shares['pass'].k} of {shares['pass'].n} clean runs pass, promised are {PASSES:.0%}")
    return broken


if __name__ == "__main__":
    sys.exit(main())
