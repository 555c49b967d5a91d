"""Each gate's number against values worked by hand or published."""

import numpy as np
import pytest

from audit.explain.gates import agreement, completeness, deletion, infidelity, measured, randomisation, stability


def additive(weights, x, base=0.0):
    """The game of a linear function at x against `base`."""
    return lambda masks: (np.where(masks, x, base) @ np.asarray(weights, float))[:, None]


def test_a_product_is_complete_when_each_gets_half() -> None:
    # f = x1·x2 at (2, 3) against 0: Integrated Gradients and Shapley values are (3, 3).
    assert completeness.gaps(np.array([6.0]), np.array([6.0]), 0.0) == pytest.approx([0])
    assert completeness.gaps(np.array([5.4]), np.array([6.0]), 0.0) == pytest.approx([0.1])


def test_a_small_move_is_measured_against_the_spread() -> None:
    answer = np.array([0.0, 10.0])  # spread 5, so the floor is 0.05
    assert completeness.gaps(np.array([0.01, 10.0]), answer, 0.0) == pytest.approx([0.2, 0])


def test_rounding_of_a_probability_is_no_miss() -> None:
    p = np.float32(0.999)
    exact, rounded = np.log(0.999 / 0.001), float(np.log(p / (1 - p)))
    assert exact != rounded
    assert completeness.gaps(np.array([exact]), np.array([rounded]), 0.0, log_odds=True) == 0
    assert completeness.gaps(np.array([exact * 1.001]), np.array([rounded]), 0.0, log_odds=True) > 0.0005


def test_infidelity_of_nothing_is_the_local_variance() -> None:
    # f = x1 + 2·x2, noise of spread 0.1: E[(Iᵀw)²] = 0.01·(1 + 4) = 0.05, and no explanation explains none of it.
    rng = np.random.default_rng(0)
    noise, w = rng.normal(0, 0.1, (200_000, 2)), np.array([1.0, 2.0])
    change = noise @ w
    assert infidelity.infidelity(noise @ w, change) == 0
    assert infidelity.infidelity(np.zeros(len(noise)), change) == pytest.approx(0.05, rel=0.01)
    assert infidelity.scale_free(np.zeros(len(noise)), change) == 1
    assert infidelity.scale_free(7 * change, change) == pytest.approx(0, abs=1e-12)
    assert infidelity.scale_free(-change, change) == 1
    assert infidelity.scale_free(change, np.zeros(len(noise))) is None


def test_a_linear_model_is_faithfully_explained_by_its_terms() -> None:
    rng = np.random.default_rng(1)
    w, x, base = rng.normal(size=8), rng.normal(size=8), rng.normal(size=8)
    masks = infidelity.subsets(8, 100, rng)
    change = infidelity.change_of(additive(w, x, base), masks)[:, 0]
    said = infidelity.predicted_by((w * (x - base))[:, None], masks)[:, 0]
    assert infidelity.faithfulness_correlation(said, change) == pytest.approx(1)
    assert infidelity.scale_free(said, change) == pytest.approx(0, abs=1e-12)
    assert infidelity.faithfulness_correlation(np.ones(100), change) is None


def test_subsets_are_neither_empty_nor_full_and_come_with_their_complements() -> None:
    masks = infidelity.subsets(6, 50, np.random.default_rng(2))
    assert set(masks.sum(axis=1)) <= {1, 2, 3, 4, 5}
    assert (masks[:25] == ~masks[25:]).all()


def test_deletion_insertion_and_random_order_of_an_additive_model() -> None:
    play = additive([1, 1, 1, 1], [4, 3, 2, 1])
    order = deletion.order(np.array([4.0, 3, 2, 1]))
    gone, come = (deletion.area(play(deletion.left(order, insertion=i))) / 10 for i in (False, True))
    assert (gone, come) == (pytest.approx([0.375]), pytest.approx([0.625]))
    rng = np.random.default_rng(3)
    for _ in range(5):  # an order and its reverse average to a half, whatever the order
        shuffled = rng.permutation(4)
        assert deletion.areas(play, [shuffled, shuffled[::-1]]).mean() / 10 == pytest.approx(0.5)


def test_many_parts_go_in_twenty_steps() -> None:
    masks = deletion.left(np.arange(50))
    assert len(masks) == 21
    assert masks[0].all()
    assert not masks[-1].any()
    assert set(-np.diff(masks.sum(axis=1))) == {2, 3}


def test_an_explanation_that_is_its_input_does_not_change_with_the_model() -> None:
    x = np.random.default_rng(4).normal(size=(30, 25))
    assert randomisation.similarity(x, x) == pytest.approx(np.ones(30))
    assert randomisation.entropy_rise(x, x) == pytest.approx(np.zeros(30))


