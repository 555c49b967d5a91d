"""Differences within strata, on rows: Berkeley 1973 as it is known, the library as a slow twin, and factors that cannot be conditioned on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scene import Pick, Scene, set_scene

from audit.errors import AuditError
from audit.prepare import Facts, prepare
from audit.text import render

#: Bickel, Hammel and O'Connell 1975: admitted of applied, departments A to F, women then men.
BERKELEY = ([89, 17, 202, 131, 94, 24], [108, 25, 593, 375, 393, 341], [512, 353, 120, 138, 53, 22], [825, 560, 325, 417, 191, 373])


def berkeley() -> dict[str, Any]:
    sex, department, pred = [], [], []
    for name, k1, n1, k0, n0 in zip("ABCDEF", *BERKELEY, strict=True):
        for who, k, n in (("female", k1, n1), ("male", k0, n0)):
            sex += [who] * n
            department += [name] * n
            pred += [1] * k + [0] * (n - k)
    return {"pred": pred, "groups": {"sex": sex}, "factors": {"department": department}}


def library(pred: Any, sex: Any, strata: Any, one: str, other: str) -> Any:
    """statsmodels, from rows and stratum by stratum."""
    from statsmodels.stats.contingency_tables import StratifiedTable

    pred, sex, strata = np.asarray(pred), np.asarray(sex), np.asarray(strata)
    tables = []
    for stratum in sorted(set(strata)):
        here = strata == stratum
        counts = [[int(((sex == g) & here & (pred == v)).sum()) for v in (1, 0)] for g in (one, other)]
        if all(sum(side) for side in counts):
            tables.append(np.array(counts, dtype=float))
    return StratifiedTable(tables)


def rows(found: Scene, **params: Any) -> dict[str, dict[str, Any]]:
    """The first table: raw, each factor, all together."""
    table = next(e for m in found.measure("fairness.conditional", **params) for e in m.evidence)
    assert table.kind == "table"
    return {str(row[0]): dict(zip([c.name for c in table.columns], row, strict=True)) for row in table.rows}


def test_berkeley(tmp_path: Path) -> None:
    """Fourteen points fewer for women in all, none within departments, and the departments differ among themselves."""
    given = berkeley()
    scene = set_scene(tmp_path, **given)
    pick = Pick(scene.measure("fairness.conditional"))
    odds = pick("conditional_selection_rate", "odds_ratio", sex="female")
    # R's mantelhaen.test(UCBAdmissions) gives 0.9046968 (0.7719074, 1.0603298) for men against women
    assert (1 / odds.estimate.value, 1 / odds.estimate.high, 1 / odds.estimate.low) == pytest.approx(
        (0.9046968, 0.7719074, 1.0603298), abs=1e-6
    )
    twin = library(given["pred"], given["groups"]["sex"], given["factors"]["department"], "female", "male")
    assert odds.test.p_value == pytest.approx(twin.test_equal_odds(adjust=True).pvalue)
    difference = pick("conditional_selection_rate", "difference", sex="female")
    assert difference.test.p_value == pytest.approx(twin.test_null_odds(correction=False).pvalue)
    assert difference.against == {"sex": "male"}
    assert difference.estimate.low < 0 < difference.estimate.value
    table = rows(scene)
    assert table["none (raw)"]["difference"] == pytest.approx(557 / 1835 - 1198 / 2691)
    assert table["department"]["odds"] == odds.estimate.value
    assert (table["department"]["strata"], table["department"]["both"], table["department"]["overlap"]) == (6, 6, 1)
    text = render(scene.summary("fairness.conditional"))
    assert "−14.2 points" in text
    assert "Conditioning on a factor that itself carries bias hides bias." in text


def random_rows(seed: int, n: int = 3000) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    sex, area, grade = rng.choice(["f", "m"], n, p=[0.3, 0.7]), rng.choice(list("abcde"), n), rng.choice(list("xyz"), n)
    chance = 0.3 + 0.3 * (grade == "x") - 0.1 * (sex == "f")
    return {"pred": (rng.random(n) < chance).astype(int), "groups": {"sex": sex}, "factors": {"area": area, "grade": grade}}


@pytest.mark.parametrize("seed", range(3))
def test_the_library_agrees_jointly_and_for_each_factor(tmp_path: Path, seed: int) -> None:
    given = random_rows(seed)
    table, (area, grade) = rows(set_scene(tmp_path, **given)), given["factors"].values()
    both = np.char.add(area, grade)
    for name, strata in (("area", area), ("grade", grade), ("all of them together", both)):
        twin = library(given["pred"], given["groups"]["sex"], strata, "f", "m")
        low, high = twin.oddsratio_pooled_confint()
        line = table[name]
        assert (line["odds"], line["odds_low"], line["odds_high"]) == pytest.approx((twin.oddsratio_pooled, low, high))
        assert line["p"] == pytest.approx(twin.test_null_odds(correction=False).pvalue)
        assert line["tarone"] == pytest.approx(twin.test_equal_odds(adjust=True).pvalue)
        weights = [(sum(map(sum, t)), t) for t in np.moveaxis(twin.table, 2, 0)]
        top = sum((t[0][0] * sum(t[1]) - t[1][0] * sum(t[0])) / n for n, t in weights)
        assert line["difference"] == pytest.approx(top / sum(sum(t[0]) * sum(t[1]) / n for n, t in weights))


def test_a_planted_difference_within_strata_is_found_and_a_borrowed_one_vanishes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    sex = rng.choice(["f", "m"], 8000)
    grade = np.where(rng.random(8000) < np.where(sex == "f", 0.7, 0.3), "low", "high")
    borrowed = (rng.random(8000) < np.where(grade == "low", 0.2, 0.6)).astype(int)
    planted = (rng.random(8000) < np.where(grade == "low", 0.2, 0.6) + 0.1 * (sex == "m")).astype(int)
    for pred, truth in ((borrowed, 0.0), (planted, -0.1)):
        scene = set_scene(tmp_path, pred=pred, groups={"sex": sex}, factors={"grade": grade}, reference={"sex": "m"})
        assert rows(scene)["none (raw)"]["difference"] < -0.1
        found = Pick(scene.measure("fairness.conditional"))("conditional_selection_rate", "difference", sex="f").estimate
        assert found.low <= truth <= found.high
        assert found.high - found.low < 0.06


def test_without_overlap_nothing_is_stated(tmp_path: Path) -> None:
    given = random_rows(1)
    same = set_scene(tmp_path, **given | {"factors": {"twin of sex": given["groups"]["sex"]}})
    found = same.measure("fairness.conditional")
    for m in found:
        if m.metric == "conditional_selection_rate":
            assert m.estimate is None
            assert m.reason == "No stratum holds people of both groups, so nobody can be compared with anybody."
    assert Pick(found).value("overlap_share", sex="f") == 0


def test_too_little_overlap_does_not_speak_for_all(tmp_path: Path) -> None:
    """Where the strata that hold both groups cover less than half of the rows, each factor alone is what can be said."""
    given = random_rows(2)
    fine = [f"{s}{i % 700}" if i % 5 else "shared" for i, s in enumerate(given["groups"]["sex"])]
    scene = set_scene(tmp_path, **given | {"factors": {"grade": given["factors"]["grade"], "fine": fine}})
    joint = Pick(scene.measure("fairness.conditional"))("conditional_selection_rate", "difference", sex="f")
    assert joint.estimate is None
    assert "those few would stand for all" in joint.reason
    assert rows(scene)["grade"]["difference"] is not None
    assert rows(scene)["all of them together"]["difference"] is None
    assert "one declared factor at a time" in render(scene.summary("fairness.conditional"))
    assert Pick(scene.measure("fairness.conditional", least_overlap=0.01))("conditional_selection_rate", "difference", sex="f").estimate


def test_too_many_strata_are_refused_by_name(tmp_path: Path) -> None:
    found = set_scene(tmp_path, **random_rows(2)).measure("fairness.conditional", most_strata=10)
    assert [(m.estimate, m.reason) for m in found] == [(None, "There are 15 strata, more than 10.")]


def test_it_needs_a_factor(tmp_path: Path) -> None:
    scene = set_scene(tmp_path, **random_rows(2) | {"factors": {}})
    assert "legitimate_factors" in (scene.missing("fairness.conditional") or "")


# --- what can be a factor --------------------------------------------------------------------------------------------------------------


def prepared(folder: Path, declared: Any, bins: Mapping[str, Sequence[float]] | None = None) -> Facts:
    rng, n = np.random.default_rng(0), 300
    data = {
        "income": rng.normal(50, 10, n), "grade": rng.choice(["x", "y"], n), "branch": ["north"] * n, "number": np.arange(n), "name": [f"p{i}" for i in range(n)],
        "postcode": [f"c{i // 1.2:.0f}" for i in range(n)], "sex": rng.choice(["f", "m"], n), "paid": rng.integers(0, 2, n), "empty": pa.nulls(n, pa.float64()),
        "gap": np.where(rng.random(n) < 0.3, None, "a"),
    }  # fmt: skip
    pq.write_table(pa.table(data), folder / "data.parquet")
    given = {"target": "paid", "sensitive": ["sex"], "features": ["income"], "context": {"legitimate_factors": declared}}
    arguments = {
        "data": str(folder / "data.parquet"),
        "source": "test",
        "logged": None,
        "given": given,
        "inputs": [],
        "metadata": {},
        "bins": dict(bins or {}),
    }
    return Facts.model_validate(prepare(arguments, None))


@pytest.mark.parametrize("declared", [["income", "grade", "gap"], "income, grade,gap", {"income": "why", "grade": "why", "gap": "why"}])
def test_factors_are_divided_as_sensitive_columns_are(tmp_path: Path, declared: Any) -> None:
    income, grade, gap = prepared(tmp_path, declared).factors
    assert len(income.levels) == 5
    assert all(size == pytest.approx(60, abs=1) for size in income.sizes)
    assert sorted(grade.levels) == ["x", "y"]
    assert set(gap.levels) == {"a", "(missing)"}


def test_the_plans_bins_cut_a_factor(tmp_path: Path) -> None:
    (income,) = prepared(tmp_path, ["income"], {"income": [50.0]}).factors
    assert len(income.levels) == 2


def test_a_factor_that_is_no_column_is_named(tmp_path: Path) -> None:
    facts = prepared(tmp_path, ["grade", "creditworthiness"])
    assert [f.name for f in facts.factors] == ["grade"]
    assert any("creditworthiness" in render(note) for note in facts.notes)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("branch", "has one value only, 'north'"),
        ("empty", "has one value only"),
        ("number", "has another value in every row"),
        ("name", "has another value in every row"),
        ("postcode", "has more than 200 values"),
        ("sex", "is a sensitive column itself"),
        ("paid", "is the target itself"),
    ],
)
def test_what_divides_nobody_is_refused(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(AuditError) as refused:
        prepared(tmp_path, ["grade", name])
    assert f"the legitimate factor {name!r} {why}" in str(refused.value)
    assert "\n" not in str(refused.value)
