"""How often a check finds what is planted and how often it cries wolf, as it stood when the audit was made."""

from __future__ import annotations

from audit.result import CheckInfo, SelfTest
from reports.said import Said, figure
from reports.speaker import Speaker, mark
from reports.tables import Grid

#: Sources of rows that are ours; others are names of data.
SOURCES = {"generated": mark("generated"), "mortgages": mark("Boston mortgages")}
NAME = mark("How reliable this check is")


def measured(info: CheckInfo, path: str, say: Speaker) -> Said:
    """In a line: when it was measured, or that it was not."""
    if not info.self_tests:
        return Said(say.t("Not measured: nothing was planted for it."), f"{path}.info.self_tests")
    dates = sorted({test.date for test in info.self_tests})
    text = say.t("Measured on planted defects, {dates}", dates=say.list(dates))
    return Said(
        text if not all(t.stale for t in info.self_tests) else f"{text} · {say.t('the check has changed since')}", f"{path}.info.self_tests"
    )


def planted(info: CheckInfo, path: str, say: Speaker) -> list[Grid]:
    """A table for each defect that was planted for this check, a row for each size of data."""
    return [_table(test, f"{path}.info.self_tests[{i}]", say) for i, test in enumerate(info.self_tests)]


def _table(test: SelfTest, path: str, say: Speaker) -> Grid:
    heads = (
        "Rows",
        "Rows from",
        "Base rate",
        "Found",
        "Low",
        "High",
        "False alarms",
        "Low",
        "High",
        "Runs with it",
        "Runs without it",
        "Promised",
    )
    rows = []
    for k, tried in enumerate(test.tried):
        here = f"{path}.tried[{k}]"
        shares = [(tried.found, f"{here}.found"), (tried.false_alarms, f"{here}.false_alarms")]
        rows.append([
            figure(tried.rows, "count", f"{here}.rows"), Said(say.name(tried.source, SOURCES), f"{here}.source"), figure(tried.base, "percent", f"{here}.base"),
            *(figure(v, "percent", f"{at}.{end}") for e, at in shares for end, v in (("value", e.value), ("low", e.low), ("high", e.high))),
            *(figure(e.n, "count", f"{at}.n") for e, at in shares),
            Said(say.t("yes") if tried.promised else "–", f"{here}.promised"),
        ])  # fmt: skip
    caption = say.t(
        "Planted: {plant} ({size:number}). Share of runs that fail, with 95 % intervals (Clopper–Pearson). Measured {date}, sources {digest}.",
        plant=say.stored(test.plant, None), size=test.size, date=test.date, digest=test.digest[:8],
    )  # fmt: skip
    if any(tried.promised for tried in test.tried):
        caption = say.sentences(
            [caption, say.t("Where the last column says yes, the check promises to find it in at least four of five runs.")]
        )
    if test.replayed and not test.stale:
        again = say.t("The sources have changed since; first runs made again with them on {date} came out the same.", date=test.replayed)
        caption = say.sentences([caption, again])
    if test.stale:
        caption = say.sentences([caption, say.t("Stale: the check, its limits or what is planted have changed since.")])
    return Grid(Said(caption, path), [Said(say.t(h)) for h in heads], [k not in (1, len(heads) - 1) for k in range(len(heads))], rows, 0)
