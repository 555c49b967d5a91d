"""The fewest parts whose removal changes a decision: sums whose smallest sets are known, beside every set there is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.explain.fewest import Ask, fewest


def yes_above(weights: list[float], cutoff: float = 0.0) -> Ask:
    """A sum of what is there decides yes above the cutoff; it is yes with everything."""

    def ask(masks: Any) -> Any:
        total = masks @ np.array(weights) - cutoff
        return total <= 0, total

    return ask


def by_every_set(ask: Ask, d: int) -> int | None:
    """The size of the smallest set, by trying all of them."""
    for size in range(1, d + 1):
        masks = np.array([[i not in off for i in range(d)] for off in combinations(range(d), size)])
        if ask(masks)[0].any():
            return size
    return None


@pytest.mark.parametrize(
    ("weights", "cutoff", "parts", "proven"),
    [
        ([1, 3, 1, -2], 0, [1], True),  # 3 − 2 = 1 is yes, without the 3 it is not
        ([2, 1, 2, -1], 0.5, [0, 2], True),  # 4 − 3 = 1 at most without one, 0 without both twos
        ([3, 3, 3, 1], 0.5, [0, 1, 2, 3], False),  # nothing may be left
        ([2, 2, 2, 1, 1], 2.5, [0, 1, 2], True),  # 8: 4 without two, 2 without three; every pair was tried
        ([1, 1], -5, [], False),  # even nothing is yes
    ],
)
def test_sets_worked_by_hand(weights: list[float], cutoff: float, parts: list[int], proven: bool) -> None:
    found = fewest(yes_above(weights, cutoff), len(weights))
    assert (found.parts, found.proven) == (parts, proven)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=7), st.integers(-3, 3), st.sampled_from([0, 3, 2048]))
def test_what_is_found_changes_the_decision_and_none_of_it_can_be_put_back(weights: list[int], cutoff: int, budget: int) -> None:
    d, ask = len(weights), yes_above([float(w) for w in weights], cutoff - 0.5)
    found = fewest(ask, d, budget=budget)
    smallest = by_every_set(ask, d)
    assert bool(found.parts) == (smallest is not None), "a sum falls fastest one by one, so what can be found is"
    if not found.parts:
        return
    mask = np.array([i not in found.parts for i in range(d)])
    assert ask(mask[None])[0][0]
    for part in found.parts if len(found.parts) > 1 else []:
        back = mask.copy()
        back[part] = True
        assert not ask(back[None])[0][0]
    assert smallest is not None
    assert len(found.parts) == smallest if found.proven else len(found.parts) >= smallest


def counting(ask: Ask) -> tuple[Ask, list[int]]:
    asked: list[int] = []

    def counted(masks: Any) -> Any:
        asked.append(len(masks))
        return ask(masks)

    return counted, asked


@pytest.mark.parametrize("make", [lambda d: yes_above([1.0] * d, 0.5), lambda d: yes_above([1.0] * d, -1.0)])
def test_the_rows_asked_about_are_bounded_and_counted(make: Callable[[int], Ask]) -> None:
    """Where everything must go, and where nothing helps: pairs and steps cost 2048 each, the last order and putting back a row a part."""
    for d in (10, 64, 128):
        ask, asked = counting(make(d))
        found = fewest(ask, d)
        assert found.asked == sum(asked)
        assert found.asked <= 2 * 2_048 + 3 * d


def test_answers_that_are_none_are_no_change() -> None:
    def ask(masks: Any) -> Any:
        return np.zeros(len(masks), dtype=bool), np.full(len(masks), np.nan)

    assert fewest(ask, 4).parts == []
    assert fewest(ask, 0) == ([], True, 0)
