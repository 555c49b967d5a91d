"""Two audits compared: what is paired, what is found, what the gate lets through, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, f1_score, log_loss, precision_score, r2_score, roc_auc_score
from two_audits import People, audited, change, compared, requirement, write

from audit import measure
from audit.compare import main
from audit.compared import Comparison
from audit.judge import finding
from audit.measurement import Estimate
from audit.stats.paired import Pair, mcnemar
from audit.versions.classes import findings
from audit.versions.pairing import read
from audit.versions.rows import Joint, Rows, Table

ROWS = 2000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("versions")


@pytest.fixture(scope="module")
def people() -> People:
    return People.drawn(ROWS, seed=1)


@pytest.fixture(scope="module")
def old(place: Path, people: People) -> Path:
    return audited(place, "old", people)


def noisy(people: People, sd: float, seed: int = 2) -> Any:
    return np.clip(people.score + np.random.default_rng(seed).normal(0, sd, len(people.y)), 0.001, 0.999)


@pytest.fixture(scope="module")
def new(place: Path, people: People) -> Path:
    return audited(place, "new", people, score=noisy(people, 0.02))


def altered(folder: Path, place: Path, name: str, **changes: Any) -> Path:
    """The audit with fields of its document changed, under the digest that then follows."""
    document = json.loads((folder / "audit.json").read_bytes())
    for key, value in changes.items():
        section, _, field = key.partition("__")
        if field:
            document[section][field] = value
        else:
            document[section] = value
    return write(place / name, document)


# --- pairing ---------------------------------------------------------------------------------------------------------------------------


def test_the_same_rows_are_paired_and_the_first_line_says_so(place: Path, old: Path, new: Path) -> None:
    found = compared(place, old, new)
    assert found.paired
    assert found.opening == "Paired: the same 2,000 rows under both models."
    assert Comparison.model_validate_json(found.model_dump_json()) == found


def test_metrics_are_those_of_the_rows(place: Path, people: People, old: Path, new: Path) -> None:
    """Every value before and now as scikit-learn has it."""
    found, y = compared(place, old, new), people.y
    for score, side in ((people.score, "old"), (noisy(people, 0.02), "new")):
        pred = score >= 0.5
        expected = {
            "accuracy": np.mean(pred == y), "recall": np.mean(pred[y == 1]), "balanced_accuracy": balanced_accuracy_score(y, pred),
            "f1": f1_score(y, pred), "precision": precision_score(y, pred), "roc_auc": roc_auc_score(y, score), "log_loss": log_loss(y, score),
            "brier_score": brier_score_loss(y, score), "calibration_in_the_large": np.mean(score - y), "selection_rate": np.mean(pred),
        }  # fmt: skip
        for metric, value in expected.items():
            assert getattr(change(found, metric), side) == pytest.approx(value, abs=1e-12), metric
        of_b = people.group == "b"
        assert getattr(change(found, "accuracy", sex="b"), side) == pytest.approx(np.mean((pred == y)[of_b]))
        rates = [np.mean(pred[of_b]), np.mean(pred[~of_b])]
        assert getattr(change(found, "selection_rate", "ratio", sex="b"), side) == pytest.approx(rates[0] / rates[1])
        assert getattr(change(found, "selection_rate", "difference", sex="b"), side) == pytest.approx(rates[0] - rates[1])


def test_rows_are_counted_as_a_slow_twin_counts_them(place: Path, people: People, old: Path, new: Path) -> None:
    rows = Rows(Table.open(place / "cache" / "old.parquet"), Table.open(place / "cache" / "new.parquet"))
    before, now, y = people.score >= 0.5, noisy(people, 0.02) >= 0.5, people.y == 1
    right = [(b == t, n == t) for b, n, t in zip(before, now, y, strict=True)]
    assert Joint(rows.overall).right() == Pair(*(right.count(k) for k in ((True, True), (False, True), (True, False), (False, False))))
    chosen = [(b, n) for b, n, t in zip(before, now, y, strict=True) if t]
    assert Joint(rows.overall).decided(2) == Pair(*(chosen.count(k) for k in ((True, True), (False, True), (True, False), (False, False))))
    found = change(compared(place, old, new), "accuracy")
    assert (found.test.p_value, found.test.method) == mcnemar(Joint(rows.overall).right())
    assert rows.differing == np.count_nonzero(people.score != noisy(people, 0.02))


def test_without_the_tables_the_documents_are_compared_and_the_first_line_says_so(place: Path, old: Path, new: Path) -> None:
    found = compared(place, old, new, scored_dir=place)
    assert not found.paired
    assert found.opening.startswith("Unpaired: the data are the same, but neither audit has a scored table here")
    paired = compared(place, old, new)
    for metric in ("accuracy", "roc_auc", "brier_score"):
        wide, narrow = change(found, metric).change, change(paired, metric).change
        assert wide.value == pytest.approx(narrow.value, abs=1e-12)
        assert wide.high - wide.low > 2 * (narrow.high - narrow.low), "the same rows tell more when they are paired"


def test_different_data_are_never_paired(place: Path, old: Path) -> None:
    other = audited(place, "other_people", People.drawn(ROWS, seed=9))
    found = compared(place, old, other)
    assert found.opening.startswith("Unpaired: the audits are of different data")


def test_tables_of_other_rows_are_not_taken_for_the_same(place: Path, old: Path, people: People) -> None:
    """Equal digests, and outcomes that differ: somebody's table is not what it says."""
    twisted = People(1 - people.y, people.group, people.score)
    new = audited(place, "twisted", twisted)
    same = altered(new, place, "twisted-2", data__sha256=json.loads((old / "audit.json").read_bytes())["data"]["sha256"])
    assert compared(place, old, same).opening.startswith("Unpaired: the scored tables do not hold the same rows")