def test_gradients_of_two_random_linear_models_are_unalike() -> None:
    rng = np.random.default_rng(5)
    rho = randomisation.similarity(rng.normal(size=(4000, 10)), rng.normal(size=(4000, 10)))
    assert rho.mean() == pytest.approx(np.sqrt(2 / (np.pi * 9)), abs=0.02)  # |N(0, 1/(d − 1))|, near enough for d = 10
    assert randomisation.similarity(np.zeros((1, 5)), rng.normal(size=(1, 5))) == 0
    assert randomisation.similarity(np.zeros((1, 5)), np.ones((1, 5))) == 1


def test_entropy_rises_where_a_peak_is_lost() -> None:
    peaked, even = np.eye(1, 50) + 1e-9, np.linspace(0.01, 1, 50)[None, :]
    assert randomisation.entropy(even) == pytest.approx(np.log(50))
    assert randomisation.entropy_rise(peaked, even) > 0


def test_corrected_overlap() -> None:
    a, b = np.array([[1, 2, 3]]), np.array([[1, 2, 4]])
    assert stability.overlap(a, b) == pytest.approx([0.6667], abs=1e-4)
    assert stability.corrected(stability.overlap(a, b), 3, 10) == pytest.approx([0.5238], abs=1e-4)
    with pytest.raises(ValueError, match="between 1"):
        stability.corrected(0.5, 3, 3)


def test_chance_overlaps_nothing_after_correction() -> None:
    rng = np.random.default_rng(6)
    runs = [rng.normal(size=(4000, 12)) for _ in range(2)]
    assert stability.agreement(runs, 5).mean() == pytest.approx(0, abs=0.02)
    assert stability.agreement([runs[0], runs[0]], 5) == pytest.approx(np.ones(4000))


def test_concordance_is_one_for_the_same_order_and_none_for_its_reverse() -> None:
    up = np.arange(1.0, 6)[None, :]
    assert stability.concordance([up, 10 * up]) == pytest.approx([1])
    assert stability.concordance([up, up[:, ::-1]]) == pytest.approx([0])
    # Kendall and Gibbons 1990: three judges over four items, ranks 1234, 1243, 2134: R = 4, 5, 10, 11; S = 12.25 + 6.25 + 6.25 + 12.25 = 37.
    ranks = [np.array([[1.0, 2, 3, 4]]), np.array([[1.0, 2, 4, 3]]), np.array([[2.0, 1, 3, 4]])]
    assert stability.concordance(ranks) == pytest.approx([12 * 37 / (9 * 60)])


def test_max_sensitivity_of_half_the_squared_norm() -> None:
    # φ = x at (3, 4), every coordinate within 0.02: at most 0.02·√2/5.
    rng = np.random.default_rng(7)
    x = np.array([[3.0, 4.0]])
    found = max(float(stability.moved(x, x + rng.uniform(-0.02, 0.02, (1, 2)))[0]) for _ in range(2000))
    assert 0.005 < found <= 0.0056569
    assert stability.moved(x, x + 0.02) == pytest.approx([0.0056569], abs=1e-7)
    assert stability.moved(np.zeros((1, 2)), x)[0] == np.inf


def test_agreement_of_two_orders() -> None:
    # By size: a b c d against b a d c.
    first, second = np.array([[4.0, 3, 2, 1]]), np.array([[3.0, 4, 1, 2]])
    found = agreement.agreement(first, second, 3)
    assert (found.feature[0], found.rank[0], found.sign[0], found.signed_rank[0]) == pytest.approx((2 / 3, 0, 2 / 3, 0))
    assert found.spearman[0] == pytest.approx(0.6)  # 1 − 6·4/(4·15)
    assert found.pairwise[0] == pytest.approx(4 / 6)
    opposite = agreement.agreement(first, -first, 3)
    assert (opposite.feature[0], opposite.sign[0]) == (1, 0)


def test_likeness_of_ranks_tells_nothing_where_random_models_are_as_alike() -> None:
    ranks = np.full((9, 6), 0.95)[:, 0]
    few = measured.Randomised(similarity=ranks, null=np.full(27, 0.97), entropy_rise=ranks, unchanged=np.full(9, 0.8))
    assert not few.tells
    assert few._replace(unchanged=np.ones(9)).tells  # the input itself is its own explanation over any model
    assert few._replace(null=np.full(27, 0.5)).tells


def test_proportions_are_more_than_ranks() -> None:
    a = np.array([[4.0, 2.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    b = np.array([[40.0, 20.0, 10.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert randomisation.proportional(a, b) == pytest.approx([1, 1])
    assert randomisation.similarity(a, b) == pytest.approx([1, 1])
    assert randomisation.proportional(a[:1], np.array([[1.0, 0.9, 0.8, 0.0]])) == pytest.approx(6.6 / np.sqrt(21 * 2.45))
