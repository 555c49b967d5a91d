"""Reference models: what hides under how hard a row is comes out beside them, and a record that does not fit the rows is refused or left aside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scene import Pick, Scene, completed, set_scene
from scipy.special import expit

from audit import plan as plans
from audit.context import Context
from audit.dataset import data_digest, open_dataset
from audit.errors import AuditError
from audit.lookup import Lookup
from audit.privacy import reference_models
from audit.privacy.attacks import Attack
from audit.privacy.reference_models import Beside, References, find_references, kept
from audit.probe import collect
from audit.registry import checks
from audit.stats.rates import clopper_pearson
from audit.text import render
from audit.training import LOGGED

CHECK = "privacy.membership"


class Planted:
    """Rows of very different difficulty (log odds spread by 3, known to every model); whoever trained on a row adds `heart` to its log odds."""

    def __init__(self, folder: Path, *, heart: float, count: int, alike: bool = True, n: int = 2400) -> None:
        rng = np.random.default_rng(7)
        self.parameters = 3 if alike else 4
        self.keep = rng.random((count, 2 * n)).argsort(axis=0) < count // 2 if count > 1 else rng.random((1, 2 * n)) < 0.5
        y, hard = rng.integers(0, 2, 2 * n), rng.normal(1, 3, 2 * n)
        trained = np.arange(2 * n) < n
        self.own = hard + heart * trained + rng.normal(0, 0.5, 2 * n)
        self.theirs = hard + heart * self.keep + rng.normal(0, 0.5, (count, 2 * n))
        self.y, rows = y, {"place": np.arange(2 * n).astype(float)}
        p = self.answers(self.own)[:, 1]
        training = {"place": rows["place"][:n], "outcome": y[:n].astype(str)}
        made = set_scene(
            folder, pred=(p[n:] > 0.5).astype(int), y=y[n:], score=p[n:], features={"place": rows["place"][n:]}, training=training,
        )  # fmt: skip
        (folder / "references").mkdir()
        for k in range(count):
            (folder / "references" / f"{k:03d}.pt2").write_bytes(b"")
        np.save(folder / "keep.npy", self.keep)
        split = ["train"] * n + ["evaluation"] * n
        pq.write_table(pa.table({"split": split, "row": [*range(n), *range(n)]}), folder / "members.parquet")
        found, _ = find_references({"references": str(folder)}, made.facts.training, made.facts.sha256, n)
        self.scene = replace(made, facts=made.facts.model_copy(update={"references": found}))

    def answers(self, phi: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        y = self.y if places is None else self.y[places]
        p1 = expit(np.where(y == 1, phi, -phi))
        return np.stack([1 - p1, p1], axis=-1)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Scene:
        """Let the planted models answer in place of workers."""

        def interpreted(_: Context, frame: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
            places = np.asarray(frame["place"]).astype(int)
            answer = self.answers(self.own[places], places)
            return (answer[:, 1] > 0.5).astype(int), answer

        def ask(_: Context, found: References, frames: list[dict[str, Any]]) -> Beside:
            every = [np.asarray(frame["place"]).astype(int) for frame in frames]
            return Beside([self.answers(self.theirs[:, places], places) for places in every], self.parameters)

        monkeypatch.setattr(Context, "interpreted", interpreted)
        monkeypatch.setattr(reference_models, "ask", ask)
        return self.scene


def judged(made: Scene) -> tuple[Pick, str, list[str]]:
    """Findings, the sentence, and the attacks that were tried."""
    params = {"rows": 10_000}
    results = made.results(skip=("data", "performance", "calibration", "fairness", "explanation")) | {
        CHECK: completed(*collect(made.context(CHECK), params)) | {"params": params, "seconds": 0.0}
    }
    (check,) = [c for c in made.document(results={id_: results[id_] for id_ in checks()}).checks if c.info.id == CHECK]
    tried = [str(row[0]) for f in check.findings for table in f.evidence for row in table.rows]  # type: ignore[union-attr]
    return Pick(check.findings), check.summary, tried


def test_references_find_what_the_loss_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shift of 1 under a spread of 3 is AUC .59 by the loss; with the spread known to 8 references it is Φ(1 / (√2 · .53)) = .91."""
    found, said, tried = judged(Planted(tmp_path, heart=1.0, count=8).install(monkeypatch))
    assert found("attack_auc").estimate.value == pytest.approx(0.91, abs=0.03)
    assert found("attack_auc").verdict == "fail"
    assert found("tpr_at_fpr_1").verdict == "fail"
    assert "Reference models: 8" in said
    assert sum("LiRA" in name for name in tried) == 2


