"""What fine-tuning made a model forget, with models that are written down: counted again row by row, told by group, and refused where it cannot be known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scene import Pick, Scene, set_scene

from audit.bases import before_tuning
from audit.context import Context
from audit.errors import AuditError
from audit.privacy import reference_models
from audit.probe import collect
from audit.source_task import find_source
from audit.text import render

CHECK = "robustness.forgetting"
N = 4000


class Tuned:
    """Rows of a source task with the answers of the model before (right in 90 %) and after, which is wrong more often by `lost` of the rows of women."""

    def __init__(self, folder: Path, *, lost: float, logged: bool = False) -> None:
        rng = np.random.default_rng(3)
        self.folder, self.logged = folder, logged
        self.y = rng.integers(0, 3 if logged else 2, N)
        self.sex = rng.choice(["f", "m"], N, p=[0.3, 0.7])
        self.before = np.where(rng.random(N) < 0.9, self.y, (self.y + 1) % (self.y.max() + 1))
        hit = (rng.random(N) < lost) & (self.sex == "f")
        self.after = np.where(hit, (self.y + 1) % (self.y.max() + 1), self.before)
        labels = [["ant", "bee", "cat"][k] for k in self.y] if logged else self.y.astype(str)
        self.table = pa.table({"place": np.arange(N, dtype=float), "outcome" if not logged else "insect": labels, "sex": self.sex})
        pq.write_table(self.table, folder / "rows.parquet")

    def scene(self) -> Scene:
        """The scene, with the source task as it is found."""
        rng = np.random.default_rng(0)
        made = set_scene(
            self.folder, pred=rng.integers(0, 2, 50), y=rng.integers(0, 2, 50), score=rng.random(50), groups={"sex": ["f", "m"] * 25},
            features={"place": np.arange(50.0)},
        )  # fmt: skip
        given = (
            {"folder": str(self.folder)}
            if self.logged
            else {"base": "models:/m/1", "path": model(self.folder), "rows": str(self.folder / "rows.parquet")}
        )
        found, notes = find_source({"source_task": given}, made.facts.features, made.facts.roles.target, {"sex": ["f", "m"]})
        assert not notes
        return replace(made, facts=made.facts.model_copy(update={"source_task": found}))

    def asked(self, monkeypatch: pytest.MonkeyPatch, sample: int = 2000, **params: Any) -> tuple[Pick, str]:
        """The check's measurements and sentence; the models' answers are those above."""
        members = [self.before, self.after] if self.logged else [self.before]

        @contextmanager
        def beside(_: Context, described: list[Any], __: list[str]) -> Iterator[int]:
            assert len(described) == len(members)
            yield len(members)

        def scores(codes: np.ndarray, places: np.ndarray) -> np.ndarray:
            p1 = np.where(codes[places] == 1, 0.9, 0.1)
            return np.eye(3)[codes[places]] if self.logged else np.stack([1 - p1, p1], axis=1)

        def in_parts(_: int, frame: Any, count: int, classes: int) -> Iterator[list[np.ndarray]]:
            places = np.asarray(frame["place"]).astype(int)
            yield [scores(codes, places) for codes in members]

        def interpreted(_: Context, frame: Any) -> tuple[np.ndarray, None]:
            return self.after[np.asarray(frame["place"]).astype(int)], None

        monkeypatch.setattr(reference_models, "beside", beside)
        monkeypatch.setattr(reference_models, "in_parts", in_parts)
        monkeypatch.setattr(reference_models, "described", lambda *_, **__: [{}])
        monkeypatch.setattr(Context, "interpreted", interpreted)
        made = self.scene()
        plan = made.plan.model_copy(update={"audit": made.plan.audit.model_copy(update={"sample": sample})})
        context = replace(made, plan=plan).context(CHECK)
        context.launching = {"trust_pickle": False}
        found, summary = collect(context, params)
        return Pick(found), render(summary)


def model(folder: Path) -> str:
    """A model folder of which only the description is read."""
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "MLmodel").write_text("flavors:\n  sklearn: {pickled_model: model.skops, serialization_format: skops}\n")
    (folder / "model" / "model.skops").write_bytes(b"")
    return str(folder / "model")


@pytest.mark.parametrize("logged", [False, True])
def test_the_change_is_counted_row_by_row_and_the_group_that_pays_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: bool
) -> None:
    graphs(tmp_path, logged)
    tuned = Tuned(tmp_path, lost=0.3, logged=logged)
    pick, said = tuned.asked(monkeypatch)
    right = {"before": tuned.before == tuned.y, "after": tuned.after == tuned.y}
    change = right["after"].astype(int) - right["before"]
    assert pick.value("accuracy_change") == pytest.approx(change.mean())
    for group in ("f", "m"):
        own = tuned.sex == group
        assert pick.value("accuracy_change", sex=group) == pytest.approx(change[own].mean())
        assert pick.value("excess_accuracy_drop", sex=group) == pytest.approx(change.mean() - change[own].mean())
    assert pick("accuracy_change", sex="f").test.adjusted_p_value < 1e-9
    assert pick("accuracy_change", sex="f").estimate.high < -0.2
    assert pick("accuracy_change", sex="m").test.p_value == 1.0
    assert pick("excess_accuracy_drop", sex="f").estimate.low > 0.1
    (table,) = pick("accuracy_change").evidence
    assert table.rows[0][:4] == ["everybody", N, pytest.approx(right["before"].mean()), pytest.approx(right["after"].mean())]
    assert "It falls most beyond that for f (sex)" in said
    assert ("the model before fine-tuning" if logged else "models:/m/1") in said


def test_a_model_that_forgot_nothing_leaves_open_what_other_rows_could_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pick, said = Tuned(tmp_path, lost=0.0).asked(monkeypatch)
    e = pick("accuracy_change").estimate
    assert e.low < 0 == e.value < e.high
    assert pick("accuracy_change").test.p_value == 1.0
    assert "No group loses more than everybody" in said


def test_small_groups_are_left_open_and_a_sample_is_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pick, _ = Tuned(tmp_path, lost=0.3).asked(monkeypatch, rows=300, group_rows=150)
    assert pick("accuracy_change").estimate.n == 300
    assert pick("accuracy_change", sex="f").estimate is None
    assert "Fewer than 150 rows" in pick("accuracy_change", sex="f").reason
    pick, _ = Tuned(tmp_path, lost=0.3).asked(monkeypatch, sample=60)
    assert pick("accuracy_change").estimate.n == 300  # each is asked about once: five for each of --sample


def graphs(folder: Path, logged: bool) -> None:
    if logged:
        (folder / "task.json").write_text(json.dumps({"target": "insect", "classes": ["ant", "bee", "cat"]}))
        for name in ("before.pt2", "after.pt2"):
            (folder / name).write_bytes(name.encode())


@pytest.mark.parametrize(("spoil", "says"), [
    (lambda f: (f / "after.pt2").unlink(), "lacks after.pt2"),
    (lambda f: (f / "task.json").write_text("{"), "no JSON"),
    (lambda f: (f / "task.json").write_text('{"target": "insect", "classes": ["ant"]}'), "no target and classes"),
    (lambda f: pq.write_table(pa.table({"place": [1.0]}), f / "rows.parquet"), "lack 'insect'"),
])  # fmt: skip
def test_what_training_logged_and_cannot_be_used_is_left_aside_and_said(tmp_path: Path, spoil: Any, says: str) -> None:
    graphs(tmp_path, True)
    features = Tuned(tmp_path, lost=0.0, logged=True).scene().facts.features
    spoil(tmp_path)
    found, (note,) = find_source({"source_task": {"folder": str(tmp_path)}}, features, "outcome", {})
    assert found is None
    assert says in render(note)


def test_what_the_plan_names_and_cannot_be_used_is_refused(tmp_path: Path) -> None:
    scene = Tuned(tmp_path, lost=0.0).scene()
    features, base = scene.facts.features, {"base": "models:/m/1", "path": model(tmp_path)}
    with pytest.raises(AuditError, match="no evaluation rows were logged"):
        find_source({"source_task": base | {"rows": None}}, features, "outcome", {})
    with pytest.raises(AuditError, match="no outcome column is known"):
        find_source({"source_task": base | {"rows": str(tmp_path / "rows.parquet")}}, features, None, {})
    with pytest.raises(AuditError, match="the source task's rows lack 'other'"):
        find_source({"source_task": base | {"rows": str(tmp_path / "rows.parquet")}}, features, "other", {})
    assert before_tuning({"base": None, "source": None}) is None
    assert before_tuning({"base": "models:/m/1", "source": None}) == ("models:/m/1", None)
    with pytest.raises(AuditError, match="no base model"):
        before_tuning({"base": None, "source": "rows.csv"})


def test_without_a_source_task_nothing_is_asked(tmp_path: Path) -> None:
    scene = set_scene(tmp_path, y=[0, 1] * 20, pred=[0, 1] * 20, score=[0.2, 0.8] * 20)
    assert "neither the plan names a model before fine-tuning" in str(scene.missing(CHECK))
    assert "neither" not in str(Tuned(tmp_path, lost=0.0).scene().missing(CHECK))
