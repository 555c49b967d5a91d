"""Another cutoff: rates that are read off the stored scores."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.cutoff import Costs, Rate, Scores


def scores_of(**more: object) -> Scores:
    fields = {
        "column": "sex",
        "edges": [0.0, 0.4, 0.6, 1.0],
        "event": {"f": [1, 2, 7], "m": [0, 0, 0]},
        "no_event": {"f": [12, 6, 2], "m": [3, 0, 1]},
    }
    return Scores(**fields | {"current": 0.5, "favours_event": True} | more)  # type: ignore[arg-type]


def test_rates_by_hand() -> None:
    f, m = scores_of().at(1, 0.95, Costs(false_positive=1, false_negative=5))
    assert (f.selection.k, f.selection.n) == (2 + 7 + 6 + 2, 30)
    assert (f.true_positive.k, f.true_positive.n) == (9, 10)
    assert (f.false_positive.k, f.false_positive.n) == (8, 20)
    assert f.cost == pytest.approx((8 * 1 + 1 * 5) / 30)
    assert m.true_positive.value is None
    assert m.true_positive.limits == (0, 1)


def test_where_the_event_is_unwanted_those_below_the_cutoff_are_favoured() -> None:
    f, _ = scores_of(favours_event=False).at(2, 0.95, None)
    assert (f.selection.k, f.selection.n) == (30 - 9, 30)
    assert f.cost is None


def test_the_slider_starts_at_the_stop_nearest_to_the_cutoff_in_force() -> None:
    assert scores_of(current=0.55).nearest() == 2
    assert scores_of(current=None).nearest() == 1  # 0.4 and 0.6 are as near to the middle; the lower one
    assert scores_of(current=0.99).nearest() == 2, "the last edge leaves nobody"


def test_where_few_have_an_outcome_only_the_selection_is_read_off() -> None:
    from sample import sample

    from audit.measurement import Histogram
    from dashboard.cutoff import scores

    def kept(outcome: str | None, edges: list[float], counts: list[int]) -> Histogram:
        return Histogram(caption="c", x_label="score", edges=edges, series={"f": counts}, outcome=outcome)  # type: ignore[arg-type]

    def document(*evidence: Histogram):
        whole = sample()
        check = next(c for c in whole.checks if c.info.id == "fairness.group")
        finding = next(f for f in check.findings if f.slice).model_copy(update={"slice": {"sex": "f"}, "evidence": list(evidence)})
        return whole.model_copy(update={"checks": [check.model_copy(update={"findings": [finding]})]})

    few = [kept("event", [0, 1], [30]), kept("no_event", [0, 1], [12]), kept(None, [0, 0.3, 0.6, 1], [11, 13, 18])]
    (one,) = scores(document(*few))
    assert not one.by_outcome
    (group,) = one.at(1, 0.95, None)
    assert (group.selection.k, group.selection.n) == (31, 42)
    many = [kept("event", [0, 0.3, 0.6, 1], [1, 2, 3]), kept("no_event", [0, 0.3, 0.6, 1], [3, 2, 1]), few[2]]
    assert [s.by_outcome for s in scores(document(*many))] == [True]
    assert scores(document(*few[:2])) == [], "one cutoff is no choice"


def test_wilson() -> None:
    assert Rate(8, 10, 0.95).limits == pytest.approx((0.4901625, 0.9433178), abs=1e-6)  # Wilson 1927, as in statsmodels


def test_bins_are_merged_until_each_holds_enough_people_or_none() -> None:
    from audit.cutoffs import _merged

    counts = np.zeros((2, 2, 100), dtype=np.int64)
    counts[0, 0, 10], counts[1, 0, 12], counts[0, 1, 50], counts[1, 1, 60], counts[0, 0, 99] = 10, 10, 10, 9, 3
    merged, edges = _merged(counts, 10)
    # at 0.10 ten people of the first group stand alone; the nine at 0.60 and the three at 0.99 join the bin before them
    assert edges == [0, 11, 13, 100]
    assert merged.tolist() == [[[10, 0, 3], [0, 0, 10]], [[0, 10, 0], [0, 0, 9]]]
    nothing, none = _merged(np.zeros((1, 2, 100), dtype=np.int64), 10)
    assert none == []
    assert nothing.shape == (1, 2, 0)