def test_a_table_name_is_only_a_name(place: Path, old: Path, new: Path) -> None:
    assert not compared(place, old, altered(new, place, "traversing", environment__scored="../cache/new")).paired


# --- what changed ----------------------------------------------------------------------------------------------------------------------


def test_what_got_worse_is_called_worse(place: Path, people: People, old: Path) -> None:
    score = np.where((people.group == "b") & (np.random.default_rng(1).random(ROWS) < 0.4), 1 - people.score, people.score)
    found = compared(place, old, audited(place, "worse", people, score=score))
    assert change(found, "accuracy").outcome == change(found, "accuracy", sex="b").outcome == "worse"
    assert change(found, "brier_score").outcome == "worse"
    assert change(found, "accuracy", sex="a").outcome == "undecided"
    assert change(found, "true_positive_rate", "difference", sex="b").outcome == "worse", "farther from the reference"
    tests = [c.test for c in found.changes if c.test]
    assert {t.tests_in_family for t in tests} == {len(tests)} == {found.tests_in_family}
    assert all(t.adjusted_p_value >= t.p_value for t in tests)
    back = compared(place, place / "worse", old)
    assert change(back, "accuracy").outcome == "better"
    assert change(back, "accuracy").change.value == pytest.approx(-change(found, "accuracy").change.value)


def test_findings_are_classed_by_their_key(place: Path, people: People, old: Path) -> None:
    """Selection made unequal fails; compared both ways and with itself it is new, resolved and persisting, and without its check not re-tested."""
    unequal = audited(place, "unequal", people, pred=((people.score >= 0.5) & (people.group == "a")).astype(np.int16))
    was, now = read(old), read(unequal)
    failing = {f.key for f in findings(was, now) if f.state == "new"}
    ratio = next(f for c in now.checks for f in c.findings if (f.metric, f.compare, f.slice) == ("selection_rate", "ratio", {"sex": "b"}))
    assert ratio.verdict == "fail"
    assert ratio.key in failing
    assert ratio.key in {f.key for f in findings(now, was) if f.state == "resolved"}
    assert {f.state for f in findings(now, now)} == {"persisting"}
    blind = now.model_copy(update={"checks": [c for c in now.checks if c.info.id != "fairness.group"]})
    assert {f.state for f in findings(now, blind) if f.check == "fairness.group"} == {"not_retested"}
    told = compared(place, old, unequal)
    assert [(q.old, q.new) for q in told.questions if q.id == "fairness_selection"] == [("pass", "fail")]


def test_a_finding_that_is_open_now_is_not_resolved(place: Path, people: People, old: Path) -> None:
    unequal = read(place / "unequal") if (place / "unequal").exists() else None
    assert unequal is not None
    checks = [
        c.model_copy(
            update={"findings": [f.model_copy(update={"verdict": "inconclusive"}) if f.verdict == "fail" else f for f in c.findings]}
        )
        for c in unequal.checks
    ]
    found = findings(unequal, unequal.model_copy(update={"checks": checks}))
    assert {f.state for f in found} == {"persisting"}


