"""Rows with parts switched off, worked by hand."""

import numpy as np
import pytest

from audit.explain.parts import Columns, game, joined, together
from audit.subject.frame import Categories


def test_what_is_off_takes_each_background_rows_value() -> None:
    frame = {"x": np.array([1.0, 2.0]), "c": Categories(np.array([0, 1], np.int32), ("a", "b"))}
    background = {"x": np.array([10.0, 20.0, 30.0]), "c": Categories(np.array([0, -1, 1], np.int32), ("b", "z"))}
    mixed = Columns(frame, background).mixed(1, np.array([[True, False], [False, True]]))
    assert mixed["x"].tolist() == [2, 2, 2, 10, 20, 30]
    words = [mixed["c"].vocabulary[c] if c >= 0 else None for c in mixed["c"].codes]
    assert words == ["b", None, "z", "b", "b", "b"]


def test_a_list_is_one_part() -> None:
    frame, background = {"p": np.arange(6.0).reshape(2, 3)}, {"p": -np.ones((1, 3))}
    mixed = Columns(frame, background).mixed(0, np.array([[True], [False]]))
    assert mixed["p"].tolist() == [[0, 1, 2], [-1, -1, -1]]


def test_the_game_is_the_mean_over_the_background() -> None:
    parts = Columns({"x": np.array([5.0])}, {"x": np.array([1.0, 3.0])})
    play = game(lambda f: f["x"][:, None] ** 2, parts, 0)
    assert play(np.array([[True], [False]])).tolist() == [[25.0], [5.0]]


def test_games_asked_together_answer_as_each_alone() -> None:
    rng = np.random.default_rng(4)
    words = Categories(rng.integers(-1, 3, 7).astype(np.int32), ("a", "b", "c"))
    parts = Columns({"x": rng.normal(size=7), "c": words}, {"x": rng.normal(size=5), "c": Categories(words.codes[:5], ("a", "b", "z"))})
    answers = lambda f: np.stack([f["x"] * (f["c"].codes + 2), f["x"] ** 2], axis=1)  # noqa: E731
    masks = rng.random((6, 2)) < 0.5
    games = [game(answers, parts, i) for i in range(7)]
    alone = np.stack([answers(parts.mixed(i, masks)).reshape(6, 5, 2).mean(axis=1) for i in range(7)])
    assert together(games, masks) == pytest.approx(alone, abs=1e-12)
    assert together([*games, lambda m: np.zeros((len(m), 2))], masks)[:7] == pytest.approx(alone, abs=1e-12)


def test_codes_that_mean_something_else_are_not_put_together() -> None:
    first, second = ({"t": Categories(np.zeros(1, np.int32), (text,))} for text in ("one", "two"))
    assert joined([first, second]) is None
