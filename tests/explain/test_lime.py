"""Local linear surrogates: exact where the answers are linear, with a fit that says where they are not."""

import numpy as np
import pytest

from audit.explain.lime import REPEATS, lime

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_linear_game_is_its_own_surrogate() -> None:
    a = np.array([3.0, -1, 0, 2])
    found = lime([lambda z: (0.5 + z @ a)[:, None]], 4, 1, variants=200, rng=np.random.default_rng(0))
    assert found.values[0, :, 0] == pytest.approx(a)
    assert found.base[0, 0] == pytest.approx(0.5)
    assert found.fit[0, 0] == pytest.approx(1)
    assert found.error == pytest.approx(0, abs=1e-9)


def test_what_is_not_linear_fits_less_and_spreads() -> None:
    plain, wild = lambda z: z @ np.ones((6, 1)), lambda z: (np.prod(2 * z - 1, axis=1) + z[:, 0])[:, None]
    found = lime([plain, wild], 6, 1, variants=300, rng=np.random.default_rng(0))
    assert found.fit[1, 0] < 0.5 < found.fit[0, 0]
    assert found.error[1].max() > 10 * found.error[0].max()


def test_the_same_stream_gives_the_same_numbers() -> None:
    wild = lambda z: (np.prod(2 * z - 1, axis=1) + z[:, 0])[:, None]  # noqa: E731
    one, two = (lime([wild], 6, 1, variants=150, rng=np.random.default_rng(3)).values for _ in range(2))
    assert np.array_equal(one, two)


def test_too_few_variants_and_undefined_answers_give_no_values() -> None:
    play = lambda z: np.where(z[:, :1], np.nan, 1.0)  # noqa: E731
    assert np.isnan(lime([lambda z: z[:, :1] * 1.0], 4, 1, variants=REPEATS * 9, rng=np.random.default_rng(0)).values).all()
    assert np.isnan(lime([play], 4, 1, variants=REPEATS * 10, rng=np.random.default_rng(0)).values).all()


def test_it_is_captums() -> None:
    """The same variants through Captum's own weighted regression."""
    import torch
    from captum._utils.models.linear_model import SkLearnLinearRegression
    from captum.attr import Lime
    from captum.attr._core.lime import get_exp_kernel_similarity_function

    wild = lambda z: (np.prod(2 * z - 1, axis=1) + z @ np.arange(5.0))[:, None]  # noqa: E731
    found = lime([wild], 5, 1, variants=REPEATS * 60, rng=np.random.default_rng(1))
    seeds, theirs = np.random.default_rng(1), []
    for _ in range(REPEATS):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(seeds.integers(1 << 62)))
            near = get_exp_kernel_similarity_function("euclidean", kernel_width=0.75 * 5**0.5)
            captum = Lime(lambda m: torch.from_numpy(wild(m.numpy() > 0.5)[:, 0]), SkLearnLinearRegression(), near)
            theirs.append(captum.attribute(torch.ones(1, 5), baselines=torch.zeros(1, 5), n_samples=60, perturbations_per_eval=60).numpy())
    assert found.values[0, :, 0] == pytest.approx(np.mean(theirs, axis=0)[0], abs=1e-5)
