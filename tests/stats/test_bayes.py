"""The posterior of a difference: published values, simulation as twin, symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.stats.bayes import beta_difference


def test_published_posterior():
    found = beta_difference(5, 7, 5, 11, level=0.95)
    assert found.probability_above == pytest.approx(0.860, abs=1e-3)
    assert (found.difference.low, found.difference.high) == pytest.approx((-0.197, 0.607), abs=1.5e-3)


@pytest.mark.parametrize(("k1", "n1", "k0", "n0"), [(0, 5, 0, 9), (3, 3, 1, 40), (500, 1000, 450, 1000), (2, 10**6, 3, 10**6)])
def test_simulation_is_the_slow_twin(k1, n1, k0, n0):
    rng = np.random.default_rng(0)
    draws = rng.beta(k1 + 0.5, n1 - k1 + 0.5, 200_000) - rng.beta(k0 + 0.5, n0 - k0 + 0.5, 200_000)
    found = beta_difference(k1, n1, k0, n0, level=0.9)
    assert found.probability_above == pytest.approx(np.mean(draws > 0), abs=5e-3)
    expected = np.quantile(draws, [0.05, 0.95])
    assert (found.difference.low, found.difference.high) == pytest.approx(tuple(expected), abs=0.02 * (expected[1] - expected[0]))


@given(st.integers(1, 50), st.integers(1, 50), st.data())
def test_swapping_turns_it_round(n1, n0, data):
    k1, k0 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n0))
    one, other = beta_difference(k1, n1, k0, n0, level=0.9), beta_difference(k0, n0, k1, n1, level=0.9)
    assert one.probability_above == pytest.approx(1 - other.probability_above, abs=1e-3)
    assert (one.difference.low, one.difference.high) == pytest.approx((-other.difference.high, -other.difference.low), abs=2e-3)


def test_edges():
    assert beta_difference(0, 0, 1, 2, level=0.9) is None
    with pytest.raises(ValueError, match="expected 0 <= k <= n"):
        beta_difference(3, 2, 1, 2, level=0.9)