def test_energy_from_an_assumed_power_is_never_compared(place: Path, old: Path) -> None:
    """EFF-03, must not be judged: ten times the processor seconds times one assumed power. No change, no finding and no requirement is about it."""

    def using(name: str, joules: float) -> Path:
        document = json.loads((old / "audit.json").read_bytes())
        (energy,) = [c for c in document["checks"] if c["info"]["id"] == "efficiency.energy"]
        e = Estimate(value=joules, low=joules / 5, high=joules * 5 / 3, level=0.95, method="assumed_power", n=5)
        told = measure.value("joules_per_1000_estimated", e).model_copy(update={"repeatable": False, "reason": "not measured"})
        energy |= {
            "status": "completed",
            "reason": None,
            "reason_msg": None,
            "findings": [finding("efficiency.energy", told).model_dump(mode="json")],
        }
        return write(place / name, document)

    found = compared(place, using("frugal", 1.0), using("wasteful", 10.0))
    assert read(place / "wasteful").checks != read(place / "frugal").checks
    assert "joules" not in found.model_dump_json()


# --- the gate --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [40, 400])
def test_the_same_model_always_passes(place: Path, rows: int) -> None:
    """Byte by byte the same model that decides alike: nothing can have changed, however few the rows."""
    few = People.drawn(rows, seed=4)
    folders = [audited(place, f"same-{rows}-{i}", few, sha="e" * 64) for i in range(2)]
    for scored in (place / "cache", place):
        found = compared(place, *folders, scored_dir=scored)
        assert found.gate.result == "pass"
        assert {c.outcome for c in found.changes} == {"undecided"}
        assert "nothing has changed" in " ".join(found.notes)


def test_a_model_that_only_answers_alike_is_no_proof_with_few_rows(place: Path) -> None:
    few = People.drawn(100, seed=4)
    found = compared(place, audited(place, "alike-1", few), audited(place, "alike-2", few))
    assert found.gate.result == "open"
    assert requirement(found, "accuracy").result == "open"


def test_a_slightly_other_model_passes(place: Path, people: People, old: Path) -> None:
    assert compared(place, old, audited(place, "slight", people, score=noisy(people, 0.004))).gate.result == "pass"


def test_a_model_worse_for_one_group_is_stopped(place: Path, people: People, old: Path) -> None:
    found = compared(place, old, place / "worse")
    assert found.gate.result == "worse"
    assert requirement(found, "accuracy", sex="b").result == "worse"
    assert requirement(found, "accuracy", sex="a").result == "non_inferior"


@pytest.mark.parametrize("seed", range(4))
def test_a_model_worse_by_ten_points_is_stopped_and_the_same_one_never(place: Path, seed: int) -> None:
    """Whatever the people: a tenth of all decisions is turned where it was right."""
    drawn = People.drawn(1500, seed=20 + seed)
    decided = (drawn.score >= 0.5).astype(np.int16)
    right = np.flatnonzero(decided == drawn.y)
    turned = decided.copy()
    turned[np.random.default_rng(seed).choice(right, 150, replace=False)] ^= 1
    was, same, worse = (
        audited(place, f"ten-{seed}-{i}", drawn, pred=pred, sha=sha * 64)
        for i, (pred, sha) in enumerate(((decided, "a"), (decided, "a"), (turned, "b")))
    )
    assert compared(place, was, same).gate.result == "pass"
    found = compared(place, was, worse)
    assert found.gate.result == "worse"
    assert change(found, "accuracy").change.value == pytest.approx(-0.1)


def test_a_growing_disparity_is_stopped_where_accuracy_is_not(place: Path, people: People, old: Path) -> None:
    """Decisions near one half move for one group only: accuracy hardly changes, the distance does."""
    near = (people.group == "b") & (people.score > 0.5) & (people.score < 0.8)
    found = compared(place, old, audited(place, "disparate", people, pred=((people.score >= 0.5) & ~near).astype(np.int16)))
    assert requirement(found, "selection_rate", "gap", sex="b").result == "worse"
    assert found.gate.result == "worse"