def test_four_references_that_find_nothing_are_a_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _, _ = judged(Planted(tmp_path, heart=0.0, count=4).install(monkeypatch))
    assert found("attack_auc").verdict == "pass"


def test_two_references_try_the_ratio_alone_and_pass_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _, tried = judged(Planted(tmp_path, heart=0.0, count=2).install(monkeypatch))
    assert found("attack_auc").verdict == "inconclusive"
    assert not any("LiRA" in name for name in tried)
    assert any("RMIA" in name for name in tried)


def test_references_of_another_architecture_are_said_and_pass_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, said, _ = judged(Planted(tmp_path, heart=0.0, count=4, alike=False).install(monkeypatch))
    assert found("attack_auc").verdict == "inconclusive"
    assert "not of the audited model's architecture" in render(found("attack_auc").reason_msg)
    assert said.endswith(
        "They have another number of weights than the audited model, so that they show less than models of its own kind would: "
        "train them as it was trained, as models.train --references K does."
    )


def test_an_attack_that_breaks_its_own_rate_is_not_chosen() -> None:
    empty = np.zeros(0)
    assert Attack("quantile", empty, empty, clopper_pearson(48, 5000, level=0.95)).sound
    assert not Attack("quantile", empty, empty, clopper_pearson(100, 5000, level=0.95)).sound


def test_an_input_that_no_fitted_row_has_tells_nothing_and_ends_nothing() -> None:
    """Earlier events of people of whom the fitted half has none: scikit-learn's bins of a column without values end in a ValueError."""
    from audit.stats.privacy.regression import expected, quantile

    rng = np.random.default_rng(0)
    x, s = rng.normal(size=(2000, 2)), rng.normal(size=2000)
    empty = np.column_stack([x, np.full(2000, np.nan)])
    later = np.column_stack([x, rng.normal(size=2000)])
    for fit, more in ((expected, {}), (quantile, {"fpr": 0.01})):
        assert np.array_equal(fit(empty, s, seed=0, **more).predict(later), fit(x, s, seed=0, **more).predict(x))


def test_the_record_is_read_by_place(tmp_path: Path) -> None:
    planted = Planted(tmp_path, heart=0.0, count=4, n=100)
    found = planted.scene.facts.references
    assert found is not None
    table = pq.read_table(tmp_path / "members.parquet").to_pandas()
    order = np.random.default_rng(0).permutation(len(table))
    pq.write_table(pa.Table.from_pandas(table.iloc[order], preserve_index=False), tmp_path / "members.parquet")
    np.save(tmp_path / "keep.npy", planted.keep[:, order])
    record = kept(found)
    assert (record.training == planted.keep[:, :100]).all()
    assert (record.audited == planted.keep[:, 100:]).all()


