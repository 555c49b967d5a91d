"""Rows that are no table: their parts, switched off one by one, and what explanations say of them together. Models are formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pieced import AGE, AUDIO, EVENTS, IMAGE, TEXT, scene, text, told

from audit.explain.of_pieces import explain_pieces
from audit.explain.pieces import pieces_of
from audit.explain.shown import differences, overall
from audit.measurement import Heatmap, Measurement, Message
from audit.subject.client import Attributions, WorkerError
from audit.subject.frame import Frame, rows
from audit.text import render


def test_words_are_left_out() -> None:
    parts = pieces_of([TEXT], {"text": text("so  very good!", None, "")}, {"text": text("")})
    assert parts.names(0) == ["1", "2", "3", "4"]
    masks = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]], dtype=bool)
    assert told(parts.mixed(0, masks)["text"]) == ["so  very good!", "so  good", ""]
    for row, own in ((1, None), (2, "")):
        assert parts.names(row) == []
        assert told(parts.mixed(row, np.zeros((1, 0), dtype=bool))["text"]) == [own]


def test_regions_show_the_mean_background() -> None:
    picture = np.arange(16.0)[None].repeat(2, axis=0).astype(np.float32)
    picture[1] = np.nan
    background = np.stack([np.full(16, 10.0), np.full(16, 20.0), np.full(16, np.nan)]).astype(np.float32)
    parts = pieces_of([IMAGE], {"image": picture}, {"image": background})
    assert len(parts.names(0)) == 16  # a side of 4 has a region for each pixel
    assert parts.names(0)[5] == "(2, 2)"
    one = np.zeros((1, 16), dtype=bool)
    one[0, 5] = True
    expected = np.full(16, 15.0)
    expected[5] = 5.0
    assert np.array_equal(parts.mixed(0, one)["image"], expected[None].astype(np.float32))
    assert parts.names(1) == []  # a picture that cannot be read


@pytest.mark.parametrize(("size", "grid"), [(28, 7), (32, 8), (224, 8), (10, 8), (5, 5)])
def test_pictures_are_divided_evenly_where_they_can_be(size: int, grid: int) -> None:
    spec = IMAGE.model_copy(update={"shape": (3, size, size)})
    column = np.zeros((1, 3 * size * size), dtype=np.float32)
    parts = pieces_of([spec], {"image": column}, {"image": column})
    assert len(parts.places) == grid**2
    counts = np.bincount(parts.inputs[0].region)  # type: ignore[attr-defined]
    assert counts.sum() == 3 * size * size
    assert counts.min() > 0


def test_events_move_up_and_count_from_the_last() -> None:
    rows_ = np.array([[1, 0, 2, 1, 3, 0], [4, 1, np.nan, np.nan, np.nan, np.nan], [np.nan] * 6], dtype=np.float32)
    parts = pieces_of([EVENTS], {"events": rows_}, {"events": rows_})
    assert [parts.names(i) for i in range(3)] == [["t − 2", "t − 1", "t"], ["t"], []]
    kept = parts.mixed(0, np.array([[False, True, True], [True, False, False]]))["events"]
    assert np.array_equal(kept, np.array([[2, 1, 3, 0, np.nan, np.nan], [1, 0, *[np.nan] * 4]]), equal_nan=True)
    pooled = parts.pooled(np.array([[1, 1, 2, 2, 3, 3], [5, 5, 0, 0, 0, 0], [0] * 6], dtype=float), [6])
    assert pooled.tolist() == [[6, 4, 2], [10, 0, 0], [0, 0, 0]]
    fields = pieces_of([EVENTS], {"events": rows_}, {"events": rows_}, by_field=True)
    assert fields.names(0) == ["amount", "place"]
    # the median amount is 2.5 and the commonest place 0
    usual = fields.mixed(1, np.array([[False, True], [False, False]]))["events"]
    assert np.array_equal(usual, np.array([[2.5, 1, *[np.nan] * 4], [2.5, 0, *[np.nan] * 4]], dtype=np.float32), equal_nan=True)
    assert fields.names(2) == []


def test_stretches_are_silenced_up_to_the_end() -> None:
    sound = np.ones((2, 40), dtype=np.float32)
    sound[0, 10:] = np.nan
    sound[1] = np.nan
    parts = pieces_of([AUDIO], {"sound": sound}, {"sound": sound})
    assert parts.names(0) == ["0.00 s – 0.10 s", "0.10 s – 0.20 s", "0.20 s – 0.30 s", "0.30 s – 0.40 s", "0.40 s – 0.50 s"]
    masks = np.zeros((1, 5), dtype=bool)
    masks[0, 1] = True
    assert np.array_equal(parts.mixed(0, masks)["sound"][0, :10], [0, 0, 1, 1, 0, 0, 0, 0, 0, 0])
    assert np.isnan(parts.mixed(0, masks)["sound"][0, 10:]).all()
    assert parts.names(1) == []


def test_a_table_beside_a_text() -> None:
    frame: Frame = {"age": np.array([30.0]), "text": text("a b")}
    parts = pieces_of([AGE, TEXT], frame, {"age": np.array([1.0, 2.0]), "text": text("x", "y")})
    assert parts.places == [("age", "age"), ("text", "1"), ("text", "2")]
    found = parts.mixed(0, np.array([[True, True, False], [False, False, True]]))
    assert found["age"].tolist() == [30, 30, 1, 2]  # type: ignore[union-attr]
    assert told(found["text"]) == ["a ", "a ", "b", "b"]


WEIGHT = {"good": 2.0, "bad": -3.0, "film": 0.5}


def bag(frame: Frame) -> Any:
    """The score is the sum of a weight for each word that is there."""
    return [sum(w for word, w in WEIGHT.items() if word in (t or "").split()) for t in told(frame["text"])]


def reviews() -> Frame:
    return {"text": text(*["good film", "bad film", "the film", "good"] * 15, "", None)}


def measured(found: list[Any]) -> tuple[dict[str, Measurement], str]:
    assert isinstance(found[-1], Message)
    return {next(iter(m.slice.values()), m.metric): m for m in found[:-1]}, render(found[-1])


def test_a_word_is_worth_its_weight() -> None:
    """A model whose answer is w · 1[word is there] (methods.md, FM-01), from its answers alone."""
    ctx = scene(reviews(), [TEXT], bag)
    seen = explain_pieces(ctx, 100, 5, 50_000)
    assert seen.explained.method == "exact_shap"
    assert seen.explained.gaps.max() < 1e-9
    by, said = measured(list(overall(ctx, seen)))
    for word, weight in WEIGHT.items():
        assert by[word].estimate is not None
        assert by[word].estimate.value == pytest.approx(weight)  # type: ignore[union-attr]
    assert by["the"].estimate.value == pytest.approx(0)  # type: ignore[union-attr]
    assert said.startswith("The words that move the answers most: bad, good, film (SHAP over all coalitions")
    by, said = measured(list(differences(ctx, seen)))
    assert by["1"].metric == "top_reason_share"


def test_a_rare_word_is_not_shown() -> None:
    frame = {"text": text(*["good film"] * 30, *["bad name"] * 3)}
    ctx = scene(frame, [TEXT], bag)
    by, _ = measured(list(overall(ctx, explain_pieces(ctx, 100, 2, 50_000))))
    assert {"good", "film"} <= set(by)
    assert not {"bad", "name"} & set(by)
    assert all("name" not in e.model_dump_json(exclude={"columns"}) for m in by.values() for e in m.evidence)


def test_texts_without_a_word() -> None:
    ctx = scene({"text": text(*[""] * 20)}, [TEXT], bag)
    seen = explain_pieces(ctx, 20, 5, 50_000)
    assert seen.explained.values.shape == (15, 0)
    _, said = measured(list(overall(ctx, seen)))
    assert said.startswith("Nothing could be shown that at least 10 rows share")
    by, _ = measured(list(differences(ctx, seen)))
    assert by["top_reason_share"].estimate is None


def quarters(frame: Frame) -> Any:
    """Two classes: the mean of the upper left pixel against nothing; the logit of a picture's own class is explained."""
    corner = np.nan_to_num(frame["image"][:, 0])  # type: ignore[index]
    return np.stack([corner, -corner], axis=1)