def test_small_groups_are_pooled_and_too_few_of_them_not_assessed(place: Path, people: People) -> None:
    group = people.group.copy().astype("<U2")
    rest = np.flatnonzero(group == "b")
    group[rest[:150]], group[rest[150:300]], group[rest[300:]] = "c", "d", "b"
    many = People(people.y, group, people.score)
    found = compared(place, audited(place, "pool-1", many), audited(place, "pool-2", many, score=noisy(many, 0.004)))
    pooled = requirement(found, "accuracy", sex="(all other groups)")
    assert (pooled.n, pooled.result) == (300, "non_inferior")
    group[rest[100:]] = "a"
    few = People(people.y, group, people.score)
    found = compared(place, audited(place, "pool-3", few), audited(place, "pool-4", few, score=noisy(few, 0.004)))
    assert requirement(found, "accuracy", sex="(all other groups)").result == "not_assessed"
    assert found.gate.result == "pass"


def test_a_model_that_refuses_hard_rows_is_stopped(place: Path, people: People, old: Path) -> None:
    """Silence on the rows it would get wrong raises accuracy, and is a requirement of its own."""
    hard = (np.abs(people.score - 0.5) < 0.1) & (np.random.default_rng(0).random(ROWS) < 0.7)
    score = np.where(hard, np.nan, people.score)
    pred = np.where(hard, -1, people.score >= 0.5).astype(np.int16)
    found = compared(place, old, audited(place, "silent", people, score=score, pred=pred))
    assert requirement(found, "usable_share").result == "worse"
    assert any("Rows without a usable prediction under one of the models" in note for note in found.notes)


def test_margins_come_from_the_new_plan_and_a_change_is_told(place: Path, old: Path, new: Path) -> None:
    plan = json.loads((new / "audit.json").read_bytes())["plan"]
    wide = altered(new, place, "wide", plan=plan | {"compare": {"margin": 0.2, "group_margin": 0.3, "min_rows": 50}})
    found = compared(place, old, wide)
    assert (found.gate.margin, found.gate.group_margin, found.gate.min_rows) == (0.2, 0.3, 50)
    assert any("margins of the gate differ" in note for note in found.notes)
    assert requirement(found, "roc_auc").margin == 0.2


def test_what_the_new_audit_no_longer_looks_at_keeps_the_gate_shut(place: Path, people: People, old: Path, new: Path) -> None:
    blind = altered(new, place, "blind", data__favourable=[])
    assert requirement(compared(place, old, blind), "selection_rate").result == "open"
    dropped = altered(new, place, "dropped", data__sensitive=[])
    assert requirement(compared(place, old, dropped, scored_dir=place), "accuracy", sex="*").result == "open"
    paired = compared(place, old, dropped)
    assert requirement(paired, "accuracy", sex="b").change is not None, "paired rows still know who is who"


@pytest.mark.parametrize("declared", [{"data__cluster": "school"}, {"data__repeats": ["school"]}])
def test_rows_that_belong_together_can_stop_a_release_and_not_let_it_through(place: Path, old: Path, declared: dict[str, Any]) -> None:
    """The paired bounds assume independent rows; the auditor's word that they are is taken."""
    clustered = altered(place / "slight", place, "clustered", **declared)
    found = compared(place, old, clustered)
    assert found.gate.result == "open"
    assert "rows of one school may belong together" in str(requirement(found, "accuracy").reason)
    assert compared(place, old, altered(place / "worse", place, "clustered-worse", **declared)).gate.result == "worse"
    stated = altered(place / "slight", place, "stated", data__repeats=["school"], data__independent=True)
    assert compared(place, old, stated).gate.result == "pass"


def test_unpaired_margins_need_many_rows(place: Path, old: Path, new: Path) -> None:
    found = compared(place, old, new, scored_dir=place)
    assert found.gate.result == "open"
    assert requirement(found, "selection_rate", "gap", sex="b").change.method == "newcombe_growth"
    worse = compared(place, old, place / "worse", scored_dir=place)
    assert worse.gate.result == "worse"


# --- other tasks -----------------------------------------------------------------------------------------------------------------------


def regression(place: Path, name: str, people: People, error: float) -> Path:
    rng = np.random.default_rng(7)
    y = rng.normal(size=ROWS)
    values = People(y, people.group, y + np.random.default_rng(3).normal(0, 0.5, ROWS))
    pred = values.score + np.random.default_rng(8).normal(0, error, ROWS)
    return audited(place, name, values, score=None, pred=pred, task="regression", favourable=["high"], decision=None, y=y)


