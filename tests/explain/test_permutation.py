"""Permutation SHAP against games whose Shapley values are known, and against shap."""

import numpy as np
import pytest

from audit.explain.parts import Columns, game
from audit.explain.permutation import permutation_shap


def explain(f, x, background, permutations=1, seed=0):
    """Values (n, d, k) and base (k,) of a function of matrices."""
    x, background = np.atleast_2d(x).astype(float), np.atleast_2d(background).astype(float)
    parts = Columns({str(j): c for j, c in enumerate(x.T)}, {str(j): c for j, c in enumerate(background.T)})
    rng = np.random.default_rng(seed)
    answers = lambda frame: f(np.stack(list(frame.values()), axis=1))  # noqa: E731
    found = [permutation_shap(game(answers, parts, i), x.shape[1], permutations=permutations, rng=rng) for i in range(len(x))]
    return np.stack([v for v, _ in found]), found[0][1]


def test_a_product_is_shared_equally() -> None:
    # f = x1·x2 at (2, 3) against (0, 0): by symmetry each gets half of 6.
    values, base = explain(lambda a: a[:, :1] * a[:, 1:2], [2, 3], [0, 0])
    assert values[0, :, 0] == pytest.approx([3, 3])
    assert base == pytest.approx([0])


def test_one_pair_of_orders_is_exact_for_two_way_interactions() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=8), np.triu(rng.normal(size=(8, 8)), 1)
    game = lambda z: (z @ a + np.einsum("ni,ij,nj->n", z, b, z))[:, None]  # noqa: E731
    values, _ = explain(game, np.ones(8), np.zeros(8))
    assert values[0, :, 0] == pytest.approx(a + (b.sum(axis=0) + b.sum(axis=1)) / 2, abs=1e-12)


def test_glove_game() -> None:
    # min(x1 + x2, x3): the owner of the scarce glove gets 2/3 (methods known since Shapley 1953).
    values, _ = explain(lambda z: np.minimum(z[:, 0] + z[:, 1], z[:, 2])[:, None], [1, 1, 1], [0, 0, 0], permutations=4000)
    assert values[0, :, 0] == pytest.approx([1 / 6, 1 / 6, 2 / 3], abs=0.02)


def test_values_add_up_for_every_output() -> None:
    rng = np.random.default_rng(2)
    f = lambda z: np.stack([np.tanh(z.sum(axis=1)), np.exp(-(z**2).sum(axis=1))], axis=1)  # noqa: E731
    x, background = rng.normal(size=(5, 4)), rng.normal(size=(7, 4))
    values, base = explain(f, x, background, permutations=3)
    assert values.sum(axis=1) + base == pytest.approx(f(x), abs=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_it_agrees_with_shap() -> None:
    import shap

    rng = np.random.default_rng(3)
    f = lambda z: 1 / (1 + np.exp(-(z[:, 0] * z[:, 1] - z[:, 2] + z[:, 3] ** 2)))  # noqa: E731
    x, background = rng.normal(size=(6, 4)), rng.normal(size=(20, 4))
    values, base = explain(lambda z: f(z)[:, None], x, background, permutations=400)
    exact = shap.explainers.Exact(f, shap.maskers.Independent(background, max_samples=20))(x)
    assert values[:, :, 0] == pytest.approx(exact.values, abs=0.01)
    assert base == pytest.approx(exact.base_values[:1], abs=1e-12)
