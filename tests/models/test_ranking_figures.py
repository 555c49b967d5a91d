"""Ranking figures by hand: discounts 1, 1/log2(3) = 0.6309, 1/2 for places one to three."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.ranking import _interval, as_groups, figures, of_list
from models.settings import Ranking

SECOND = 1 / np.log2(3)


def liked(*places: int) -> np.ndarray:
    return np.array(places, dtype=bool)


def test_a_list_by_hand() -> None:
    """Order by score: liked, not, liked, not. Top 2: DCG 1 of an ideal 1 + .6309; one of two found. Top 3: 1.5 of 1.6309; both found."""
    score = np.array([0.2, 0.9, 0.4, 0.7])
    assert of_list(liked(0, 1, 1, 0), score, 2) == pytest.approx((1 / (1 + SECOND), 0.5, 1.0))
    assert of_list(liked(0, 1, 1, 0), score, 3) == pytest.approx((1.5 / (1 + SECOND), 1.0, 1.0))
    assert of_list(liked(1, 0, 0, 0), score, 2) == (0.0, 0.0, 0.0)


def test_a_list_shorter_than_the_top_hides_nothing() -> None:
    assert of_list(liked(1, 0), np.array([0.1, 0.9]), 10) == pytest.approx((SECOND, 1.0, 1.0))
    assert of_list(liked(1), np.array([0.3]), 10) == (1.0, 1.0, 1.0)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.booleans(), min_size=2, max_size=4).filter(any), st.integers(1, 4), st.integers(1, 3))
def test_equal_scores_count_as_the_mean_over_all_orders(likes: list[bool], at: int, levels: int) -> None:
    """The slow twin breaks ties in every way there is."""
    score = np.array([i % levels for i in range(len(likes))], dtype=float)
    orders = [of_list(np.array(likes), score + 1e-3 * np.array(order), at) for order in itertools.permutations(range(len(likes)))]
    assert of_list(np.array(likes), score, at) == pytest.approx(np.mean(orders, axis=0))


def table() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Twelve users of three films each: the men's liked film is ranked first, the women's last; one more user likes nothing."""
    rows = [(u, i, "F" if u < 12 else "M") for u in range(24) for i in range(3)] + [(99, i, "M") for i in range(3)]
    frame = pd.DataFrame(rows, columns=["user", "item", "gender"])
    likes = (frame["item"] == np.where(frame["gender"] == "F", 2, 0)) & (frame["user"] != 99)
    return frame, likes.to_numpy(), -frame["item"].to_numpy(dtype=float)


def test_figures_of_groups_by_hand() -> None:
    found = figures(*table(), Ranking(user="user", item="item", at=2), ["gender"])
    assert (found["ranked_users"], found["ranked_users_left_out"]) == (24, 1)
    assert (found["ndcg_at_2_of_gender_M"], found["ndcg_at_2_of_gender_F"]) == (1, 0)
    assert (found["recall_at_2"], found["hit_rate_at_2"]) == (0.5, 0.5)
    assert found["ndcg_at_2_by_chance"] == pytest.approx((1 + SECOND) / 3)  # the one film is first, second or third
    assert found["recall_at_2_by_chance_of_gender_F"] == pytest.approx(2 / 3)
    assert found["catalogue_coverage_at_2"] == pytest.approx(2 / 3)  # the third film is in no top
    assert found["hit_rate_at_2_low"] == pytest.approx(0.3143, abs=5e-4)  # Wilson, 12 of 24: (.5 + z²/48 - …) / (1 + z²/24)
    assert found["hit_rate_at_2_high"] == pytest.approx(0.6857, abs=5e-4)


def test_rows_in_another_order_give_the_same_figures() -> None:
    rows, likes, score = table()
    order = np.random.default_rng(0).permutation(len(rows))
    ranking = Ranking(user="user", item="item", at=2)
    shuffled = figures(rows.iloc[order].reset_index(drop=True), likes[order], score[order], ranking, ["gender"])
    assert shuffled == pytest.approx(figures(rows, likes, score, ranking, ["gender"]))


def test_a_group_of_nine_users_has_no_figures_of_its_own() -> None:
    rows, likes, score = table()
    few = rows["user"].isin([*range(9), *range(12, 24)]).to_numpy()
    found = figures(rows[few].reset_index(drop=True), likes[few], score[few], Ranking(user="user", item="item", at=2), ["gender"])
    assert "ndcg_at_2_of_gender_M" in found
    assert not [name for name in found if name.endswith("_of_gender_F")]


def test_student_interval_by_hand() -> None:
    """Mean 0.5, deviation 0.1 over 4 users: 0.5 ± 3.1824 · 0.1 / 2."""
    values = 0.5 + 0.1 * np.sqrt(0.75) * np.array([1, 1, -1, -1])
    assert _interval(values, rate=False) == pytest.approx((0.5 - 0.159, 0.5 + 0.159), abs=1e-3)
    assert _interval(np.array([0.4]), rate=False) == (0.0, 1.0)


def test_groups_have_names_that_can_be_logged() -> None:
    assert as_groups(pd.Series(["a&b", None, "c d"])) == ["a_b", None, "c d"]
    assert as_groups(pd.Series([1.0, 2.0, None])) == ["1", "2", None]