def test_a_quantity(place: Path, people: People) -> None:
    folders = {name: regression(place, f"amount-{name}", people, error) for name, error in (("old", 0.0), ("near", 0.002), ("far", 0.4))}
    near, far = (compared(place, folders["old"], folders[name]) for name in ("near", "far"))
    assert near.paired
    assert near.gate.result == "pass"
    assert far.gate.result == "worse"
    assert change(far, "mean_absolute_error").outcome == change(far, "r2").outcome == "worse"
    y = np.random.default_rng(7).normal(size=ROWS)
    assert change(far, "r2").old == pytest.approx(r2_score(y, y + np.random.default_rng(3).normal(0, 0.5, ROWS)))
    assert change(far, "mean_absolute_error", sex="b").outcome == "worse"
    apart = compared(place, folders["old"], folders["far"], scored_dir=place)
    assert change(apart, "r2").outcome == "worse"


def test_several_classes(place: Path, people: People) -> None:
    rng = np.random.default_rng(5)
    y = rng.integers(0, 3, ROWS).astype(np.int16)
    three = People(y, people.group, people.score)

    def scores(noise: float, seed: int) -> Any:
        raw = np.eye(3)[y] + np.random.default_rng(seed).normal(0, noise, (ROWS, 3))
        return np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)

    options = {"task": "multiclass", "classes": ["x", "y", "z"], "positive": None, "favourable": ["z"], "decision": None}
    first, second = scores(0.7, 1), scores(1.2, 2)
    was = audited(place, "three-1", three, score=first, pred=first.argmax(axis=1).astype(np.int16), **options)
    now = audited(place, "three-2", three, score=second, pred=second.argmax(axis=1).astype(np.int16), **options)
    found = compared(place, was, now)
    assert found.paired
    assert change(found, "balanced_accuracy").new == pytest.approx(balanced_accuracy_score(y, second.argmax(axis=1)))
    assert change(found, "f1").new == pytest.approx(f1_score(y, second.argmax(axis=1), average="macro"))
    assert change(found, "log_loss").old == pytest.approx(log_loss(y, first))
    assert change(found, "accuracy").outcome == "worse"
    assert found.gate.result == "worse"


# --- the command -----------------------------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(a) for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert " — " in err
    assert err.count("\n") == 1
    return err


def test_what_cannot_be_compared_is_refused(place: Path, old: Path, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "given twice" in refused(capsys, old, old)
    assert "no audit.json" in refused(capsys, old, tmp_path)
    assert "--nonsense" in refused(capsys, old, new, "--nonsense")
    (tmp_path / "audit.json").write_text("{}")
    assert "is not an audit" in refused(capsys, old, tmp_path)
    assert "different target" in refused(capsys, old, altered(new, tmp_path, "t", data__target="another"))
    assert "different positive label" in refused(capsys, old, altered(new, tmp_path, "p", data__positive="0"))
    assert "different task" in refused(capsys, old, altered(new, tmp_path, "k", model__task="multiclass"))
    document = json.loads((new / "audit.json").read_bytes())
    document["verdict"] = "fail"
    (tmp_path / "audit.json").write_text(json.dumps(document))
    assert "was altered" in refused(capsys, old, tmp_path)


def test_an_audit_that_its_manifest_does_not_know_is_refused(
    place: Path, old: Path, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = altered(new, tmp_path, "sealed")
    (folder / "manifest.json").write_text(json.dumps({"files": {"audit.json": {"sha256": "0" * 64}}}))
    assert "was altered" in refused(capsys, old, folder)


def test_exit_status_follows_the_gate_only_where_it_is_asked(place: Path, old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = ["--scored-dir", str(place / "cache")]
    for folder, status in ((place / "slight", 0), (place / "worse", 1)):
        assert main([str(old), str(folder), "--gate", *cache]) == status
        assert main([str(old), str(folder), *cache]) == 0
    assert main([str(old), str(new), "--gate", "--scored-dir", str(place)]) == 3
    assert capsys.readouterr().out.startswith("Paired: ")


def test_json_is_the_comparison_and_nothing_else(place: Path, old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(old), str(new), "--json", "--scored-dir", str(place / "cache")]) == 0
    assert Comparison.model_validate_json(capsys.readouterr().out).paired


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_fits_and_names_what_got_worse(place: Path, old: Path, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.cells import cell_len

    main([str(old), str(place / "worse"), "--lang", lang, "--gate", "--scored-dir", str(place / "cache")])
    text = capsys.readouterr().out
    assert max(cell_len(line) for line in text.splitlines()) <= 100
    assert "\x1b" not in text, "no colours where nobody sees them"
    assert ("The gate stops it" if lang == "en" else "门禁不放行") in text