@pytest.mark.parametrize(("spoil", "says"), [
    (lambda f: (f / "keep.npy").unlink(), "holds no keep.npy"),
    (lambda f: (f / "keep.npy").write_bytes(b"no array"), "no array that can be read"),
    (lambda f: np.save(f / "keep.npy", np.ones((3, 200), dtype=bool)), "there are 4 reference models"),
    (lambda f: np.save(f / "keep.npy", np.ones((4, 150), dtype=bool)), "speaks of 150 rows, and members.parquet of 200"),
    (lambda f: pq.write_table(pa.table({"split": ["train"] * 200, "row": list(range(200))}), f / "members.parquet"), "200 train rows, and there are 100"),
    (lambda f: pq.write_table(pa.table({"row": list(range(200))}), f / "members.parquet"), "lacks split"),
])  # fmt: skip
def test_a_record_that_does_not_fit_is_refused_or_left_aside(tmp_path: Path, spoil: Any, says: str) -> None:
    facts = Planted(tmp_path, heart=0.0, count=4, n=100).scene.facts
    spoil(tmp_path)
    with pytest.raises(AuditError, match=says):
        find_references({"references": str(tmp_path)}, facts.training, facts.sha256, 100)
    logged = {"privacy": {"folder": str(tmp_path)}}
    found, notes = find_references(logged, facts.training, facts.sha256, 100)
    assert found is None
    assert "left aside" in render(notes[0])


def test_a_folder_of_references_that_is_not_there_is_named(tmp_path: Path) -> None:
    facts = Planted(tmp_path, heart=0.0, count=4, n=100).scene.facts
    with pytest.raises(AuditError, match=f"there is no folder of reference models at {tmp_path}/nowhere"):
        find_references({"references": str(tmp_path / "nowhere")}, facts.training, facts.sha256, 100)


def test_references_of_another_kind_of_model_are_refused_or_left_aside(tmp_path: Path) -> None:
    facts = Planted(tmp_path, heart=0.0, count=4, n=100).scene.facts
    graph = tmp_path / "references" / "003.pt2"
    graph.unlink()
    folder = tmp_path / "references" / "003"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  sklearn: {pickled_model: model.skops, serialization_format: skops}\n")
    (folder / "model.skops").write_bytes(b"")
    named = {"references": str(tmp_path), "flavor": "pytorch"}
    with pytest.raises(AuditError, match="003 is of flavor sklearn, and the audited one of pytorch"):
        find_references(named, facts.training, facts.sha256, 100)
    assert find_references(named | {"flavor": "sklearn"}, facts.training, facts.sha256, 100)[0] is not None
    found, notes = find_references({"privacy": {"folder": str(tmp_path)}, "flavor": "pytorch"}, facts.training, facts.sha256, 100)
    assert found is None
    assert "of flavor sklearn" in render(notes[0])


def test_the_plan_may_name_the_references_and_the_option_goes_before_it(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text('[checks."privacy.membership".params]\nreferences = "/of/the/plan"\n')

    def folder(plan: Path | None, option: str | None) -> str | None:
        asked: Any = SimpleNamespace(plan=plans.load(plan), request=SimpleNamespace(references=option))
        return Lookup.references(asked)

    assert folder(tmp_path / "plan.toml", None) == "/of/the/plan"
    assert folder(tmp_path / "plan.toml", "/of/the/option") == "/of/the/option"
    assert folder(None, None) is None


def test_logged_references_speak_of_the_logged_rows_alone(tmp_path: Path) -> None:
    facts = Planted(tmp_path, heart=0.0, count=4, n=100).scene.facts
    assert facts.training is not None
    training = facts.training.model_copy(update={"source": LOGGED})
    logged = {"privacy": {"folder": str(tmp_path)}, "evaluation": facts.files[0]}
    sha256 = data_digest(open_dataset(facts.files[0]).files)
    found, _ = find_references(logged, training, sha256, 100)
    assert found is not None
    assert found.count == 4
    other, notes = find_references(logged | {"evaluation": facts.training.files[0]}, training, sha256, 100)
    assert other is None
    assert "which of them trained on which row is not known" in render(notes[0])
    assert find_references({"references": str(tmp_path)}, facts.training, sha256, 100)[0] is not None
    assert find_references({}, training, sha256, 100) == (None, [])
    with pytest.raises(AuditError, match="trained on are not known"):
        find_references({"references": str(tmp_path)}, None, sha256, 100)
