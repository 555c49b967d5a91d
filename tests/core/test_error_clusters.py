"""Similar mistakes: kinds of texts and pictures on which the model is wrong are found, chance seldom is, and no row is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scene import Scene, set_scene
from threadpoolctl import threadpool_limits

from audit.features import FeatureSpec
from audit.measurement import Measurement
from audit.perceived import SQUARES, Kept, Texts, _squares, look
from audit.text import render

CHECK = "performance.error_clusters"
TOPICS = [["refund", "late", "parcel", "courier"], ["screen", "battery", "phone", "charger"], ["waiter", "soup", "table", "dinner"]]
FILL = ["the", "was", "very", "good", "bad", "not"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in an audit, whose checks have one thread each."""
    with threadpool_limits(1):
        yield


def about(n: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, 3, n)
    return topic, np.array([" ".join([*rng.choice(TOPICS[k], 3), *rng.choice(FILL, 3)]) for k in topic])


def scene_of(folder: Path, bad: NDArray[np.bool_], features: dict[str, Any], *, rate: float = 0.45, seed: int = 0, **more: Any) -> Scene:
    rng = np.random.default_rng(seed + 100)
    y = rng.integers(0, 2, len(bad))
    wrong = rng.random(len(bad)) < np.where(bad, rate, 0.15)
    return set_scene(folder, y=y, pred=np.where(wrong, 1 - y, y), features=features, **more)


def established(found: list[Measurement]) -> list[Measurement]:
    return [m for m in found if m.test is not None and (m.test.adjusted_p_value or 0.0) <= 0.05]


def test_a_kind_of_texts_is_found_and_named_by_its_words(tmp_path: Path) -> None:
    topic, texts = about(2400)
    scene = scene_of(tmp_path, topic == 0, {"text": texts})
    found = established(scene.measure(CHECK, kinds=4))
    assert found
    for m in found:
        assert m.slice.keys() == {"(words)"}
        assert set(m.slice["(words)"].split(", ")) <= set(TOPICS[0])
        assert m.against == {"(rows)": "(rest)"}
        assert m.estimate is not None
        assert m.estimate.value > 0.1
    said = render(scene.summary(CHECK, kinds=4))
    assert "texts with the words" in said
    assert "wrong predictions" in said


def test_no_text_stands_in_the_document(tmp_path: Path) -> None:
    """Every text has a word of its own, which no group is named by."""
    topic, texts = about(1200)
    named = np.array([f"{t} person{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}" for i, t in enumerate(texts)])
    written = " ".join(m.model_dump_json() for m in scene_of(tmp_path, topic == 0, {"text": named}).measure(CHECK))
    assert written
    assert "person" not in written
    assert not any(t in written for t in texts)


def test_a_kind_of_pictures_is_found_and_described(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dark = rng.random(1500) < 0.3
    pictures = (rng.uniform(0, 60, (1500, 3, 9, 10)) + np.where(dark, 0, 180)[:, None, None, None]).astype(np.float32)
    found = established(scene_of(tmp_path, dark, {"picture": pictures}).measure(CHECK, kinds=3))
    assert found
    first = found[0]
    assert first.slice.keys() == {"(pictures)"}
    looks = next(e for m in found for e in m.evidence if e.kind == "table" and "brightness" in [c.name for c in e.columns])
    shares = {str(row[0]): row[2] for row in looks.rows}
    assert shares[first.slice["(pictures)"]] == pytest.approx(30 / 255, abs=0.01)
    assert len(looks.columns) == 7


def test_chance_is_seldom_established(tmp_path: Path) -> None:
    alarms = 0
    _, texts = about(600)
    for seed in range(20):
        bad = np.zeros(600, np.bool_)
        alarms += bool(established(scene_of(tmp_path, bad, {"text": texts}, seed=seed).measure(CHECK, kinds=5)))
    assert alarms <= 3


def test_texts_without_spaces_are_grouped_by_pairs_of_signs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    topic = rng.integers(0, 2, 800)
    texts = np.array(
        ["".join(rng.choice(["快递很慢", "退款没到", "包裹丢了"] if k == 0 else ["屏幕很亮", "电池耐用", "手机不错"], 2)) for k in topic]
    )
    found = established(scene_of(tmp_path, topic == 0, {"text": texts}).measure(CHECK, kinds=2))
    assert found
    assert all(len(word) == 2 for word in found[0].slice["(words)"].split(", "))


def test_a_word_must_be_in_many_texts_of_the_group_and_seldom_in_others() -> None:
    spec = FeatureSpec(name="t", kind="text", read="text")
    kept = Kept(spec, ["red apple"] * 30 + ["red pear"] * 30 + ["red plum"] * 4, None)
    texts, inside = Texts(kept, 2), np.arange(64) < 30
    assert texts.typical(kept, inside, 10) == ["apple"]
    assert texts.typical(kept, inside, 31) == []
    assert texts.typical(kept, np.arange(64) >= 60, 10) == []


def test_squares_are_mean_colours_and_missing_pixels_are_black() -> None:
    spec = FeatureSpec(name="p", kind="image", read="decoded", shape=(1, 16, 24))
    pixels = np.arange(16 * 24, dtype=np.float32).reshape(1, -1)
    squares = _squares(pixels, spec)
    assert squares.shape == (1, 1, SQUARES, SQUARES)
    assert squares[0, 0, 0, 0] == pytest.approx(pixels.reshape(16, 24)[:2, :3].mean())
    assert _squares(np.full((1, 16 * 24), np.nan, np.float32), spec).max() == 0
    assert _squares(np.ones((2, 5), np.float32), spec.model_copy(update={"shape": (1, 1, 5)})).shape == (2, 1, 1, 5)
    seen = look(np.full((4, 3, 2, 2), 51.0, np.float32))
    assert seen.brightness == pytest.approx(0.2)
    assert (seen.contrast, len(seen.colours)) == (0.0, 3)


def test_tables_are_not_asked(tmp_path: Path) -> None:
    why = scene_of(tmp_path, np.zeros(50, np.bool_), {"x": np.zeros(50)}).missing(CHECK)
    assert why == "No input of the model is a text or a picture, and this check is for those."
