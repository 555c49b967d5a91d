"""Games of a model that mixes rows by itself: the same values without making the rows, and back to plain answers where the two differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.context import Context
from audit.explain.exposed import FIRST, LATER, Exposed, Standing
from audit.explain.parts import Columns, RowGame, game, together
from audit.explain.shapley import exact
from audit.measurement import Message
from audit.probe import collect
from audit.registry import checks
from audit.subject.client import WorkerError
from audit.subject.frame import Categories, Frame, rows
from audit.text import render

D, N, COPIES = 5, 6, 25
WEIGHTS = np.random.default_rng(0).normal(size=(D + 1, 4))


def answers(frame: Frame) -> Any:
    """Tanh of a linear layer over the columns, the last of them a code; two outputs."""
    code = frame["word"]
    assert isinstance(code, Categories)
    columns = [np.asarray(c) for name, c in frame.items() if name != "word"]
    hidden = np.tanh(np.stack([*columns, code.codes * 0.5, np.ones(rows(frame))], axis=1) @ WEIGHTS)
    return np.stack([hidden.sum(axis=1), hidden[:, 0] * hidden[:, 1]], axis=1)


class Model:
    """Mixes by itself, each answer off by `wrong`; counts what it was asked for in both ways."""

    def __init__(self, wrong: float = 0.0, error: WorkerError | None = None) -> None:
        self.wrong, self.error, self.mixed, self.plain = wrong, error, 0, 0

    def mix(self, frame: Frame, background: Frame, masks: Any) -> Any:
        if self.error is not None:
            raise self.error
        self.mixed += rows(frame) * len(masks) * rows(background)
        out = [answers(Columns(frame, background).mixed(i, masks)) for i in range(rows(frame))]
        return np.stack(out).reshape(rows(frame), len(masks), rows(background), 2) + self.wrong

    def answer(self, frame: Frame) -> Any:
        self.plain += rows(frame)
        return answers(frame)


def parts(groups: dict[str, list[str]] | None = None) -> Columns:
    rng = np.random.default_rng(5)

    def frame(n: int) -> Frame:
        word = Categories(rng.integers(0, 3, n).astype(np.int32), ("a", "b", "c"))
        return {**{f"x{j}": rng.normal(size=n) for j in range(D - 1)}, "word": word}

    return Columns(frame(N), frame(COPIES), groups or {})


def exposed(model: Model, said: list[Message]) -> Exposed:
    return Exposed(Standing(np.random.default_rng(1), said.append), model.mix, lambda raw: raw, model.answer)


@pytest.mark.parametrize("groups", [None, {"pair": ["x0", "word"], "x1": ["x1"], "rest": ["x2", "x3"]}])
def test_values_are_those_of_rows_that_were_made(groups: dict[str, list[str]] | None) -> None:
    model, said, made = Model(), list[Message](), parts(groups)
    fast = [game(model.answer, made, i, exposed) for exposed in [exposed(model, said)] for i in range(N)]
    slow = [game(answers, made, i) for i in range(N)]
    d = len(groups or made.frame)
    assert exact(fast, d).values == pytest.approx(exact(slow, d).values, abs=1e-12)
    assert (model.mixed, model.plain, said) == (N * (1 << d) * COPIES, FIRST * COPIES, [])
    together(fast, np.ones((20, d), dtype=bool))
    assert model.plain == (FIRST + LATER) * COPIES


def test_what_does_not_move_takes_no_part() -> None:
    model, said, made = Model(), list[Message](), parts()
    moving = np.array([True, False, True, True, False])
    one = exposed(model, said)
    masks = np.random.default_rng(2).random((40, 3)) < 0.5
    fast = together([RowGame(model.answer, made, i, moving, one) for i in range(N)], masks)
    assert fast == pytest.approx(together([RowGame(answers, made, i, moving) for i in range(N)], masks), abs=1e-12)
    assert model.mixed == N * 40 * COPIES


def test_where_the_two_differ_every_row_is_made_and_the_reason_is_kept() -> None:
    model, said, made = Model(wrong=0.01), list[Message](), parts()
    one, masks = exposed(model, said), np.random.default_rng(2).random((40, D)) < 0.5
    fast = [game(model.answer, made, i, one) for i in range(N)]
    for _ in range(2):
        assert together(fast, masks) == pytest.approx(together([game(answers, made, i) for i in range(N)], masks), abs=1e-12)
    assert model.mixed == N * 40 * COPIES  # it was asked once
    (reason,) = said
    assert "0.01" in render(reason)


def test_one_that_begins_to_differ_is_found_out() -> None:
    model, said, made = Model(), list[Message](), parts()
    fast, masks = [game(model.answer, made, i, one) for one in [exposed(model, said)] for i in range(N)], np.eye(D, dtype=bool)[[0] * 40]
    together(fast, masks)
    model.wrong = 0.01
    assert together(fast, masks) == pytest.approx(together([game(answers, made, i) for i in range(N)], masks), abs=1e-12)
    assert len(said) == 1


@pytest.mark.parametrize("kind", ["contract", "model", "memory"])
def test_a_model_that_does_not_mix_is_asked_once(kind: Any) -> None:
    model, said, made = Model(error=WorkerError(kind, "not here")), list[Message](), parts()
    one, masks = exposed(model, said), np.random.default_rng(2).random((40, D)) < 0.5
    fast = [game(model.answer, made, i, one) for i in range(N)]
    assert together(fast, masks) == pytest.approx(together([game(answers, made, i) for i in range(N)], masks), abs=1e-12)
    assert one.standing.useless
    assert not said


def test_a_worker_that_died_is_no_model_that_does_not_mix() -> None:
    model, made = Model(error=WorkerError("died", "gone")), parts()
    fast = [game(model.answer, made, i, one) for one in [exposed(model, [])] for i in range(N)]
    with pytest.raises(WorkerError, match="gone"):
        together(fast, np.random.default_rng(2).random((40, D)) < 0.5)


def test_few_rows_are_asked_about_plainly() -> None:
    model, made = Model(), parts()
    together([game(model.answer, made, 0, exposed(model, []))], np.ones((3, D), dtype=bool))
    assert (model.mixed, model.plain) == (0, 3 * COPIES)


def test_a_check_ends_with_what_it_has_to_say_besides(monkeypatch: pytest.MonkeyPatch) -> None:
    class Check:
        def run(self, ctx: Context) -> list[Message]:
            ctx.asides.append(Message(id="Another way was taken."))
            return [Message(id="Measured.")]

    monkeypatch.setitem(checks(), "explanation.global", Check())
    ctx: Any = Context("explanation.global", *[None] * 5, {})  # type: ignore[arg-type]
    assert render(collect(ctx, {})[1]) == "Measured. Another way was taken."
