"""Shapley values against games whose values are known, and against shap; errors and the stopping rule against what they promise."""

import itertools
import math

import numpy as np
import pytest

from audit.explain.coalitions import KernelPairs, LeveragePairs, everything
from audit.explain.parts import Columns, game
from audit.explain.shapley import Shapley, exact, first, sampled, unsettled

SAMPLERS = ("kernel_shap", "leverage_shap")


def draw(games, d, sampler, coalitions, seed=0, precision=0.01) -> Shapley:
    return sampled(
        [[play] for play in games], d, sampler=sampler, coalitions=coalitions, rng=np.random.default_rng(seed), precision=precision
    )


def net(seed: int, d: int):
    """A random game with interactions of every order."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(d, 24)) * 1.5 / d**0.5, rng.normal(size=24) / 2, rng.normal(size=24) / 24**0.5
    return lambda z: (np.maximum((2 * z - 0.5) @ a + b, 0) @ c)[:, None]


def slow(play, d):
    """Shapley's formula, one player and coalition at a time."""
    values = np.zeros(d)
    for j in range(d):
        others = [i for i in range(d) if i != j]
        for size in range(d):
            for chosen in itertools.combinations(others, size):
                z = np.zeros((2, d), dtype=bool)
                z[:, list(chosen)] = True
                z[1, j] = True
                found = play(z)[:, 0]
                values[j] += (found[1] - found[0]) / (d * math.comb(d - 1, size))
    return values


def test_glove_game() -> None:
    # min(x1 + x2, x3): the owner of the scarce glove gets 2/3 (Shapley 1953).
    found = exact([lambda z: np.minimum(z[:, 0].astype(float) + z[:, 1], z[:, 2])[:, None]], 3)
    assert found.values[0, :, 0] == pytest.approx([1 / 6, 1 / 6, 2 / 3], abs=1e-12)
    assert found.error is None


def test_weighted_vote() -> None:
    # 51 votes decide; 50, 49 and 1: the two small ones are worth the same (Shapley and Shubik 1954).
    found = exact([lambda z: (z @ np.array([50, 49, 1]) >= 51).astype(float)[:, None]], 3)
    assert found.values[0, :, 0] == pytest.approx([2 / 3, 1 / 6, 1 / 6], abs=1e-12)


def test_a_product_is_shared_equally() -> None:
    # f = x1·x2 at (2, 3) against (0, 0): by symmetry each gets half of 6.
    parts = Columns({"a": np.array([2.0]), "b": np.array([3.0])}, {"a": np.zeros(1), "b": np.zeros(1)})
    found = exact([game(lambda f: (f["a"] * f["b"])[:, None], parts, 0)], 2)
    assert found.values[0, :, 0] == pytest.approx([3, 3])
    assert found.base == pytest.approx([0])


