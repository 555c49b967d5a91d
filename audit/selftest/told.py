"""What was measured, in Markdown: whole audits with nothing planted, and a line for each defect; and the README's part, written from it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from audit.errors import AuditError
from audit.selftested import Cell, Measured, Share, pairs, stale

BEGIN, END = "<!-- selftest -->", "<!-- /selftest -->"
OUTCOMES = ("fail", "inconclusive", "pass")


def fair(measured: dict[str, Measured]) -> list[str]:
    """The whole audit of a model with nothing planted, by base rate and size: what it ends in, in % of the runs."""
    found = measured["selection"]
    lines = [
        "| rows from | base rate | rows | fail, % | inconclusive, % | pass, % | runs | measured |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell in (c for c in found.cells if not c.planted):
        shares = [_percent(cell.verdicts["audit"][v]) for v in OUTCOMES]
        lines.append(f"| {cell.source} | {cell.base:g} | {cell.rows:,} | {' | '.join(shares)} | {cell.runs:,} | {_when(found)} |")
    return lines


def table(shown: dict[str, Measured], measured: dict[str, Measured]) -> list[str]:
    """A line for each defect and size of data."""
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
    again = f", again {found.replayed.date} `{found.replayed.digest[:8]}`" if found.replayed else ""
    return f"{found.date} `{found.digest[:8]}`{again}{', stale' if stale(found) else ''}"


def rewritten(text: str, measured: dict[str, Measured]) -> str:
    """The text with the figures between its markers; AuditError where they are not there once each, in this order."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in tail:
        raise AuditError(f"the text has no place between {BEGIN} and {END}", "write both markers once, each on a line of its own")
    return f"{head}{BEGIN}\n" + "\n".join(brief(measured)) + f"\n{END}{tail}"


def write(path: Path, measured: dict[str, Measured]) -> None:
    """The figures into a text file."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"{path} cannot be read ({type(error).__name__})", "name a text file with both markers") from None
    path.write_text(rewritten(text, measured), "utf-8")


def brief(measured: dict[str, Measured]) -> list[str]:
    """Both tables with a line for each base rate, sizes side by side; whether a figure is stale is said by the command, not here."""
    lines = [
        "Whole audits in which nothing is planted, in % of the runs:",
        "",
        "| rows from | base rate | rows | fail (95 % interval) | left open | pass (95 % interval) | runs |",
        "|---|---|---|---|---|---|---|",
    ]
    clean = [c for c in measured["selection"].cells if not c.planted] if "selection" in measured else []
    for (source, base), cells in _rows(clean):
        shares = [" · ".join(_percent(c.verdicts["audit"][v]) for c in cells) for v in ("fail", "pass")]
        open_ = " · ".join(f"{100 * c.verdicts['audit']['inconclusive'].k / c.runs:.1f}" for c in cells)
        lines.append(f"| {source} | {base:g} | {_sizes(cells)} | {shares[0]} | {open_} | {shares[1]} | {_runs(cells)} |")
    lines += [
        "",
        f"<details><summary>What is planted, and how often each check finds it and cries wolf ({len(measured)} defects)</summary>",
        "",
        "| check | planted | rows from | base rate | rows | found, % (95 % interval) | false alarms, % (95 % interval) | runs with · without | measured, sources |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for found in measured.values():
        both = {(c.source, c.base, c.rows): (clean, c) for clean, c in pairs(found, measured)}
        for (source, base), cells in _rows(c for _, c in both.values()):
            nothing = [both[source, base, c.rows][0] for c in cells]
            shares = [" · ".join(_percent(c.verdicts[found.target]["fail"]) for c in some) for some in (cells, nothing)]
            what = f"`{found.check}` | {found.plant}: {found.size:g} | {source} | {base:g} | {_sizes(cells)}"
            lines.append(f"| {what} | {' | '.join(shares)} | {_runs(cells)} · {_runs(nothing)} | {found.date} `{found.digest[:8]}` |")
    return [*lines, "", "</details>"]


def _rows(cells: Iterable[Cell]) -> list[tuple[tuple[str, float], list[Cell]]]:
    """Cells of one source and base rate together, by size."""
    order = sorted(cells, key=lambda c: (c.source, c.base, c.rows))
    return [(key, list(same)) for key, same in itertools.groupby(order, key=lambda c: (c.source, c.base))]


def _sizes(cells: list[Cell]) -> str:
    return " · ".join(f"{c.rows:,}" for c in cells)


def _runs(cells: list[Cell]) -> str:
    """Once where all have as many."""
    runs = [f"{c.runs:,}" for c in cells]
    return runs[0] if len(set(runs)) == 1 else ", ".join(runs)
