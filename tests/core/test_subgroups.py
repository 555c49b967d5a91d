"""The worst subgroup: a small one with twice the errors is found, chance alone seldom is, and what is shown is of rows that chose nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Scene, set_scene

from audit import plan as plans
from audit.checks.fairness.subgroups import WORDS
from audit.dataset import MISSING
from audit.errors import AuditError
from audit.measurement import Measurement
from audit.plan import CheckPlan, CriterionRule, Plan
from audit.registry import checks, refuse_columns
from audit.result import AuditResult, Finding
from audit.scored import halves, sample_rows
from audit.slicing import CODES, attributes, counted, median_error
from audit.stats.multiplicity import holm
from audit.text import render
from reports.disclose import public

CHECK = "fairness.subgroups"
REST = {"(rows)": "(rest)"}


def groups(n: int, rng: np.random.Generator) -> dict[str, Any]:
    return {name: rng.choice(list(levels), n) for name, levels in (("sex", "fm"), ("race", "abc"), ("region", "nesw"))}


def planted(folder: Path, n: int = 20_000, *, seed: int = 0, twice: bool = True, **more: Any) -> Scene:
    """Women of race b in the west are 1/24 of the rows; half of them are marked, and wrong twice as often as all others."""
    rng = np.random.default_rng(seed)
    given = groups(n, rng)
    given["mark"] = np.where((given["sex"] == "f") & (given["race"] == "b") & (given["region"] == "w") & (rng.random(n) < 0.5), "x", "o")
    y = rng.integers(0, 2, n)
    wrong = rng.random(n) < np.where((given["mark"] == "x") & twice, 0.3, 0.15)
    return set_scene(folder, y=y, pred=np.where(wrong, 1 - y, y), groups=given, **more)


def established(found: list[Measurement]) -> list[Measurement]:
    return [m for m in found if m.test is not None and (m.test.adjusted_p_value or 0.0) <= 0.05]


# --- what is found ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", ["bound", "z", "sliceline"])
def test_a_slice_of_two_percent_with_twice_the_errors_is_found(tmp_path: Path, rank: str) -> None:
    scene = planted(tmp_path)
    share = sum(n for level, n in zip(scene.facts.groups[3].levels, scene.facts.groups[3].sizes, strict=True) if level == "x") / 20_000
    assert 0.018 < share < 0.024
    first = next(m for m in scene.measure(CHECK, rank=rank) if m.metric == "zero_one_loss")
    assert first.slice in ({"mark": "x"}, {"sex": "f", "race": "b", "mark": "x"}, {"race": "b", "region": "w", "mark": "x"})
    assert first.test is not None
    assert first.estimate is not None
    assert (first.test.adjusted_p_value or 1.0) < 0.001
    assert first.estimate.low < 0.15 < first.estimate.high
    assert "wrong predictions" in render(scene.summary(CHECK, rank=rank))


def test_slicelines_usual_weight_does_not_find_it(tmp_path: Path) -> None:
    found = planted(tmp_path).measure(CHECK, rank="sliceline", alpha=0.95)
    assert not [m for m in found if m.slice.get("mark") == "x"]


def test_chance_alone_is_established_in_about_five_percent_of_audits_at_most(tmp_path: Path) -> None:
    """20 audits with nothing to be found; 4 or more alarms would have probability .016 at a rate of .05."""
    alarms = 0
    for seed in range(20):
        alarms += bool(established(planted(tmp_path, 4000, seed=seed, twice=False).measure(CHECK)))
    assert alarms <= 3


def test_had_the_same_rows_searched_and_tested_chance_would_be_established(tmp_path: Path) -> None:
    """The control for the test above: on the half that was searched, p values mean nothing."""
    from audit.stats.compare import higher_test
    from audit.stats.slices import Search, divisions

    alarms = 0
    for seed in range(20):
        ctx = planted(tmp_path, 4000, seed=seed, twice=False).context(CHECK)
        from audit.slicing import questions

        divided = attributes(ctx, [], 50)
        tables, everybody = counted(ctx, divided, 3, None)
        found = [f for q in questions(ctx, both=False) for f in Search(50, 10, 10).among(list(divisions(tables, 3)), q.read, everybody)[0]]
        tests = [higher_test(*f.first) for f in found]
        alarms += bool(tests) and min(holm([t[0] for t in tests if t is not None])) <= 0.05
    assert alarms >= 8


def test_a_finding_is_of_the_second_half_and_against_everybody_else(tmp_path: Path) -> None:
    scene = planted(tmp_path)
    scored, second = scene.context(CHECK).scored, halves(np.arange(20_000), scene.seed) == 1
    marked = scored.group(3) == scene.facts.groups[3].levels.index("x")
    wrong = scored.y != scored.pred
    (m,) = [m for m in scene.measure(CHECK) if m.metric == "zero_one_loss" and m.slice == {"mark": "x"}]
    assert m.against == REST
    assert [(p.slice, p.k, p.n) for p in m.parts] == [
        ({"mark": "x"}, int((wrong & marked & second).sum()), int((marked & second).sum())),
        (REST, int((wrong & ~marked & second).sum()), int((~marked & second).sum())),
    ]


def test_all_tests_are_adjusted_together(tmp_path: Path) -> None:
    found = planted(tmp_path).measure(CHECK, both=True)
    tests = [m.test for m in found if m.test is not None]
    assert len(tests) == len(found) > 4
    assert {t.tests_in_family for t in tests} == {len(tests)}
    assert [t.adjusted_p_value for t in tests] == pytest.approx(holm([t.p_value for t in tests]).tolist())


def test_few_favourable_decisions_are_worse_and_many_are_better(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    given = groups(6000, rng)
    chosen = rng.random(6000) < np.select([given["race"] == "a", given["race"] == "b"], [0.2, 0.7], 0.5)
    scene = set_scene(tmp_path, pred=chosen.astype(int), groups=given)
    for both, slices in ((False, ["a"]), (True, ["a", "b"])):
        found = [m for m in scene.measure(CHECK, both=both) if m.slice.keys() == {"race"}]
        assert [m.slice["race"] for m in found] == slices
        assert {m.metric for m in found} == {"selection_rate"}
        assert [m.estimate is not None and m.estimate.value < 0 for m in found] == [True, False][: len(found)]
        assert len(established(found)) == len(found)


# --- halves ----------------------------------------------------------------------------------------------------------------------------


def test_halves_are_even_and_keyed_and_not_the_sample() -> None:
    rows = np.arange(100_000)
    one, other = halves(rows, 0), halves(rows, 1)
    assert set(one.tolist()) == {0, 1}
    assert abs(one.mean() - 0.5) < 0.01
    assert abs((one == other).mean() - 0.5) < 0.01
    assert (halves(rows[500:600], 0) == one[500:600]).all()
    assert abs(one[sample_rows(100_000, 2000, 0)].mean() - 0.5) < 0.05


def test_rows_that_belong_together_fall_into_one_half(tmp_path: Path) -> None:
    """4000 rows in 400 clusters: the counts of the second half are those of whole clusters."""
    school = np.arange(4000) % 400
    scene = planted(tmp_path, 4000, cluster=school)
    ctx = scene.context(CHECK)
    _, everybody = counted(ctx, attributes(ctx, [], 50), 3, None)
    second = halves(np.arange(400), scene.seed) == 1
    assert everybody[CODES:].sum() == 10 * second.sum()
    assert everybody[CODES:].sum() != (halves(np.arange(4000), scene.seed) == 1).sum()


# --- attributes ------------------------------------------------------------------------------------------------------------------------


def test_columns_that_the_plan_names_are_read_from_the_data(tmp_path: Path) -> None:
    """An input of many values is cut at its quintiles; the errors lie in the highest."""
    rng = np.random.default_rng(2)
    n = 300_000  # more rows than a block and a batch
    x = rng.random(n)
    y = rng.integers(0, 2, n)
    wrong = rng.random(n) < np.where(x > 0.8, 0.3, 0.15)
    scene = set_scene(
        tmp_path, y=y, pred=np.where(wrong, 1 - y, y), groups={"sex": rng.choice(["f", "m"], n)}, features={"x": x, "z": rng.random(n)}
    )
    first = scene.measure(CHECK, columns=["x", "sex"])[0]
    assert first.slice.keys() == {"x"}
    assert first.slice["x"].startswith(("[0.79", "[0.8"))
    second = halves(np.arange(n), 0) == 1
    low = float(first.slice["x"][1:].split(",")[0])
    at_least = (x >= low - 1e-9) & second
    assert first.parts[0].n == pytest.approx(at_least.sum(), abs=2)  # the label is rounded
    assert first.parts[0].k == pytest.approx((at_least & wrong).sum(), abs=2)
    assert not [m for m in scene.measure(CHECK) if "x" in m.slice]


def test_edges_of_the_plan_are_used(tmp_path: Path) -> None:
    plan = plans.load(None)
    x = np.arange(4000) % 100
    wrong = (x >= 90) & (np.arange(4000) % 3 == 0)
    y = np.arange(4000) % 2
    scene = set_scene(tmp_path, y=y, pred=np.where(wrong, 1 - y, y), groups={"sex": ["f", "m"] * 2000}, features={"x": x.astype(float)},
                      plan=plan.model_copy(update={"bins": {"x": [50.0, 90.0]}}))  # fmt: skip
    assert scene.measure(CHECK, columns=["x"])[0].slice == {"x": "[90, 99]"}


def test_rare_levels_and_unknown_membership_name_no_slice_but_count_among_everybody_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    race = [None] * 500 + ["rare"] * 40 + ["a", "b"] * 1730
    y = rng.integers(0, 2, 4000)
    wrong = np.r_[np.ones(540, bool), rng.random(3460) < np.where(np.arange(3460) % 2 == 0, 0.5, 0.1)]
    scene = set_scene(tmp_path, y=y, pred=np.where(wrong, 1 - y, y), groups={"race": race})
    found = scene.measure(CHECK)
    assert not [m for m in found if set(m.slice.values()) & {MISSING, "rare"}]
    assert all(sum(p.n for p in m.parts) == (halves(np.arange(4000), 0) == 1).sum() for m in found if m.metric == "zero_one_loss")


def test_wide_tables_are_counted_three_columns_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audit.stats import slices

    scene = planted(tmp_path, 4000)
    whole = [m.model_dump(mode="json") for m in scene.measure(CHECK)]
    ctx = scene.context(CHECK)
    assert len(counted(ctx, attributes(ctx, [], 50), 3, None)[0]) == 1
    monkeypatch.setattr(slices, "DENSE", 1000)
    assert len(counted(ctx, attributes(ctx, [], 50), 3, None)[0]) == 4
    assert [m.model_dump(mode="json") for m in scene.measure(CHECK)] == whole


@pytest.mark.parametrize(("name", "told"), [("nowhere", "which is no column of the data"), ("outcome", "which is the target")])
def test_columns_that_cannot_be_used_are_refused_before_anything_runs(tmp_path: Path, name: str, told: str) -> None:
    scene = planted(tmp_path, 400)
    with pytest.raises(AuditError, match=told):
        refuse_columns(checks()[CHECK], scene.facts.model_dump(mode="json"), {"columns": [name]})
    refuse_columns(checks()[CHECK], scene.facts.model_dump(mode="json"), {"columns": ["x"]})


# --- other tasks, few rows, criteria, the public edition ---------------------------------------------------------------------------------


def test_of_a_quantity_errors_above_the_median_are_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    given = groups(6000, rng)
    y = rng.normal(size=6000)
    pred = y + rng.normal(size=6000) * np.where((given["sex"] == "f") & (given["race"] == "a"), 3, 1)
    scene = set_scene(tmp_path, y=y, pred=pred, task="regression", favourable=["high"], groups=given)
    assert median_error(scene.context(CHECK)) == pytest.approx(float(np.median(abs(y - pred))))
    first = scene.measure(CHECK)[0]
    assert (first.metric, first.slice) == ("large_error_rate", {"sex": "f", "race": "a"})
    assert abs(sum(p.k for p in first.parts) / sum(p.n for p in first.parts) - 0.5) < 0.03


def test_of_several_classes_wrong_ones_are_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    given = groups(6000, rng)
    y = rng.integers(0, 3, 6000)
    wrong = rng.random(6000) < np.where(given["region"] == "n", 0.4, 0.2)
    scene = set_scene(
        tmp_path,
        y=y,
        pred=np.where(wrong, (y + 1) % 3, y),
        task="multiclass",
        classes=["a", "b", "c"],
        positive=None,
        favourable=["a"],
        groups=given,
    )
    found = scene.measure(CHECK)
    assert {m.metric for m in found} <= {"zero_one_loss", "selection_rate"}
    assert found[0].slice == {"region": "n"}


def test_where_no_group_is_large_enough_it_says_so(tmp_path: Path) -> None:
    scene = planted(tmp_path, 80)
    assert scene.measure(CHECK, rows=70) == []
    assert render(scene.summary(CHECK, rows=70)) == "No group that these columns define has 70 rows, so none was searched for."


def test_what_could_have_been_found_is_said_where_nothing_was(tmp_path: Path) -> None:
    texts = [render(planted(tmp_path, 4000, seed=seed, twice=False).summary(CHECK)) for seed in range(4)]
    told = [t for t in texts if "no difference is established there" in t]
    assert told
    assert all("would be found in about 80 % of audits if its share of" in t for t in told)


def limited(most: float) -> Plan:
    plan = plans.load(None)
    rule = CriterionRule(metric="zero_one_loss", compare="difference", max=most, role="warns", source="a test")
    return plan.model_copy(update={"checks": plan.checks | {CHECK: CheckPlan(criteria=[rule])}})


def judged(document: AuditResult) -> list[Finding]:
    return [f for c in document.checks if c.info.id == CHECK for f in c.findings if f.criterion is not None]


def test_slices_are_judged_only_where_the_plan_sets_a_limit_and_by_holms_p(tmp_path: Path) -> None:
    assert not judged(planted(tmp_path).document())
    found = judged(planted(tmp_path, plan=limited(0.05)).document())
    first = found[0]
    assert (first.slice, first.verdict) == ({"mark": "x"}, "fail")
    assert any(len(f.slice) > 1 for f in found)
    own = {tuple(m.slice.items()): m.test for m in planted(tmp_path, plan=limited(0.05)).measure(CHECK) if m.metric == "zero_one_loss"}
    assert all(f.test == own[tuple(f.slice.items())] for f in found)
    assert {f.verdict for f in found if f.test and (f.test.adjusted_p_value or 0) > 0.05} <= {"pass", "inconclusive"}
    assert not judged(planted(tmp_path, plan=limited(0.05), label_source="human_decision").document())


def test_the_public_edition_shows_no_small_counts(tmp_path: Path) -> None:
    document = public(planted(tmp_path, 3000).document())
    shown = [f for c in document.checks if c.info.id == CHECK for f in c.findings]
    assert shown
    for f in shown:
        for part in f.parts:
            assert part.n >= 10
            assert min(part.k, part.n - part.k) >= 3
        for e in f.evidence:
            assert e.kind == "table"


def test_every_metric_has_its_words(tmp_path: Path) -> None:
    for task, given in (("binary", {}), ("regression", {"favourable": ["high"]})):
        rng = np.random.default_rng(0)
        y = rng.integers(0, 2, 500) if task == "binary" else rng.normal(size=500)
        scene = set_scene(tmp_path, y=y, pred=y, groups=groups(500, rng), task=task, **given)
        from audit.slicing import questions

        assert {q.metric for q in questions(scene.context(CHECK), both=True)} <= set(WORDS)