def test_the_formula_one_coalition_at_a_time() -> None:
    play = net(4, 6)
    assert exact([play], 6).values[0, :, 0] == pytest.approx(slow(play, 6), abs=1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("coalitions", [40, 100, 256])
def test_interactions_of_two_are_exact_at_any_full_rank_budget(sampler: str, coalitions: int) -> None:
    rng = np.random.default_rng(1)
    d, a, b = 8, rng.normal(size=8), np.triu(rng.normal(size=(8, 8)), 1)
    play = lambda z: (2 + z @ a + np.einsum("ni,ij,nj->n", z * 1.0, b, z * 1.0))[:, None]  # noqa: E731
    found = draw([play], d, sampler, coalitions, seed=coalitions)
    assert np.abs(found.values[0, :, 0] - (a + (b.sum(axis=0) + b.sum(axis=1)) / 2)).max() <= 1e-10
    assert found.error is not None
    assert found.error.max() <= 1e-10


@pytest.mark.parametrize("d", [7, 8])
def test_all_coalitions_by_regression_are_the_formula(d: int) -> None:
    games = [net(s, d) for s in range(3)]
    found = draw(games, d, "leverage_shap", 2**d + 2, precision=0)
    assert found.values == pytest.approx(exact(games, d).values, abs=1e-12)
    assert found.error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_values_add_up_for_every_game_and_output(sampler: str) -> None:
    games = [lambda z, s=s: np.concatenate([net(s, 13)(z), net(s + 9, 13)(z)], axis=1) for s in range(2)]
    found = draw(games, 13, sampler, 300)
    full = np.stack([play(np.ones((1, 13), bool))[0] for play in games])
    assert found.values.sum(axis=1) + found.base == pytest.approx(full, abs=1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_errors_cover(sampler: str) -> None:
    """95 % intervals over 60 games that share no draw, and over games that do."""
    d, apart, own = 13, [], []
    for seed in range(30):
        games = [net(seed, d), net(seed + 100, d)]
        truth = exact(games, d).values
        found = draw(games, d, sampler, 16 * d, seed, precision=0)
        assert found.error is not None
        apart.append(np.abs(found.values - truth) <= 1.96 * found.error)
        own.append(((found.values - truth) ** 2).sum() / (truth**2).sum())
    assert 0.92 <= np.mean(apart) <= 0.995
    assert np.median(own) < 0.03  # methods: about .016 for paired Kernel SHAP at 8 coalitions a part


def test_leverage_has_less_error_than_kernel_at_the_same_number_of_coalitions() -> None:
    d, miss = 13, {}
    for sampler in SAMPLERS:
        found = [(draw([net(s, d)], d, sampler, 32 * d, s, precision=0).values, exact([net(s, d)], d).values) for s in range(25)]
        miss[sampler] = np.median([((v - t) ** 2).sum() / (t**2).sum() for v, t in found])
    assert miss["leverage_shap"] < miss["kernel_shap"]


@pytest.mark.parametrize(("sampler", "at_8", "at_32"), [("kernel_shap", 0.016, 0.0032), ("leverage_shap", 0.012, 0.0020)])
def test_errors_on_nets_of_twelve_inputs_are_no_larger_than_published(sampler: str, at_8: float, at_32: float) -> None:
    """Median of squared error over squared values on 40 random nets at 8 and at 32 coalitions a part, a quarter more allowed for other nets."""
    for m, published in ((8, at_8), (32, at_32)):
        found = [(draw([net(s, 12)], 12, sampler, m * 12, s, precision=0).values, exact([net(s, 12)], 12).values) for s in range(40)]
        assert np.median([((v - t) ** 2).sum() / (t**2).sum() for v, t in found]) <= 1.25 * published


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_too_few_coalitions_never_count_as_settled(sampler: str) -> None:
    # 25 coalitions for 50 parts: fewer pairs than unknowns, so nothing can be said of the error.
    found = draw([net(0, 50)], 50, sampler, 25)
    assert found.error is not None
    assert not (unsettled(found.values, found.error) <= 0.05).any()


def test_the_draw_stops_where_values_have_settled_and_leaves_the_rest_to_others() -> None:
    d = 20
    easy = lambda z: (z @ np.arange(1.0, d + 1))[:, None]  # noqa: E731
    found = draw([easy, net(1, d)], d, "leverage_shap", 64 * d, precision=1e-3)
    assert found.asked[0] <= 2 * first(d) + 2 * d
    assert found.asked[1] > 64 * d
    assert found.asked.sum() <= 2 * 64 * d + 4 * d


def test_a_game_with_an_undefined_answer_is_given_up_and_others_are_not() -> None:
    broken = lambda z: np.where(z[:, :1] & ~z[:, 1:2], np.nan, z.sum(axis=1, keepdims=True))  # noqa: E731
    found = draw([broken, net(2, 14)], 14, "leverage_shap", 500)
    assert np.isnan(found.values[0]).all()
    assert found.asked[0] < found.asked[1]  # what is left of its share goes to the other
    assert found.values[1] == pytest.approx(exact([net(2, 14)], 14).values[0], abs=0.05)


def test_a_mean_of_games_is_solved_game_by_game_with_errors_that_cover() -> None:
    """The mean of five games, weighted: as exact as its parts, and less uncertain than by one draw for the mean at the same cost."""
    d, shares, covered, parted, whole = 13, [3, 2, 2, 2, 1], [], [], []
    weight = np.array(shares) / 10
    for seed in range(12):
        five = [net(seed, d), *(lambda z, s=s, seed=seed: net(seed, d)(z) + net(100 * seed + s, d)(z) / 3 for s in range(4))]
        mean = lambda z, five=five: sum(w * play(z) for w, play in zip(weight, five, strict=True))  # noqa: E731
        truth = exact([mean], d).values
        found = sampled([five], d, sampler="leverage_shap", coalitions=200, rng=np.random.default_rng(seed), shares=shares, precision=0)
        one = draw([mean], d, "leverage_shap", 200, seed, precision=0)
        assert found.error is not None
        covered.append(np.abs(found.values - truth) <= 1.96 * found.error)
        parted.append(((found.values - truth) ** 2).sum())
        whole.append(((one.values - truth) ** 2).sum())
        assert found.asked == one.asked
        assert found.values.sum(axis=1) + found.base == pytest.approx(mean(np.ones((1, d), bool)), abs=1e-12)
    assert 0.9 <= np.mean(covered) <= 1
    assert np.median(parted) < np.median(whole) / 2


def test_different_coalitions_and_their_weights() -> None:
    """All 126 + 1 pairs of 8 parts, each once; with all of them the weights are Kernel SHAP's own."""
    pairs = LeveragePairs(8, np.random.default_rng(0))
    masks = np.concatenate([pairs.grow(30), pairs.grow(60), pairs.grow(1000)])
    both = np.concatenate([masks, ~masks])
    assert len({row.tobytes() for row in both}) == len(both) == 2**8 - 2
    weight, chance = pairs.weights()
    size = masks.sum(axis=1)
    kernel = 2 * np.array([1 / (math.comb(8, s) * s * (8 - s)) for s in size])
    assert weight == pytest.approx(kernel)
    assert not chance.any()


def test_large_sizes_are_drawn_without_listing_them() -> None:
    pairs = LeveragePairs(40, np.random.default_rng(0))
    masks = np.concatenate([pairs.grow(500), pairs.grow(1000)])
    assert len({row.tobytes() for row in masks}) == len(masks)
    sizes, counts = np.unique(masks.sum(axis=1), return_counts=True)
    assert sizes.tolist() == list(range(1, 21))
    assert counts[0] == 40  # all of size 1; what they leave goes to the others
    assert np.ptp(counts[1:-1]) <= 1


def test_kernel_sizes_are_drawn_as_kernel_shap_weighs_them() -> None:
    sizes = KernelPairs(5, np.random.default_rng(0)).grow(20_000).sum(axis=1)
    assert np.bincount(sizes)[1:] / 20_000 == pytest.approx(np.array([0.3, 0.2, 0.2, 0.3]), abs=0.01)


def test_numbers_of_coalitions_are_their_bits() -> None:
    assert everything(2).tolist() == [[False, False], [True, False], [False, True], [True, True]]


@pytest.mark.filterwarnings("ignore")
def test_they_agree_with_shap() -> None:
    import shap

    rng = np.random.default_rng(3)
    f = lambda a: 1 / (1 + np.exp(-(a[:, 0] * a[:, 1] - a[:, 2] + a[:, 3] ** 2)))  # noqa: E731
    x, background = rng.normal(size=(6, 4)), rng.normal(size=(20, 4))
    parts = Columns({str(j): c for j, c in enumerate(x.T)}, {str(j): c for j, c in enumerate(background.T)})
    answers = lambda frame: f(np.stack(list(frame.values()), axis=1))[:, None]  # noqa: E731
    found = exact([game(answers, parts, i) for i in range(6)], 4)
    reference = shap.KernelExplainer(f, background).shap_values(x, l1_reg=False, silent=True)
    assert found.values[:, :, 0] == pytest.approx(reference, abs=1e-8)


@pytest.mark.parametrize(("d", "m", "published"), [(12, 32, 2e-4), (12, 128, 2.1e-5), (8, 16, 9e-5)])
def test_leverage_on_boosted_trees(d: int, m: int, published: float) -> None:
    """SHAP-03: median of squared error over squared values on XGBoost's trees at m coalitions a part, as published for sets of 12 and of 8 columns."""
    import xgboost

    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, d))
    y = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + x[:, 3] + 0.5 * x[:, 4] * (x[:, 5] > 0) + rng.normal(size=3000) / 2
    model = xgboost.XGBRegressor(n_estimators=40, max_depth=4, n_jobs=1).fit(x, y)
    parts = Columns({str(j): c for j, c in enumerate(x[:25].T)}, {str(j): c for j, c in enumerate(x[25:26].T)})
    answers = lambda frame: model.predict(np.stack(list(frame.values()), axis=1)).astype(float)[:, None]  # noqa: E731
    games = [game(answers, parts, i) for i in range(25)]
    truth = exact(games, d).values
    found = draw(games, d, "leverage_shap", m * d, precision=0).values
    miss = ((found - truth) ** 2).sum(axis=(1, 2)) / (truth**2).sum(axis=(1, 2))
    assert np.median(miss) <= 2 * published
