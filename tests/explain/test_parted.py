"""One row that is no table: models whose parts and smallest changes are known by hand, asked as a session asks."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pieced import EVENTS, told
from PIL import Image
from scene import Scene, set_scene

from audit.context import Sample
from audit.errors import AuditError
from audit.explain.document import Document
from audit.explain.held import Held
from audit.explain.parted import Parted
from audit.measurement import Message
from audit.subject.client import Prediction, WorkerError
from audit.subject.frame import Frame, rows
from audit.text import render
from reports.person import Page, page

N = 120
WEIGHTS = {"good": 0.2, "great": 0.3, "bad": -0.25, "dull": -0.15}


class Client:
    """A formula of the frame in the place of a worker; it counts what it is asked."""

    def __init__(self, answer: Callable[[Frame], Any]) -> None:
        self.answer, self.asked = answer, 0

    def predict(self, frame: Frame, *, timeout: float | None = None, randomise: int | None = None) -> Prediction:
        if randomise is not None:
            raise WorkerError("contract", "this model has no weights that could be drawn again")
        self.asked += rows(frame)
        return Prediction(np.asarray(self.answer(frame), dtype=np.float64).reshape(rows(frame), -1), None)


def held(made: Scene, answer: Callable[[Frame], Any]) -> Held:
    context = made.context("explain")
    context.__dict__["client"] = Client(answer)
    return Held(context)


def asked(of: Held, values: dict[str, Any], *ops: str) -> dict[str, Any]:
    return Parted(of, None, values).told({op: op in ops for op in ("explain", "reasons", "recourse")})


def gates(found: dict[str, Any]) -> dict[str, float]:
    assert all(g["passed"] for g in found["gates"]), found["gates"]
    return {g["name"]: g["value"] for g in found["gates"]}


# --- texts ------------------------------------------------------------------------------------------------------------------------------------


def bag_of_words(frame: Frame) -> Any:
    """½ and the weight of each word, as a probability."""
    return np.clip([0.5 + sum(WEIGHTS.get(word, 0.0) for word in (text or "").split()) for text in told(frame["text"])], 0, 1)


def texts(folder: Path, **more: Any) -> Scene:
    words = np.array([*WEIGHTS, "the", "film"])
    rng = np.random.default_rng(0)
    said = np.array([" ".join(rng.choice(words, 3)) for _ in range(N)])
    y = np.arange(N) % 2
    return set_scene(folder, pred=y, y=y, score=y * 0.5 + 0.25, features={"text": said}, **more)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Held:
    return held(texts(tmp_path_factory.mktemp("texts")), bag_of_words)


def test_a_word_adds_its_weight_and_the_smallest_set_is_that_of_the_hand(reading: Held) -> None:
    """Good, great and bad: ½ + 0.25. Without great 0.45 is no; without good 0.55 still is yes."""
    found = asked(reading, {"text": "a good film great but bad"}, "explain", "recourse", "reasons")
    assert found["decision"]["label"] == "1"
    assert found["decision"]["score"] == pytest.approx(0.75)
    parts = {p["factor"].strip(): p["value"] for p in found["explanation"]["parts"]}
    assert parts == pytest.approx({"great": 0.3, "bad": -0.25, "good": 0.2, "a": 0, "film": 0, "but": 0}, abs=1e-12)
    assert "".join(p["factor"] for p in sorted(found["explanation"]["parts"], key=lambda p: p["place"])) == "a good film great but bad"
    assert found["explanation"]["base"] == 0.5
    assert gates(found["explanation"])["completeness"] < 1e-9
    assert set(gates(found["explanation"])) == {"completeness", "deletion", "infidelity", "randomisation"}
    removal = found["removal"]
    assert [p["factor"] for p in removal["parts"]] == ["great "]
    assert removal["after"][0]["value"] == "a good film but bad"
    assert (removal["decision"]["label"], removal["proven"], removal["of"]) == ("0", True, 6)
    assert removal["decision"]["score"] == pytest.approx(0.45)
    assert found["recourse"] is None
    assert found["reasons"]["state"] == "impossible"
    assert "no reason by itself" in render(Message.model_validate(found["reasons"]["why"]))


def test_two_words_are_needed_where_one_does_not_do(reading: Held) -> None:
    """½ + 0.3 + 0.3 − 0.15: without one great 0.65, without both 0.35; a no turns to yes in the same way."""
    found = asked(reading, {"text": "great great dull"}, "recourse")["removal"]
    assert [p["place"] for p in found["parts"]] == [0, 1]
    assert found["proven"]
    refused = asked(reading, {"text": "good bad dull bad"}, "recourse")["removal"]
    assert [p["place"] for p in refused["parts"]] == [1, 3], "0.05: 0.45 without a bad and dull, 0.55 without both bad"
    assert refused["decision"]["favourable"] is True


def test_the_model_is_asked_again_about_what_is_told(reading: Held) -> None:
    found = asked(reading, {"text": "great dull bad good good"}, "recourse")["removal"]
    again = asked(reading, {"text": found["after"][0]["value"]})
    assert again["decision"] == found["decision"]
    assert again["decision"]["label"] != asked(reading, {"text": "great dull bad good good"})["decision"]["label"]


def test_no_question_moves_anothers_answer(reading: Held, tmp_path: Path) -> None:
    question = {"text": " ".join(["great", "bad", "film", "the"] * 5)}
    first = asked(reading, question, "explain", "recourse")
    asked(reading, {"text": "something else"}, "explain", "recourse")
    assert asked(reading, question, "explain", "recourse") == first
    fresh = held(texts(tmp_path), bag_of_words)
    fresh.prepare()
    assert asked(fresh, question, "explain", "recourse") == first, "nor does another session"


def test_many_words_are_drawn_and_bounded(reading: Held) -> None:
    """128 words: coalitions are drawn, which a gate judges; what the model is asked is bounded."""
    client = reading.ctx.client
    before = client.asked  # type: ignore[attr-defined]
    found = asked(reading, {"text": " ".join(["great", "film", "bad", "the"] * 100)}, "explain", "recourse")
    spent = client.asked - before  # type: ignore[attr-defined]
    assert found["explanation"]["method"] == "leverage_shap"
    assert len(found["explanation"]["parts"]) == 128
    assert "stability" in {g["name"] for g in found["explanation"]["gates"]}
    assert spent < 25_000


def test_a_text_without_parts_and_one_that_is_missing_say_so(reading: Held) -> None:
    found = asked(reading, {"text": None}, "explain", "recourse")
    assert found["explanation"] is None
    assert found["removal"]["state"] == "impossible"
    with pytest.raises(AuditError, match="holds no word"):
        asked(reading, {"text": ""})
    with pytest.raises(AuditError, match="is a text"):
        asked(reading, {"text": 7})


def test_without_a_wanted_decision_the_label_and_its_own_score_are_told(tmp_path: Path) -> None:
    of = held(texts(tmp_path, favourable=()), bag_of_words)
    found = asked(of, {"text": "good bad bad"}, "recourse")
    assert found["decision"]["favourable"] is None
    assert found["decision"]["label"] == "0"
    assert found["decision"]["score"] == pytest.approx(0.8), "what 0.2 leaves"
    assert [p["factor"].strip() for p in found["removal"]["parts"]] == ["bad", "bad"]


def test_a_quantity_without_a_wanted_side_has_no_decision_that_could_change(tmp_path: Path) -> None:
    said = np.array(["a good film", "a bad film"] * 60)
    made = set_scene(tmp_path, task="regression", pred=np.arange(N) * 1.0, y=np.arange(N) * 1.0, features={"text": said})
    found = asked(held(made, bag_of_words), {"text": "a great film"}, "explain", "recourse")
    assert found["removal"]["state"] == "impossible"
    assert found["explanation"]["unit"] == "value"
    assert {p["factor"].strip(): round(p["value"], 9) for p in found["explanation"]["parts"]} == {"great": 0.3, "a": 0.0, "film": 0.0}


# --- pictures, events, and both --------------------------------------------------------------------------------------------------------------


def left_half(frame: Frame) -> Any:
    """The mean of the left half of pictures of 4 × 4, as a share of white."""
    return np.asarray(frame["picture"]).reshape(-1, 4, 4)[:, :, :2].mean(axis=(1, 2)) / 255


def png(pixels: Any) -> str:
    out = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(out, format="png")
    return base64.b64encode(out.getvalue()).decode()


def test_a_picture_is_explained_by_the_half_that_the_model_looks_at(tmp_path: Path) -> None:
    """Half of the sampled pictures are black, half white: the mean is about grey, so a white one is yes by its left half, and what is taken away is there."""
    pixels = np.repeat([0.0, 255.0], N // 2)[:, None, None, None] * np.ones((1, 1, 4, 4))
    y = (pixels[:, 0, 0, 0] > 0).astype(int)
    of = held(
        set_scene(tmp_path, pred=y, y=y, score=y * 1.0, decision="score>=0.8", features={"picture": pixels.astype(np.float32)}), left_half
    )
    found = asked(of, {"picture": png(np.full((4, 4), 255))}, "explain", "recourse")
    assert found["decision"]["label"] == "1"
    values = {p["factor"]: p["value"] for p in found["explanation"]["parts"]}
    assert all(abs(v) < 1e-9 for name, v in values.items() if int(name[4]) > 2), "the right half adds nothing"
    left = [v for name, v in values.items() if int(name[4]) <= 2]
    assert len(left) == 8
    assert sum(left) == pytest.approx(1 - found["explanation"]["base"], abs=1e-6)
    assert max(left) == pytest.approx(min(left), abs=1e-6)
    assert found["explanation"]["grids"] == {"picture": [4, 4]}
    removal = found["removal"]
    assert {p["factor"][4] for p in removal["parts"]} <= {"1", "2"}
    # each region of the left half takes (1 − grey) / 8 away, grey being the mean of the background pictures
    away = (1 - found["explanation"]["base"]) / 8
    assert len(removal["parts"]) == int(np.floor(0.2 / away + 1e-9)) + 1
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(removal["after"][0]["value"]))))
    assert shown[:, 2:].tolist() == [[255, 255]] * 4
    assert (shown[:, :2] < 255).sum() == len(removal["parts"])


def amounts(frame: Frame) -> Any:
    """½ and a tenth of the amounts of all events."""
    return np.clip(0.5 + np.nansum(np.asarray(frame["events"]).reshape(-1, 3, 2)[:, :, 0], axis=1) / 10, 0, 1)


def test_events_add_their_amount_and_fields_the_same_divided_otherwise(tmp_path: Path) -> None:
    steps = np.zeros((N, 3, 2), dtype=np.float32)
    steps[:, :, 1] = np.arange(N)[:, None] % 2
    y = np.arange(N) % 2
    made = set_scene(tmp_path, pred=y, y=y, score=y * 1.0, trained=False)
    made.facts = made.facts.model_copy(update={"features": [EVENTS]})
    of = held(made, amounts)
    of.ctx.__dict__["sample"] = lambda size: Sample({"events": steps.reshape(N, -1)}, np.arange(N), None, y, {})
    happened = [{"amount": a, "place": "a"} for a in (1.0, 2.0, -0.5)]
    found = asked(of, {"events": happened}, "explain", "recourse")
    values = {p["factor"]: p["value"] for p in found["explanation"]["parts"]}
    assert values == pytest.approx({"t − 2": 0.1, "t − 1": 0.2, "t": -0.05}, abs=1e-7)
    (by_field,) = found["also"]
    assert {p["factor"]: p["value"] for p in by_field["parts"]} == pytest.approx({"amount": 0.25, "place": 0.0}, abs=1e-7)
    removal = found["removal"]
    assert [p["factor"] for p in removal["parts"]] == ["t − 2", "t − 1"], (
        "in the order in which they happened; 0.75: 0.55 without the larger, 0.45 without both"
    )
    assert removal["after"][0]["value"] == [{"amount": -0.5, "place": "a"}]


def test_a_column_beside_a_text_counts_and_stays_as_it_is(tmp_path: Path) -> None:
    y = np.arange(N) % 2
    said = np.array(["a good film", "a bad film"])[y]
    made = set_scene(tmp_path, pred=y, y=y, score=y * 1.0, features={"age": y * 2.0 - 1, "text": said})

    def answer(frame: Frame) -> Any:
        return np.clip(np.array(bag_of_words(frame)) + 0.1 * np.asarray(frame["age"]), 0, 1)

    found = asked(held(made, answer), {"age": 1.0, "text": "a great film"}, "explain", "recourse")
    parts = {(p["column"], p["factor"].strip()): p["value"] for p in found["explanation"]["parts"]}
    assert parts["text", "great"] == pytest.approx(0.3)
    assert parts[None, "age"] == pytest.approx(0.6 - found["explanation"]["base"]), "against the ages of the background rows"
    assert found["removal"]["state"] == "none", "½ + 0.1 is yes without any word, and the column is not taken away"


# --- the page ----------------------------------------------------------------------------------------------------------------------------------


def document(found: dict[str, Any]) -> Document:
    subject = {"model": "models:/m/1", "name": "m", "version": "1", "model_sha256": None, "data": "d", "data_sha256": "0"}
    more = {
        "id": "a",
        "made": "2026-01-02T03:04:05Z",
        "valid_until": "2027-01-02",
        "seed": 0,
        "glossary": {},
        "context": {},
        "target": None,
    }
    return Document.model_validate(found | more | {"subject": subject | found["subject"]})


def test_the_page_marks_words_with_signed_numbers_and_says_what_changes_the_decision(reading: Held) -> None:
    made = document(asked(reading, {"text": "a great <b>"}, "explain", "recourse", "reasons"))
    html = page(made)
    assert ">+0.300<" in html
    assert "great &lt;b&gt;" in html
    assert "great <b>" not in html
    assert "Taken away: the words “great”." in html
    assert "The decision would then be: 0." in html
    chinese = page(made, "zh")
    assert "去掉：词语“great”。" in chinese
    assert "足以改变决定的最小改动" in chinese
    assert Page(made, "en").without() is not None
