"""Several versions beside each other: the frontier, and what is not the same in two audits."""

from __future__ import annotations

from typing import Any

import pytest
from sample import sample

from audit.measurement import Estimate
from dashboard.changed import changed
from dashboard.store import Source, entry_of
from dashboard.versions import of_document, siblings
from reports.comparison import who_text
from reports.frontier import Version, beaten, distance, frontier_chart
from reports.speaker import Speaker


def estimate(value: float, half: float = 0.05) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, level=0.95, method="wilson", n=100)


def version(name: str, performance: float, disparity: float, **more: Any) -> Version:
    return Version(name, estimate(performance), distance(estimate(disparity)), "sex = f", **{"changed": False, **more})


@pytest.mark.parametrize(("value", "limits"), [(-0.2, (0.15, 0.25)), (0.2, (0.15, 0.25)), (-0.02, (0.0, 0.07)), (0.03, (0.0, 0.08))])
def test_a_difference_as_a_distance(value: float, limits: tuple[float, float]) -> None:
    found = distance(estimate(value))
    assert (found.value, found.low, found.high) == (pytest.approx(abs(value)), pytest.approx(limits[0]), pytest.approx(limits[1]))


def test_the_frontier_by_hand() -> None:
    versions = [
        version("1", 0.90, -0.30),
        version("2", 0.88, 0.10),
        version("3", 0.85, 0.20),
        version("4", 0.88, -0.10),
        version("5", 0.80, 0.05),
    ]
    assert beaten(versions) == [False, False, True, False, False], "equal points do not beat each other"


def test_the_chart_says_who_is_on_it_with_every_number() -> None:
    chart = frontier_chart([version("v1", 0.9, -0.3), version("v2", 0.8, 0.35, changed=True)], "accuracy", "selection_rate", Speaker("en"))
    assert chart.title == "On the frontier: v1"
    for words in ("v1: 90\xa0% (85\xa0% to 95\xa0%), 30\xa0% (25\xa0% to 35\xa0%)", "v2: 80\xa0%"):
        assert words in chart.alt
    assert "diamond" in chart.subtitle
    assert [(r["shape"], r["open"]) for r in chart.spec["data"]["values"]] == [("circle", 1), ("diamond", 0)]


def test_siblings_are_the_newest_of_each_version_on_the_same_rows() -> None:
    def entry(id_: str, version_: str, started: str, sha: str = "") -> Any:
        document = sample(id=id_, started=started)
        document = document.model_copy(
            update={
                "model": document.model.model_copy(update={"version": version_}),
                "data": document.data.model_copy(update={"sha256": sha or document.data.sha256}),
            }
        )
        return entry_of(document, Source(id_, ""), signed=False)

    one, older, two, elsewhere = (
        entry("a", "1", "2026-05-01"), entry("b", "2", "2026-06-01"), entry("c", "2", "2026-07-01"), entry("d", "3", "2026-08-01", "f" * 64),
    )  # fmt: skip
    assert [e.key for e in siblings(one, [elsewhere, two, older, one])] == [two.key, one.key]
    assert older.key in [e.key for e in siblings(older, [two, older, one])], "the audit that is looked at is among them"


def test_a_point_has_the_group_that_differs_most() -> None:
    document = sample(context={"known_limits": ["Mitigated version of models:/m/1: x"]})
    point = of_document(entry_of(document, Source("a", ""), signed=False), document)
    assert point.mitigated
    assert point.performance
    for metric, column in {(g.metric, g.column) for g in point.gaps}:
        gap = point.widest(metric, column)
        assert gap is not None
        assert abs(gap.estimate.value) == max(abs(g.estimate.value) for g in point.gaps if (g.metric, g.column) == (metric, column))
    assert point.widest("shoe", "size") is None


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_is_not_the_same_in_two_audits(lang: str) -> None:
    old, say = sample(), Speaker(lang)
    assert changed(old, old, say) == []
    new = old.model_copy(
        update={
            "plan": old.plan | {"checks": {"a.b": {"params": {"depth": 3}}}}, "seed": old.seed + 1,
            "data": old.data.model_copy(update={"rows": 12345, "columns": [*old.data.columns[1:], "<b>new</b>"], "sensitive": []}),
            "model": old.model.model_copy(update={"version": "9"}), "environment": old.environment.model_copy(update={"packages": {"numpy": "9"}}),
        }
    )  # fmt: skip
    found = {c.what: (c.old, c.new) for c in changed(old, new, say)}
    assert found["checks.a.b.params.depth"] == ("–", "3")
    assert found["seed"] == (str(old.seed), str(old.seed + 1))
    assert found["numpy"][1] == "9"
    assert "12,345" in {v[1] for v in found.values()}
    assert old.data.columns[0] in {v[0] for v in found.values()}
    assert found[say.t("version")] == (old.model.version, "9")


def test_an_input_stands_without_our_name_for_its_column() -> None:
    say = Speaker("en")
    assert who_text({"(feature)": "race"}, {"(feature)": "(asked again)"}, say) == "race against asking again unchanged"
    assert who_text({"race": "black"}, {"race": "white"}, say) == "black against white (race)"