def test_each_pictures_own_class() -> None:
    rng = np.random.default_rng(0)
    column = rng.normal(size=(40, 16)).astype(np.float32)
    ctx = scene({"image": column}, [IMAGE], quarters, classes=2)
    seen = explain_pieces(ctx, 30, 10, 100_000)
    assert seen.explained.gaps.max() < 1e-6
    assert (seen.explained.answer > 0).all()
    assert np.abs(seen.explained.values[:, 1:]).max() < 1e-6
    found = list(overall(ctx, seen))
    by, said = measured(found)
    maps = [e for m in by.values() for e in m.evidence if isinstance(e, Heatmap)]
    assert [len(m.values) for m in maps] == [4, 4]
    assert maps[0].values[0][0] == max(v for line in maps[0].values for v in line)
    assert "(1, 1)" in said
    assert "each row's own answer" in said


def test_what_misses_by_far_is_asked_from_outside() -> None:
    """A step: gradients are 0 everywhere, so the sums miss all of it; or the worker refuses the method."""

    def zeros(frame: Frame, background: Frame, **given: Any) -> Attributions:
        n = rows(frame)
        return Attributions(np.zeros((n, 16)), np.zeros(n), np.asarray(step(frame)), "logit")

    def refuses(*_: Any, **__: Any) -> Attributions:
        raise WorkerError("contract", "no gradient reaches the model's inputs")

    def step(frame: Frame) -> Any:
        return (frame["image"][:, 0] > -0.3) * 1.0  # type: ignore[index]

    column = np.random.default_rng(1).normal(size=(60, 16)).astype(np.float32)
    for beside, words in ((zeros, "misses what it should add up to by 100 %"), (refuses, "cannot follow this model")):
        ctx = scene({"image": column}, [IMAGE], step, beside)
        seen = explain_pieces(ctx, 40, 10, 20_000)
        assert seen.explained.method == "leverage_shap"
        assert seen.explained.gaps.max() < 1e-6
        _, said = measured(list(overall(ctx, seen)))
        assert f"Integrated Gradients {words}" in said
        assert "answers alone were asked" in said
    ctx = scene(
        {"image": column}, [IMAGE], step, lambda *a, **k: (_ for _ in ()).throw(WorkerError("died", "the worker's process has ended"))
    )
    with pytest.raises(WorkerError, match="died"):
        explain_pieces(ctx, 40, 10, 20_000)


def test_the_budget_bounds_what_is_asked() -> None:
    column = np.random.default_rng(2).normal(size=(500, 16)).astype(np.float32)
    ctx = scene({"image": column}, [IMAGE], quarters, classes=2)
    seen = explain_pieces(ctx, 400, 50, 20_000)
    assert 10 <= len(seen.explained.values) <= 20_000 // 512
    assert ctx.client.asked <= 22_000
