"""`python -m audit.selftest`: plant known defects, and nothing, and report for each check how often it is right and how often it cries wolf."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from audit.errors import AuditError
from audit.selftest.crowds import Crowd, generated, mortgages, real
from audit.selftest.defects import DEFECTS, Defect
from audit.selftest.trial import joined, trial
from audit.selftested import Cell, Measured, Share, digest, load, pairs, save, stale

#: False alarms of a whole audit at most, upper bound; fair models of 10,000 rows that pass, at these base rates.
ALARMS, PASSES, PASSING = 0.05, 0.80, (0.3, 0.9)
#: Runs of a cell that are kept together: an interrupted measurement loses at most so many.
STEP = 100
#: Of the mortgages there are 1,989 rows.
REAL_ROWS = 2_000


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m audit.selftest", description=__doc__)
    p.add_argument("--runs", type=int, metavar="N", help="measure until each cell has so many runs (default: show what was measured)")
    p.add_argument("--defects", metavar="NAMES", help=f"only these, with commas between them: {', '.join(d.name for d in DEFECTS)}")
    p.add_argument(
        "--data", metavar="PATH", help="on the rows of this csv or parquet file instead of those that are kept; only shown, not kept"
    )
    p.add_argument("--target", metavar="COL", help="the outcome column of --data")
    p.add_argument("--positive", metavar="LABEL", default="1", help="its event (default: 1)")
    p.add_argument("--again", action="store_true", help="measure anew also what was measured with the code as it stands")
    p.add_argument("--clean", action="store_true", help="only runs with nothing planted: how often it cries wolf")
    p.add_argument("--json", action="store_true", help="the figures as JSON")
    return p


def main(arguments: list[str] | None = None) -> int:
    """0 where every promise is kept by what was measured, 1 where one is not, 2 for a mistake in the command, 130 interrupted."""
    given = parser().parse_args(arguments)
    try:
        return _run(given)
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept: the same command goes on from there", file=sys.stderr)
        return 130


def _run(given: argparse.Namespace) -> int:
    chosen = _chosen(given.defects)
    if given.runs is not None and given.runs < 1:
        raise AuditError(f"--runs is {given.runs}", "give 1 or more; 200 take about half an hour")
    if given.data and not (given.target and given.runs):
        raise AuditError("--data needs --target and --runs", "name the outcome column, and say how many runs")
    crowds = [real(Path(given.data), given.target, given.positive)] if given.data else None
    measured = {} if crowds else load()
    for defect in chosen if given.runs else ():
        _measure(defect, given, measured, crowds)
    shown = {d.name: measured[d.name] for d in chosen if d.name in measured}
    if not shown:
        raise AuditError("nothing was measured yet", "run it with --runs 200")
    broken = promises(shown)
    if given.json:
        print(json.dumps({"measured": {k: v.model_dump(mode="json") for k, v in shown.items()}, "broken": broken}, indent=1))
    else:
        told = [*fair(measured), "", *table(shown, measured), ""] if "selection" in shown else [*table(shown, measured), ""]
        told += [f"? {line}" for line in unsettled(shown)] + [f"✗ {line}" for line in broken]
        print("\n".join(told if broken else [*told, "✓ no promise is broken"]))
    return 1 if broken else 0


def _chosen(names: str | None) -> list[Defect]:
    wanted = None if names is None else [n.strip() for n in names.split(",")]
    for name in wanted or ():
        if name not in {d.name for d in DEFECTS}:
            raise AuditError(f"there is no defect {name!r}", f"known are {', '.join(d.name for d in DEFECTS)}")
    return [d for d in DEFECTS if wanted is None or d.name in wanted]


def _measure(defect: Defect, given: argparse.Namespace, measured: dict[str, Measured], crowds: list[Crowd] | None) -> None:
    """Bring every cell of a defect to so many runs, and keep what is done as it comes; of rows from elsewhere nothing is kept."""
    today, through = f"{datetime.now(UTC):%Y-%m-%d}", list(defect.through)
    now = digest(defect.build.__name__, through)
    before = measured.get(defect.name)
    kept = before.cells if before is not None and before.digest == now and not given.again else []
    cells = {(c.source, c.base, c.rows, c.planted): c for c in kept}
    places = [(crowd, rows) for crowd in crowds or [generated(b) for b in defect.bases] for rows in defect.rows]
    for crowd, rows in places if crowds else [*places, (mortgages(), REAL_ROWS)]:
        for planted in (p for p in (False, True) if not (p and given.clean) and (p or not defect.clean_of)):
            key = (crowd.source, crowd.base, rows, planted)
            while (done := cells[key].runs if key in cells else 0) < given.runs:
                step = min(STEP, given.runs - done)
                told = f"{crowd.source}, base {crowd.base:g}, {rows:,} rows, {'planted' if planted else 'nothing planted'}"
                print(f"{defect.name}: {told}, runs {done + 1} to {done + step} …", file=sys.stderr, flush=True)
                more = trial(defect, rows, crowd, planted=planted, runs=step, first=done)
                cells[key] = joined(cells[key], more) if key in cells else more
                measured[defect.name] = Measured(
                    check=defect.check, plant=defect.plant, size=defect.size, build=defect.build.__name__, through=through,
                    target=defect.target, clean_of=defect.clean_of, digest=now, date=today, cells=list(cells.values()),
                )  # fmt: skip
                if not crowds:
                    save(measured)


def fair(measured: dict[str, Measured]) -> list[str]:
    """The whole audit of a model with nothing planted, by base rate and size, in Markdown: what it ends in, in % of the runs."""
    found = measured["selection"]
    lines = [
        "| rows from | base rate | rows | fail, % | inconclusive, % | pass, % | runs | measured |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell in (c for c in found.cells if not c.planted):
        shares = [_percent(cell.verdicts["audit"][v]) for v in ("fail", "inconclusive", "pass")]
        lines.append(f"| {cell.source} | {cell.base:g} | {cell.rows:,} | {' | '.join(shares)} | {cell.runs:,} | {_when(found)} |")
    return lines


def table(shown: dict[str, Measured], measured: dict[str, Measured]) -> list[str]:
    """A line for each defect and size of data, in Markdown."""
    lines = [
        "| check | planted | rows from | base rate | rows | found, % | left open, % | false alarms, % | runs with and without | measured |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for found in shown.values():
        for clean, planted in pairs(found, measured):
            there, nothing = planted.verdicts[found.target], clean.verdicts[found.target]
            shares = [_percent(there["fail"]), _percent(there["inconclusive"]), _percent(nothing["fail"])]
            what = f"`{found.check}` | {found.plant}: {found.size:g} | {planted.source} | {planted.base:g} | {planted.rows:,}"
            lines.append(f"| {what} | {' | '.join(shares)} | {planted.runs:,}, {clean.runs:,} | {_when(found)} |")
    return lines


def _percent(share: Share) -> str:
    """With the 95 % interval."""
    return f"{100 * share.k / share.n:.1f} ({100 * share.low:.1f}–{100 * share.high:.1f})"


def _when(found: Measured) -> str:
    return f"{found.date} `{found.digest[:8]}`{', stale' if stale(found) else ''}"


def promises(measured: dict[str, Measured]) -> list[str]:
    """What was promised and does not hold by what was measured; a share counts as broken only where its interval says so."""
    broken = []
    for name, found in measured.items():
        for cell in (c for c in found.cells if not c.planted):
            broken += _broken(name, cell)
    return broken


def unsettled(measured: dict[str, Measured]) -> list[str]:
    """Where so few runs were made that more false alarms of the whole audit than promised, or fewer passes, cannot be ruled out."""
    lines = []
    for found in measured.values():
        for cell in (c for c in found.cells if not c.planted and "audit" in c.verdicts):
            where, audit = f"{cell.source}, base {cell.base:g}, {cell.rows:,} rows", cell.verdicts["audit"]
            if audit["fail"].high > ALARMS >= audit["fail"].low:
                lines.append(f"{where}: up to {audit['fail'].high:.1%} of clean audits may fail; {cell.runs} runs leave it open")
            if cell.rows == 10_000 and cell.base in PASSING and audit["pass"].low < PASSES <= audit["pass"].high:
                lines.append(f"{where}: as few as {audit['pass'].low:.1%} of clean audits may pass; {cell.runs} runs leave it open")
    return lines


def _broken(name: str, cell: Cell) -> list[str]:
    broken = []
    for target, shares in cell.verdicts.items():
        where = f"{name}, {target}, {cell.source}, base {cell.base:g}, {cell.rows:,} rows"
        if shares["fail"].low > ALARMS:
            broken.append(f"{where}: {shares['fail'].k} of {shares['fail'].n} clean runs fail, promised are at most {ALARMS:.0%}")
        if target == "audit" and cell.rows == 10_000 and cell.base in PASSING and shares["pass"].high < PASSES:
            broken.append(f"{where}: {shares['pass'].k} of {shares['pass'].n} clean runs pass, promised are {PASSES:.0%}")
    return broken


if __name__ == "__main__":
    sys.exit(main())
