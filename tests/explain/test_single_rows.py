"""Single rows that a plan allowed: the explanation's own numbers, row by row, of tables, texts, pictures and sequences."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from pieced import EVENTS, IMAGE, TEXT, scene, text
from pydantic import ValidationError
from scene import set_scene

from audit import plan as plans
from audit.context import Context, Sample
from audit.errors import AuditError
from audit.explain.rows_file import LONGEST, MOST, MOST_PARTS, Drawn, Row
from audit.explain.single_rows import cut, written
from audit.features import FeatureSpec
from audit.measurement import Measurement
from audit.plan import Plan
from audit.probe import collect
from audit.subject.client import Prediction
from audit.subject.frame import Frame
from audit.subject.words import pieces

HOSTILE = "<img src=x onerror=alert(1)>"


def allowing(plan: Plan) -> Plan:
    return plan.model_copy(update={"audit": plan.audit.model_copy(update={"rows": True})})


def table(folder: Path, n: int = 60, *, rows: bool = True, seed: int = 0) -> Context:
    """Two classes by their log-odds: income helps, a town does a little."""
    rng = np.random.default_rng(1)
    features: dict[str, Any] = {
        "income": rng.integers(1, 10, n).astype(float), "age": np.where(rng.random(n) < 0.1, np.nan, rng.normal(40, 9, n)),
        "town": rng.choice([HOSTILE, "hill"], n),
    }  # fmt: skip

    def chance(f: Any, town: Any) -> Any:
        return 1 / (1 + np.exp(-(f["income"] - 5) - town))

    p = chance(features, 0.4 * (features["town"] == "hill"))
    pred, y = (p > 0.5).astype(int), np.where(rng.random(n) < 0.1, -1, (rng.random(n) < p).astype(int))
    plan = plans.load(None)
    made = set_scene(folder, pred=pred, y=y, score=p, features=features, plan=allowing(plan) if rows else plan, seed=seed)
    kinds = {"town": FeatureSpec(name="town", kind="category", read="text")}
    made.facts = made.facts.model_copy(update={"features": [kinds.get(f.name, f) for f in made.facts.features]})
    ctx = made.context("explanation.local")

    def predict(frame: Frame, *, timeout: float | None = None) -> Prediction:
        town = frame["town"]
        hill = np.array([c >= 0 and town.vocabulary[c] == "hill" for c in town.codes])
        found = chance(frame, 0.4 * hill)
        return Prediction(np.stack([1 - found, found], axis=1), None)

    ctx.__dict__["client"] = SimpleNamespace(predict=predict)
    return ctx


def kept(ctx: Any, **params: Any) -> tuple[Drawn, list[Measurement]]:
    """The rows and the measurements of one run of the check."""
    measured, _ = collect(ctx, params)
    assert isinstance(ctx.single, Drawn)
    return Drawn.model_validate_json(ctx.single.model_dump_json()), measured


def pieced(frame: Frame, spec: FeatureSpec, forward: Any, **more: Any) -> Any:
    """A scene of rows that are no table, whose plan allows rows and which is asked through a check."""
    ctx = scene(frame, [spec], forward, **more)
    ctx.plan, ctx.check, ctx.asides, ctx.single = allowing(ctx.plan), "explanation.local", [], None
    return ctx


def top(row: Row) -> str:
    return max(row.accounts[0].parts, key=lambda part: abs(part.value)).place


def test_rows_of_a_table_are_those_that_the_check_counted(tmp_path: Path) -> None:
    ctx = table(tmp_path)
    found, measured = kept(ctx, background=20)
    assert found.explained == len(found.rows) == 40
    shares = {m.slice["(feature)"]: m.estimate for m in measured if m.metric == "top_reason_share"}
    for name, share in shares.items():
        assert share is not None
        assert np.mean([top(row) == name for row in found.rows]) == pytest.approx(share.value)
    (spread,) = (e for m in measured for e in m.evidence if e.kind == "table") if found.explained >= 100 else ([],)
    assert not spread, "below 100 rows percentiles would be single people's"
    gaps = [row.accounts[0].gap for row in found.rows]
    assert max(g for g in gaps if g is not None) < 1e-9


def test_a_row_is_the_one_in_the_data_with_its_values_answer_and_outcome(tmp_path: Path) -> None:
    ctx = table(tmp_path)
    found, _ = kept(ctx, background=20)
    sample = ctx.sample(1000)
    assert [row.row for row in found.rows] == sorted({row.row for row in found.rows})
    for row in found.rows:
        (at,) = np.flatnonzero(sample.row == row.row)
        values = {v.column: v.value for v in row.inputs}
        assert float(values["income"] or "nan") == sample.frame["income"][at]
        assert (values["age"] is None) == bool(np.isnan(sample.frame["age"][at]))
        assert values["town"] in (HOSTILE, "hill")
        assert row.answer == str(sample.pred[at])
        assert sample.y is not None
        assert row.outcome == (None if sample.y[at] < 0 else str(sample.y[at]))
        assert row.agrees == (None if row.outcome is None else row.outcome == row.answer)
        (account,) = row.accounts
        assert account.output == found.score_of == "1"
        assert row.score == pytest.approx(account.answer)
        assert sum(p.value for p in account.parts) + account.base == pytest.approx(account.answer)
    assert {row.agrees for row in found.rows} == {True, False, None}
    assert {row.answer for row in found.rows} == {"0", "1"}


def test_no_more_rows_than_are_allowed_and_the_same_for_a_seed(tmp_path: Path) -> None:
    found, _ = kept(table(tmp_path, 400), background=20)
    assert (len(found.rows), found.explained) == (MOST, 380)
    same, _ = kept(table(tmp_path, 400), background=20)
    assert same == found
    other, _ = kept(table(tmp_path, 400, seed=1), background=20)
    assert [r.row for r in other.rows] != [r.row for r in found.rows]
    few, _ = kept(table(tmp_path, 400), background=20, rows=12)
    assert len(few.rows) == 12


def test_groups_of_columns_are_one_part_beside_single_values(tmp_path: Path) -> None:
    found, _ = kept(table(tmp_path), background=20, groups={"person": ["income", "age"]})
    assert {part.place: part.holds is None for part in found.rows[0].accounts[0].parts} == {"person": True, "town": False}
    assert [v.column for v in found.rows[0].inputs] == ["income", "age", "town"]


def test_without_leave_no_row_is_kept(tmp_path: Path) -> None:
    ctx = table(tmp_path, rows=False)
    collect(ctx, {"background": 20})
    assert ctx.single is None


def test_a_document_says_where_single_rows_are_or_why_there_are_none(tmp_path: Path) -> None:
    def notes(rows: bool, **result: Any) -> list[str]:
        plan = plans.load(None)
        made = set_scene(tmp_path, pred=[0, 1] * 20, y=[0, 1] * 20, plan=allowing(plan) if rows else plan)
        results = made.results(skip=["explanation"])
        results["explanation.local"] |= result
        return [n for n in made.document(results=results).notes if "single rows" in n]

    assert notes(False) == []
    assert notes(True) == ["The plan allowed single rows, and none were kept, because explanation.local explained none: Not asked for."]
    (died,) = notes(True, status="errored", reason="The worker died.")
    assert died.endswith("explained none: The worker died.")


@pytest.mark.parametrize(("value", "taken"), [("true", True), ("false", False), ('"yes"', None)])
def test_a_plan_says_yes_or_no(tmp_path: Path, value: str, taken: bool | None) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(f"[audit]\nrows = {value}\n")
    if taken is None:
        with pytest.raises(AuditError, match=r"'audit\.rows' is not valid"):
            plans.load(path)
        return
    made = plans.load(path)
    assert made.audit.rows is taken
    assert (plans.digest(made.model_dump(mode="json")) == plans.digest(plans.load(None).model_dump(mode="json"))) is not taken


def test_words_of_a_text_stand_with_what_they_moved() -> None:
    words = ("good", "bad", "film", "<b>")  # three words hold nine parts at most, so that every coalition is asked
    rng = np.random.default_rng(2)
    frame = {"text": text(*[" ".join(rng.choice(words, size=3)) for _ in range(24)], None)}

    def forward(frame: Frame) -> Any:
        told = [[p.strip() for p in pieces("" if c < 0 else frame["text"].vocabulary[c])] for c in frame["text"].codes]
        score = np.array([own.count("good") - own.count("bad") for own in told], dtype=float)
        return np.stack([score, -score], axis=1)

    found, measured = kept(pieced(frame, TEXT, forward, classes=2), background=4)
    assert len(found.rows) == found.explained
    for row in found.rows:
        (account,) = row.accounts
        own = next(v.value for v in row.inputs)
        assert "".join(p.holds or "" for p in account.parts) == (own or ""), "all pieces together are the text"
        sign = {"0": 1.0, "1": -1.0}[account.output or ""]
        if "<" in (own or ""):
            continue  # without its bracket, a letter would be one word with the next one
        for part in account.parts:
            worth = {"good": 1.0, "bad": -1.0}.get((part.holds or "").strip(), 0.0)
            assert part.value == pytest.approx(sign * worth, abs=1e-6)
    assert any("<b>" in (v.value or "") for row in found.rows for v in row.inputs)
    assert measured


def test_regions_of_a_picture_stand_with_its_cells() -> None:
    pictures = np.random.default_rng(3).random((30, 16)).astype(np.float32)
    pictures[3] = np.nan

    def forward(f: Any) -> Any:
        return np.nan_to_num(np.asarray(f["image"], float))[:, [0, 5]].sum(axis=1)

    ctx = pieced({"image": pictures}, IMAGE, forward)
    ctx.sample = lambda size: Sample({"image": pictures}, np.arange(100, 130), np.full(30, np.nan), np.zeros(30), {})
    ctx.facts.roles = SimpleNamespace(target="t")
    found, _ = kept(ctx, background=6)
    for row in found.rows:
        own = pictures[row.row - 100]
        if np.isnan(own).all():
            assert not row.pictures
            assert not row.accounts[0].parts
            continue
        (picture,) = row.pictures
        assert (picture.down, picture.across) == (4, 4)
        np.testing.assert_allclose(np.array(picture.cells).ravel(), own, rtol=1e-3)
        moved = {p.place for p in row.accounts[0].parts if abs(p.value) > 1e-9}
        assert moved <= {"(1, 1)", "(2, 2)"}
        assert len(row.accounts[0].parts) == 16
        assert (row.outcome, row.agrees, row.score, row.accounts[0].output) == (None, None, None, None)


def test_a_large_picture_is_kept_in_few_cells() -> None:
    from audit.explain.pieces import Regions
    from audit.explain.single_rows import _picture

    image = np.arange(3 * 70 * 64, dtype=np.float32).reshape(1, -1)
    found = _picture(Regions("p", image, image, (3, 70, 64)), 0)
    assert found is not None
    cells = np.array(found.cells)
    assert cells.shape == (32, 32)
    bright = image.reshape(3, 70, 64).mean(axis=0)
    assert cells[0, 0] == pytest.approx(bright[:3, :2].mean(), rel=1e-3)
    assert cells[-1, -1] == pytest.approx(bright[68:, 62:].mean(), rel=1e-3)


def test_steps_of_a_sequence_stand_by_event_and_by_field() -> None:
    rng = np.random.default_rng(5)
    steps = np.stack([rng.integers(1, 9, (30, 3)), rng.integers(0, 2, (30, 3))], axis=2).astype(np.float32)
    steps[:10, 2] = np.nan
    frame = {"events": steps.reshape(30, -1)}

    def forward(f: Any) -> Any:
        return np.nan_to_num(np.asarray(f["events"], float).reshape(-1, 3, 2))[:, :, 0].sum(axis=1)

    found, _ = kept(pieced(frame, EVENTS, forward), background=6)
    for row in found.rows:
        by_event, by_field = row.accounts
        assert (by_event.by_field, by_field.by_field) == (False, True)
        own = steps[row.row][~np.isnan(steps[row.row]).all(axis=1)]
        assert [p.place for p in by_event.parts] == ["t − 2", "t − 1", "t"][-len(own) :]
        assert [p.holds for p in by_event.parts] == [f"amount = {int(a)}, place = {'ab'[int(b)]}" for a, b in own.tolist()]
        np.testing.assert_allclose([p.value for p in by_event.parts], own[:, 0], atol=1e-6)
        assert [p.place for p in by_field.parts] == ["amount", "place"]
        assert by_event.answer == by_field.answer == float(row.accounts[0].answer)


def test_a_number_is_as_short_as_it_was_given() -> None:
    given = {
        np.float32(186.6): "186.6",
        np.float64(np.float32(186.6)): "186.6",
        np.float64(0.1): "0.1",
        np.float64(12345678.9): "12345678.9",
        np.float64(-3): "-3",
    }
    given |= {
        np.float64(1e300): "1e+300",
        np.float64("nan"): None,
        np.float64("inf"): None,
        np.float64(2.0**51 + 0.5): "2251799813685248.5",
    }
    for value, expected in given.items():
        assert written(np.array([value]), 0) == expected
    assert written(np.array(["2026-01-02T03:04:05", "NaT"], "datetime64[ns]"), 0) == "2026-01-02T03:04:05"
    assert written(np.array(["2026-01-02", "NaT"], "datetime64[ns]"), 1) is None
    assert written(np.array([True]), 0) == "true"


def test_what_is_long_is_cut_and_what_is_many_is_summed(tmp_path: Path) -> None:
    from audit.explain.explained import Explained
    from audit.explain.rows_file import Part
    from audit.explain.single_rows import _account

    assert (len(cut("x" * LONGEST)), len(cut("x" * 9 * LONGEST)), cut("x" * 9 * LONGEST)[-1]) == (LONGEST, LONGEST, "…")
    values = np.arange(MOST_PARTS + 3, dtype=float)[None]
    e = Explained(["c"], values, np.zeros(1), values.sum(axis=1), "value", "exact_shap", 3)
    parts = [Part(column="c", place=str(j), value=float(v)) for j, v in enumerate(values[0])]
    found = _account(e, 0, parts, None)
    assert (len(found.parts), found.left_out, found.rest) == (MOST_PARTS, 3, 0 + 1 + 2)
    row = kept(table(tmp_path), background=20)[0].rows[0].model_dump()
    for wrong in ({"row": -1}, {"answer": "x" * (LONGEST + 1)}, {"more": 1}, {"score": float("nan")}):
        with pytest.raises(ValidationError):
            Row.model_validate(row | wrong)


def test_a_run_in_the_store_does_without_single_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audit import store

    document = set_scene(tmp_path, pred=[0, 1] * 20, y=[0, 1] * 20).document(skip=["explanation"])
    folder = tmp_path / "audit"
    folder.mkdir()
    (folder / "audit.json").write_text(document.model_dump_json(by_alias=True), "utf-8")
    (folder / "rows.json").write_text("{}")
    client = MagicMock()
    monkeypatch.setattr(store, "client_of", lambda uri: client)
    monkeypatch.setattr(store, "experiment_of", lambda client: "1")
    store.log_audit({"folder": str(folder), "model": document.model.model_dump(mode="json"), "tracking_uri": "sqlite:///x.db"}, None)
    assert [Path(call.args[1]).name for call in client.log_artifact.call_args_list] == ["audit.json"]
