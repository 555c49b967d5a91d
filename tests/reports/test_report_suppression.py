"""Secondary suppression against an attacker who knows every published sum."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pieces import check, finding, wilson
from sample import sample
from scene import set_scene
from scipy.optimize import linprog

from audit import plan as plans
from audit.measurement import Part
from audit.result import AuditResult, Finding
from reports.disclose import public, small
from reports.suppress import Cell, Counts, protect, relations

LEAST = 10
too_small = partial(small, least=LEAST)


def two_way(rows: list[list[int]]) -> dict[Cell, Counts]:
    """Counts of a table by sex and race, with its margins and the total."""
    inner = {(("race", f"r{j}"), ("sex", f"s{i}")): n for i, line in enumerate(rows) for j, n in enumerate(line)}
    by_sex = {(("sex", f"s{i}"),): sum(line) for i, line in enumerate(rows)}
    by_race = {(("race", f"r{j}"),): sum(column) for j, column in enumerate(zip(*rows, strict=True))}
    return {cell: (n, None) for cell, n in (inner | by_sex | by_race | {(): sum(map(sum, rows))}).items()}


def primary(cells: dict[Cell, Counts]) -> set[Cell]:
    return {cell for cell, (n, k) in cells.items() if cell and too_small(n, k)}


def ranges(cells: dict[Cell, Counts], gone: set[Cell]) -> dict[Cell, tuple[float, float]]:
    """What an attacker can say of each withheld count: linear programs over everything published, and that counts are not negative."""
    unknown = {cell: i for i, cell in enumerate(sorted(gone))}
    left, right = [], []
    for whole, members in relations(cells):
        row = np.zeros(len(unknown))
        known = 0
        for cell, sign in [*((m, 1) for m in members), (whole, -1)]:
            if cell in unknown:
                row[unknown[cell]] += sign
            else:
                known += sign * cells[cell][0]
        if row.any():
            left.append(row)
            right.append(-known)
    found = {}
    for cell, i in unknown.items():
        goal = np.eye(len(unknown))[i]
        ends = [linprog(s * goal, A_eq=left or None, b_eq=right or None, bounds=(0, None)) for s in (1, -1)]
        found[cell] = tuple(float("inf") if e.status == 3 else s * e.fun for s, e in zip((1, -1), ends, strict=True))
    return found


def test_one_small_cell_of_a_two_way_table_takes_a_rectangle_with_it() -> None:
    cells = two_way([[4, 50, 60], [70, 80, 90], [100, 110, 120]])
    gone = protect(cells, primary(cells), too_small)
    # The cell itself, one more in its row, one in its column, and the corner between them: the least that hides it.
    assert gone == {(("race", r), ("sex", s)) for r, s in itertools.product(("r0", "r1"), ("s0", "s1"))}
    for low, high in ranges(cells, gone).values():
        assert high - low >= 1


def test_without_margins_nothing_more_need_go() -> None:
    cells: dict[Cell, Counts] = {(("sex", "f"),): (4, None)}
    assert protect(cells, primary(cells), too_small) == {(("sex", "f"),)}


def test_two_small_cells_that_are_few_together_take_a_third() -> None:
    cells: dict[Cell, Counts] = {(("g", name),): (n, None) for name, n in {"a": 3, "b": 4, "c": 200, "d": 300}.items()} | {(): (507, None)}
    assert protect(cells, primary(cells), too_small) == {(("g", name),) for name in "abc"}


def test_a_column_of_two_groups_goes_whole() -> None:
    cells: dict[Cell, Counts] = {(("g", "a"),): (3, None), (("g", "b"),): (200, None), (): (203, None)}
    assert protect(cells, primary(cells), too_small) == {(("g", "a"),), (("g", "b"),)}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 4).flatmap(lambda width: st.lists(st.lists(st.integers(0, 60), min_size=width, max_size=width), min_size=2, max_size=4))
)
def test_no_combination_of_published_sums_gives_a_withheld_count(rows: list[list[int]]) -> None:
    cells = two_way(rows)
    gone = protect(cells, primary(cells), too_small)
    assert primary(cells) <= gone
    for cell, (low, high) in ranges(cells, gone).items():
        if primary(cells) & {cell}:
            assert high - low > 0.5, (cell, cells[cell], low, high)
    for whole, members in relations(cells):
        hidden = [cells[c][0] for c in members if c in gone]
        if hidden and whole not in gone and len(hidden) < len(members):
            assert sum(hidden) == 0 or sum(hidden) >= LEAST


@pytest.mark.parametrize("metric", ["false_positive_rate", "accuracy", "precision"])
def test_rates_that_share_counts_go_together(metric: str) -> None:
    """Rows of a group and its true negatives would give back how few events it has."""

    def rate(name: str, value: str, k: int, n: int) -> object:
        return finding("fairness.group", name, wilson(k, n), {"g": value}, parts=[Part(slice={"g": value}, k=k, n=n)])

    found = [rate("true_positive_rate", v, k, n) for v, (k, n) in {"a": (2, 4), "b": (50, 90), "c": (60, 120)}.items()]
    found += [rate(metric, v, k, n) for v, (k, n) in {"a": (40, 100), "b": (50, 90), "c": (60, 120)}.items()]
    found += [rate("selection_rate", v, k, n) for v, (k, n) in {"a": (40, 104), "b": (50, 180), "c": (60, 240)}.items()]
    document = public(sample(checks=[check("fairness.group", "t", "s", found)], questions=[]))  # type: ignore[arg-type]
    shown = {(f.metric, f.slice["g"]) for f in document.checks[0].findings if f.estimate is not None}
    assert shown == {("true_positive_rate", "c"), (metric, "c")} | {("selection_rate", g) for g in "abc"}


def test_an_extreme_over_groups_goes_with_a_group_that_it_may_be_of() -> None:
    """The lowest rate of all groups would be that of the withheld one."""
    rates = [finding("fairness.group", "false_negative_rate", wilson(k, n), slice_={"race": name}, parts=[Part(slice={"race": name}, k=k, n=n)])
             for name, k, n in (("a", 40, 90), ("b", 30, 80), ("c", 4, 8))]  # fmt: skip
    lowest = [finding("fairness.group", "false_negative_rate_ratio", wilson(80, 178), slice_={column: "*"}) for column in ("race", "sex")]
    document = sample().model_copy(update={"checks": [check("fairness.group", "Differences", "Found.", [*rates, *lowest])]})
    shown = public(document).checks[0].findings
    assert shown[3].estimate is None
    assert shown[4].estimate is not None


def published(rows: list[list[int]]) -> AuditResult:
    """A public document of a two-way table: margins in one check, cells in another, the same groups under another metric in a third."""
    cells = {cell: n for cell, (n, _) in two_way(rows).items() if n}

    def rate(check_: str, metric: str, cell: Cell) -> Finding:
        n = cells[cell]
        return finding(check_, metric, wilson(n // 2, n), dict(cell), parts=[Part(slice=dict(cell), k=n // 2, n=n)])

    single, double = ([c for c in cells if len(c) == size] for size in (1, 2))
    races = [c for c in single if c[0][0] == "race"]
    found = {
        "fairness.group": [rate("fairness.group", "selection_rate", c) for c in single],
        "fairness.subgroups": [rate("fairness.subgroups", "adverse_selection_rate", c) for c in double],
        "performance.groups": [rate("performance.groups", "accuracy", c) for c in [*reversed(races), *double[:1]]],
        "performance.overall": [rate("performance.overall", "accuracy", ())],
    }
    return public(sample(checks=[check(id_, "t", "s", findings) for id_, findings in found.items()], questions=[]))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 3).flatmap(lambda width: st.lists(st.lists(st.integers(0, 60), min_size=width, max_size=width), min_size=2, max_size=3)).filter(
        lambda rows: sum(map(sum, rows)) >= LEAST
    )
)  # fmt: skip
@example([[4, 50, 60], [70, 80, 90]])
def test_no_check_gives_back_what_another_withholds(rows: list[list[int]]) -> None:
    """Whoever adds up margins of one check, cells of another and rows of a third finds no group that is too small."""
    cells = {cell: counts for cell, counts in two_way(rows).items() if counts[0]}
    findings = [f for c in published(rows).checks for f in c.findings]
    known = {tuple(sorted(f.slice.items())) for f in findings if f.estimate is not None} | {()}
    gone = set(cells) - known
    small_ones = {cell for cell, (n, _) in cells.items() if cell and n < LEAST}
    assert small_ones <= gone
    for cell, (low, high) in ranges(cells, gone).items():
        if cell in small_ones:
            assert high - low > 0.5, (cell, cells[cell], low, high)


def test_named_slices_that_differ_by_few_people_are_withheld_and_others_shown(tmp_path: Path) -> None:
    """300 rows: those below 100, and those below 104; whoever has both figures has those of four people. Below 200 and from 296 on: one is large, of the other four are left over."""
    plan = tmp_path / "plan.toml"
    plan.write_text(
        "".join(
            f"[slices.{name}]\nage = {{ high = {high} }}\n" for name, high in (("one", 100), ("more", 104), ("other", 200), ("most", 296))
        )
    )
    y = np.tile([0, 1, 1], 100)
    made = set_scene(
        tmp_path,
        y=y,
        pred=np.where(np.arange(300) % 4 == 0, 1 - y, y),
        features={"age": np.arange(300.0)},
        groups={"sex": ["f", "m"] * 150},
        plan=plans.load(plan),
    )
    (check,) = [c for c in public(made.document()).checks if c.info.id == "performance.named_slices"]
    shown = {f.slice["(slice)"] for f in check.findings if f.estimate is not None and f.metric == "zero_one_loss" and f.compare == "value"}
    assert shown == {"other"}
    (whole,) = [c for c in made.document().checks if c.info.id == "performance.named_slices"]
    assert {f.slice["(slice)"] for f in whole.findings if f.estimate is not None} == {"one", "more", "other", "most"}
