"""Audits of one model by one plan on disjoint data, taken together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import set_scene

from audit import pool as command
from audit.errors import AuditError
from audit.pool import Pooled, pool, require_same, written
from audit.result import AuditResult

FAMILIES = ["data", "calibration", "explanation", "efficiency"]


def audit(folder: Path, rates: tuple[float, float], n: int, seed: int, context: dict[str, Any] | None = None) -> AuditResult:
    """n women and n men who get the decision at these rates, by a score that knows the outcome a little."""
    rng = np.random.default_rng(seed)
    sex = ["f"] * n + ["m"] * n
    pred = (rng.uniform(size=2 * n) < np.repeat(rates, n)).astype(int)
    y = np.where(rng.uniform(size=2 * n) < 0.7, pred, 1 - pred)
    score = np.clip(0.25 + 0.5 * pred + rng.normal(0, 0.1, 2 * n), 0.01, 0.99)
    scene = set_scene(folder, pred=pred, y=y, score=score, groups={"sex": sex}, reference={"sex": "m"}, context=context)
    return scene.document(skip=FAMILIES)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[AuditResult]:
    folder = tmp_path_factory.mktemp("audits")
    return [audit(folder, (0.4, 0.5), 600, 1, {"period": "2024"}), audit(folder, (0.4, 0.5), 900, 2, {"period": "2025"})]


def one(found: list[Pooled], metric: str, compare: str = "value", **slice_: str) -> Pooled:
    (it,) = [p for p in found if (p.finding.metric, p.finding.compare, p.finding.slice) == (metric, compare, slice_)]
    return it


def test_a_rate_is_that_of_all_rows_and_a_comparison_is_stratified(two: list[AuditResult]) -> None:
    from audit.stats import stratified

    found = pool(two)
    rate = one(found, "selection_rate", sex="f")
    parts = [f.parts[0] for d in two for c in d.checks for f in c.findings if f.key == rate.finding.key]
    assert rate.estimate.value == sum(p.k for p in parts) / sum(p.n for p in parts)
    assert rate.estimate.n == 1500
    for compare, method in (
        ("difference", "mantel_haenszel_difference"),
        ("ratio", "mantel_haenszel_ratio"),
        ("odds_ratio", "mantel_haenszel_odds_ratio"),
    ):
        pooled = one(found, "selection_rate", compare, sex="f")
        pairs = [f.parts for d in two for c in d.checks for f in c.findings if f.key == pooled.finding.key]
        tables = stratified.stratify(*([getattr(p[i], x) for p in pairs] for i in (0, 1) for x in ("k", "n")))
        assert tables is not None
        assert pooled.estimate == getattr(stratified, method)(tables, level=pooled.estimate.level)
        assert min(pooled.values) <= pooled.estimate.value <= max(pooled.values)
        assert pooled.equality is not None
        assert pooled.heterogeneity is not None


def test_what_is_made_of_the_complement_is_pooled_from_the_complement(two: list[AuditResult]) -> None:
    adverse = one(pool(two), "adverse_selection_rate", "ratio", sex="f")
    assert min(adverse.values) <= adverse.estimate.value <= max(adverse.values)
    assert min(adverse.values) > 1 > max(one(pool(two), "selection_rate", "ratio", sex="f").values)


def test_other_quantities_are_weighed_by_their_intervals_and_narrower_together(two: list[AuditResult]) -> None:
    auc = one(pool(two), "roc_auc")
    alone = [f.estimate for d in two for c in d.checks for f in c.findings if f.key == auc.finding.key and f.estimate]
    assert auc.estimate.method == "inverse_variance"
    assert min(auc.values) <= auc.estimate.value <= max(auc.values)
    assert auc.estimate.high - auc.estimate.low < min(e.high - e.low for e in alone)
    assert auc.estimate.n == sum(e.n for e in alone)


def test_exact_counts_and_extremes_over_groups_are_left_out(two: list[AuditResult]) -> None:
    found = pool(two)
    assert not [p for p in found if p.estimate.method == "exact" or "*" in p.finding.slice.values()]
    assert [p for p in found if p.finding.metric == "sensitive_inputs"] == []


def test_strata_that_differ_are_told_apart_from_strata_that_do_not(two: list[AuditResult], tmp_path: Path) -> None:
    other = audit(tmp_path, (0.6, 0.4), 900, 3)
    for compare in ("difference", "ratio", "odds_ratio"):
        alike, apart = one(pool(two), "selection_rate", compare, sex="f"), one(pool([two[0], other]), "selection_rate", compare, sex="f")
        assert alike.heterogeneity is not None
        assert apart.heterogeneity is not None
        assert apart.heterogeneity[0] < 1e-6 < 0.01 < alike.heterogeneity[0]


def test_levels_that_a_history_divided_are_pooled_at_the_strictest(two: list[AuditResult], tmp_path: Path) -> None:
    rng_scene = set_scene(tmp_path, pred=[1, 0] * 300, y=[1, 0] * 300, groups={"sex": ["f"] * 300 + ["m"] * 300}, reference={"sex": "m"})
    divided = rng_scene.document(skip=FAMILIES, history={"models_on_this_data": 4})
    levels = {one(pool([two[0], divided]), "selection_rate", "ratio", sex="f").estimate.level}
    assert levels == {0.975}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": {"sha256": "1" * 64}}, "different models"),
        ({"model": {"sha256": None}}, "no digest"),
        ({"plan_sha256": "1" * 64, "plan": {"judge": {}}}, "different plans (audit, "),
        ({"data": {"decision": "score>=0.9"}}, "different rules: predict and score>=0.9"),
        ({"data": {"sha256": "SAME"}}, "the same data"),
    ],
)
def test_audits_that_do_not_belong_together_are_refused(two: list[AuditResult], change: dict[str, Any], said: str) -> None:
    document = two[1].model_dump(mode="json")
    for name, value in change.items():
        if isinstance(value, dict) and name != "plan":
            document[name] |= {k: two[0].data.sha256 if v == "SAME" else v for k, v in value.items()}
        else:
            document[name] = value
    with pytest.raises(AuditError) as caught:
        require_same([two[0], AuditResult.model_validate(document)])
    assert said in caught.value.what
    require_same(two)
    with pytest.raises(AuditError, match="one audit"):
        require_same(two[:1])


def test_the_command_prints_a_table_and_writes_what_is_no_audit(
    two: list[AuditResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, document in enumerate(two):
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "audit.json").write_text(document.model_dump_json(by_alias=True))
    folders = [str(tmp_path / "0"), str(tmp_path / "1")]
    assert command.main([*folders, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == str(tmp_path / "out" / "pool.json")
    assert "A pool reports and judges nothing." in said
    assert "2024" in said
    stored = json.loads((tmp_path / "out" / "pool.json").read_text())
    assert stored == written(two, pool(two))
    assert (stored["judged"], len(stored["strata"])) == (False, 2)
    tested = [f["heterogeneity"] for f in stored["findings"] if f["heterogeneity"]]
    assert {t["tests_in_family"] for t in tested} == {len(tested)}
    assert all(t["adjusted_p_value"] >= t["p_value"] for t in tested)
    assert command.main([*folders, "--out", str(tmp_path / "out")]) == 2, "never overwrites"
    assert command.main([folders[0], folders[0]]) == 2
    assert command.main([folders[0], str(tmp_path)]) == 2
    assert all(line.startswith("error: ") for line in capsys.readouterr().err.splitlines())


def test_data_that_share_rows_are_refused(tmp_path: Path, two: list[AuditResult]) -> None:
    import pandas as pd

    from audit.dataset import data_digest, open_dataset
    from audit.disjoint import require_disjoint

    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"age": rng.integers(18, 90, 400), "income": rng.integers(0, 50_000, 400), "sex": rng.choice(["f", "m"], 400)})

    def document(name: str, part: pd.DataFrame) -> AuditResult:
        path = tmp_path / f"{name}.parquet"
        part.to_parquet(path)
        digest = data_digest(open_dataset(str(path)).files)
        return two[0].model_copy(update={"data": two[0].data.model_copy(update={"source": str(path), "sha256": digest})})

    first, second = document("first", rows[:200]), document("second", rows[200:])
    assert require_disjoint([first, second])
    with pytest.raises(AuditError, match="data 1 and 2 are not disjoint: 20 pairs of equal rows"):
        require_disjoint([first, document("third", rows[180:])])
    coarse = rows[["sex"]]
    assert require_disjoint([document("f", coarse[:200]), document("s", coarse[200:])]), (
        "people who are alike in few columns are not one person"
    )
    assert not require_disjoint([first, two[0]]), "data that are not at hand are taken on the auditors' word"
