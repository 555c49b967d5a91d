"""`python -m audit.selftest`: plant known defects, and nothing, and report for each check how often it is right and how often it cries wolf."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from audit.errors import AuditError
from audit.selftest.crowds import Crowd, generated, mortgages, real
from audit.selftest.defects import DEFECTS, Defect
from audit.selftest.promises import promises, short, unsettled
from audit.selftest.replay import differing, first
from audit.selftest.told import fair, table, write
from audit.selftest.trial import joined, trial
from audit.selftested import Cell, Measured, Replayed, digest, load, save, stale

#: Runs of a cell that are kept together: an interrupted measurement loses at most so many.
STEP = 100
#: Of the mortgages there are 1,989 rows.
REAL_ROWS = 2_000


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m audit.selftest", description=__doc__)
    p.add_argument("--runs", type=int, metavar="N", help="measure until each cell has so many runs (default: show what was measured)")
    p.add_argument("--full", action="store_true", help="until each has 1,000 runs, or 200 of a check that asks the model")
    p.add_argument("--defects", metavar="NAMES", help=f"only these, with commas between them: {', '.join(d.name for d in DEFECTS)}")
    p.add_argument(
        "--data", metavar="PATH", help="on the rows of this csv or parquet file instead of those that are kept; only shown, not kept"
    )
    p.add_argument("--target", metavar="COL", help="the outcome column of --data")
    p.add_argument("--positive", metavar="LABEL", default="1", help="its event (default: 1)")
    p.add_argument("--again", action="store_true", help="measure anew also what was measured with the code as it stands")
    p.add_argument(
        "--replay", action="store_true", help="make the first runs of what is stale again: where they come out the same, figures stand"
    )
    p.add_argument("--clean", action="store_true", help="only runs with nothing planted: how often it cries wolf")
    p.add_argument("--write", metavar="FILE", help="write the figures between <!-- selftest --> and <!-- /selftest --> of this text")
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
        raise AuditError(f"--runs is {given.runs}", "give 1 or more; 200 take about an hour of one core")
    if given.data and not (given.target and given.runs):
        raise AuditError("--data needs --target and --runs", "name the outcome column, and say how many runs")
    crowds = [real(Path(given.data), given.target, given.positive)] if given.data else None
    measured = {} if crowds else _named(load())
    for defect in chosen if given.replay and not crowds else ():
        _replay(defect, measured)
    for defect in chosen if given.runs or given.full else ():
        _measure(defect, given, measured, crowds)
    if given.write:
        write(Path(given.write), measured)
    shown = {d.name: measured[d.name] for d in chosen if d.name in measured}
    if not shown:
        raise AuditError("nothing was measured yet", "run it with --runs 200")
    broken = promises(shown)
    if given.json:
        print(json.dumps({"measured": {k: v.model_dump(mode="json") for k, v in shown.items()}, "broken": broken}, indent=1))
    else:
        told = [*fair(measured), "", *table(shown, measured), ""] if "selection" in shown else [*table(shown, measured), ""]
        told += [f"? {line}" for line in [*unsettled(shown), *short(shown, {d.name: d.wanted for d in chosen})]]
        told += [f"✗ {line}" for line in broken]
        print("\n".join(told if broken else [*told, "✓ no promise is broken"]))
    return 1 if broken else 0


def _named(measured: dict[str, Measured]) -> dict[str, Measured]:
    """In the order of the defects, with what is promised of them as it stands; what is planted no more is left out."""
    return {d.name: measured[d.name].model_copy(update={"promised": list(d.promised)}) for d in DEFECTS if d.name in measured}


def _replay(defect: Defect, measured: dict[str, Measured]) -> None:
    """Figures that are stale stand where the first runs of every cell come out as before."""
    found = measured.get(defect.name)
    if found is None or not stale(found):
        return
    others = differing(defect, found)
    for where in others:
        print(f"{defect.name}: {where}: the first runs come out otherwise, or were not kept; measure it anew with --runs", file=sys.stderr)
    if not others:
        now = Replayed(date=_today(), digest=digest(found.build, found.through))
        measured[defect.name] = found.model_copy(update={"replayed": now})
        save(measured)
        print(f"{defect.name}: the first runs of {len(found.cells)} cells come out as before", file=sys.stderr)


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _chosen(names: str | None) -> list[Defect]:
    wanted = None if names is None else [n.strip() for n in names.split(",")]
    for name in wanted or ():
        if name not in {d.name for d in DEFECTS}:
            raise AuditError(f"there is no defect {name!r}", f"known are {', '.join(d.name for d in DEFECTS)}")
    return [d for d in DEFECTS if wanted is None or d.name in wanted]


def _measure(defect: Defect, given: argparse.Namespace, measured: dict[str, Measured], crowds: list[Crowd] | None) -> None:
    """Bring every cell of a defect to so many runs, and keep what is done as it comes; of rows from elsewhere nothing is kept."""
    wanted = defect.wanted if given.full else given.runs
    before = measured.get(defect.name)
    kept = before if before is not None and not stale(before) and not given.again else None
    cells = {(c.source, c.base, c.rows, c.planted): c for c in (kept.cells if kept else ())}
    places = [(crowd, rows) for crowd in crowds or [generated(b) for b in defect.bases] for rows in defect.rows]
    for crowd, rows in places if crowds else [*places, (mortgages(), REAL_ROWS)]:
        for planted in (p for p in (False, True) if not (p and given.clean) and (p or not defect.clean_of)):
            key = (crowd.source, crowd.base, rows, planted)
            while (done := cells[key].runs if key in cells else 0) < wanted:
                step = min(STEP, wanted - done)
                told = f"{crowd.source}, base {crowd.base:g}, {rows:,} rows, {'planted' if planted else 'nothing planted'}"
                print(f"{defect.name}: {told}, runs {done + 1} to {done + step} …", file=sys.stderr, flush=True)
                more = trial(defect, rows, crowd, planted=planted, runs=step, first=done)
                if not done and not crowds:
                    more = more.model_copy(update={"first": first(defect, rows, crowd, planted=planted)})
                cells[key] = joined(cells[key], more) if key in cells else more
                measured[defect.name] = _record(defect, list(cells.values()), kept)
                if not crowds:
                    save(measured)


def _record(defect: Defect, cells: list[Cell], kept: Measured | None) -> Measured:
    """As it is kept: runs that are added to others have the digest of these, whose code they share or whose first runs came out the same."""
    through = list(defect.through)
    return Measured(
        check=defect.check, plant=defect.plant, size=defect.size, build=defect.build.__name__, through=through, target=defect.target,
        clean_of=defect.clean_of, digest=kept.digest if kept else digest(defect.build.__name__, through), date=_today(),
        replayed=kept.replayed if kept else None, promised=list(defect.promised), cells=cells,
    )  # fmt: skip


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # so few rows are fitted fastest by one thread
    sys.exit(main())
