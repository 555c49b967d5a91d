"""Texts, pictures and events that somebody gives: what they become, what they are again, and what is refused in one line before it costs anything."""

from __future__ import annotations

import base64
import io
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from pieced import AUDIO, EVENTS, IMAGE, TEXT
from PIL import Image

from audit.errors import AuditError
from audit.explain.given import MOST_BYTES, MOST_EVENTS, brightness, column_of, neutral, value_of
from audit.explain.offered import offered
from audit.features import FeatureSpec
from audit.text import render

COLOUR = FeatureSpec(name="photo", kind="image", read="decoded", shape=(3, 2, 4))
EVENT = {"amount": 2.5, "place": "b"}


def encoded(picture: Image.Image, form: str = "png") -> str:
    out = io.BytesIO()
    picture.save(out, format=form)
    return base64.b64encode(out.getvalue()).decode()


def grey(numbers: Any) -> Image.Image:
    return Image.fromarray(np.asarray(numbers, dtype=np.uint8))


def test_a_picture_of_the_right_size_is_taken_number_by_number_and_is_the_same_again() -> None:
    numbers = np.arange(16).reshape(4, 4) * 17
    found = column_of(IMAGE, encoded(grey(numbers)), 255.0)
    assert found.column.tolist() == [numbers.reshape(-1).tolist()]  # type: ignore[union-attr]
    assert not found.notes
    again = column_of(IMAGE, value_of(IMAGE, found.column, 255.0), 255.0)
    assert np.array_equal(again.column, found.column)  # type: ignore[arg-type]
    share = column_of(IMAGE, encoded(grey(numbers)), 1.0).column
    assert np.allclose(share, numbers.reshape(1, -1) / 255), "where pictures are stored from 0 to 1, so are these"


def test_colours_stand_in_planes_and_another_size_is_said() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
    exact = column_of(COLOUR, encoded(Image.fromarray(pixels)), 255.0)
    assert np.array_equal(exact.column, pixels.transpose(2, 0, 1).reshape(1, -1))  # type: ignore[arg-type]
    found = column_of(COLOUR, encoded(Image.new("RGBA", (40, 60), (255, 0, 0, 9)), "png"), 255.0)
    assert found.column.tolist() == [[255.0] * 8 + [0.0] * 16]  # type: ignore[union-attr]
    assert render(found.notes[0]) == "The picture photo has 40 × 60 pixels; the model takes 4 × 2, and it was brought to that size."
    assert column_of(COLOUR, encoded(Image.new("L", (4, 2), 7), "jpeg"), 255.0).column.shape == (1, 24)  # type: ignore[union-attr]


def test_events_fill_the_first_places_and_the_latest_are_kept() -> None:
    found = column_of(EVENTS, [EVENT, {"amount": None, "place": None}], None)
    assert np.array_equal(found.column, [[2.5, 1, np.nan, -1, np.nan, np.nan]], equal_nan=True)  # type: ignore[arg-type]
    assert value_of(EVENTS, found.column, None) == [EVENT, {"amount": None, "place": None}]
    many = column_of(EVENTS, [{"amount": float(i), "place": "a"} for i in range(5)], None)
    assert [e["amount"] for e in value_of(EVENTS, many.column, None)] == [2, 3, 4]
    assert "takes the latest 3" in render(many.notes[0])
    assert value_of(EVENTS, column_of(EVENTS, [], None).column, None) is None


def test_what_is_not_known_is_missing() -> None:
    assert column_of(TEXT, None, None).column.codes.tolist() == [-1]  # type: ignore[union-attr]
    for spec in (IMAGE, EVENTS):
        column = column_of(spec, None, 255.0).column
        assert np.isnan(column).all()  # type: ignore[arg-type]
        assert value_of(spec, column, 255.0) is None


def bomb() -> str:
    """A PNG of a few kilobytes that would be 400 million pixels."""
    return encoded(Image.new("1", (20_000, 20_000)))


WRONG: dict[str, tuple[FeatureSpec, Any, str]] = {
    "no text": (TEXT, 7, "is a text, got int"),
    "an empty text": (TEXT, "  ", "holds no word"),
    "two mebibytes of text": (TEXT, "word " * 420_000, "at most 100,000"),
    "no base64": (IMAGE, "not base64!", "in base64, and this is none"),
    "no string": (IMAGE, [1, 2], "got list"),
    "base64 of nothing": (IMAGE, "", "cannot be read"),
    "base64 of a text": (IMAGE, base64.b64encode(b"hello").decode(), "cannot be read"),
    "another format": (IMAGE, encoded(grey(np.zeros((4, 4))), "gif"), "cannot be read"),
    "half a picture": (IMAGE, encoded(grey(np.random.default_rng(0).integers(0, 255, (64, 64))))[:800], "cannot be read"),
    "too many bytes": (IMAGE, "A" * (MOST_BYTES * 2), "at most 6 MiB"),
    "no list": (EVENTS, EVENT, "a list of events"),
    "no objects": (EVENTS, [1], "a list of events"),
    "a field that is none": (EVENTS, [EVENT | {"luck": 1}], "'luck'"),
    "a field less": (EVENTS, [{"amount": 1}], "'place'"),
    "another category": (EVENTS, [EVENT | {"place": "c"}], "it is one of a, b"),
    "a category in a list": (EVENTS, [EVENT | {"place": ["a"]}], "is no value"),
    "no number": (EVENTS, [EVENT | {"amount": "1"}], "holds a number"),
    "a number without end": (EVENTS, [EVENT | {"amount": 10**400}], "holds a number"),
    "too large for the model": (EVENTS, [EVENT | {"amount": 1e300}], "holds a number"),
    "too many events": (EVENTS, [EVENT] * (MOST_EVENTS + 1), "at most 10,000"),
    "a recording": (AUDIO, [0.1], "none can be given"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_taken_is_refused_in_one_line(case: str) -> None:
    spec, value, said = WRONG[case]
    with pytest.raises(AuditError) as raised:
        column_of(spec, value, 255.0)
    line = f"{raised.value}"
    assert said in line
    assert " — " in line
    assert "\n" not in line
    assert len(line) < 400


@pytest.mark.parametrize("size", [(20_000, 20_000), (8_000, 8_000)])
def test_a_bomb_is_refused_before_it_goes_off(size: tuple[int, int]) -> None:
    """400 million pixels are too many for the reader, 64 million for us; neither is unpacked."""
    value = encoded(Image.new("1", size))
    assert len(value) < 100_000
    tracemalloc.start()
    begun = time.monotonic()
    with pytest.raises(AuditError, match=r"cannot be read|at most 50,000,000 pixels"):
        column_of(IMAGE, value, 255.0)
    spent, most = time.monotonic() - begun, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert spent < 2
    assert most < 4_000_000


def test_pictures_of_other_numbers_are_read_and_none_can_be_given() -> None:
    assert [brightness(np.array(v)) for v in ([[0, 200.0]], [[0.0, 1.0]], [[-1.0, 1.0]], [[0.0, 300.0]])] == [255, 1, None, None]
    with pytest.raises(AuditError, match="no plain grey or coloured ones"):
        column_of(IMAGE, encoded(grey(np.zeros((4, 4)))), None)
    shown = Image.open(io.BytesIO(base64.b64decode(value_of(IMAGE, np.linspace(-1, 1, 16, dtype=np.float32)[None], None))))
    assert (np.asarray(shown).min(), np.asarray(shown).max()) == (0, 255), "shown from its darkest to its brightest"


def test_what_a_person_begins_with_is_nobodys() -> None:
    rng = np.random.default_rng(0)
    many = rng.integers(0, 256, (100, 16)).astype(np.float32)
    mean = column_of(IMAGE, neutral(IMAGE, many, 100), 255.0).column
    assert np.allclose(mean, many.mean(axis=0), atol=0.51)
    few = column_of(IMAGE, neutral(IMAGE, many[:99], 100), 255.0).column
    assert len(np.unique(few)) == 1, "even grey"  # type: ignore[arg-type]
    picture = offered(IMAGE, many, 10)
    assert (picture.shape, picture.given) == ((1, 4, 4), True)
    assert picture.start == neutral(IMAGE, many, 100)
    assert offered(TEXT, column_of(TEXT, "a word", None).column, 10).levels == (), "no text is anybody's to see"


def test_an_event_to_begin_with_is_what_is_usual() -> None:
    """Of 120 rows the last event counts: amounts 0 … 119, place b in 80 of them."""
    rows = np.full((120, 3, 2), np.nan, dtype=np.float32)
    rows[:, 0] = (-50, 0)
    rows[:, 1, 0], rows[:, 1, 1] = np.arange(120), np.arange(120) >= 40
    found = offered(EVENTS, rows.reshape(120, -1), 10)
    assert found.start == [{"amount": 59.0, "place": "b"}]
    assert [f["name"] for f in found.fields] == ["amount", "place"]
    assert (found.fields[0]["low"], found.fields[1]["levels"]) == (1.19, ("a", "b"))
    few = offered(EVENTS, rows[:50].reshape(50, -1), 10)
    assert few.start == [{"amount": None, "place": "a"}], "fewer than a hundred rows tell no middle"
