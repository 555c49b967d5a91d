"""Models that learned nothing: what changes, what stays, and that the model is itself again afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from audit.explain.gates.randomised import RandomFunction
from audit.subject.flavors import trees
from audit.subject.flavors.redrawn import redrawn
from audit.subject.frame import Categories


class Scaled(torch.nn.Module):
    """A layer with a weight of its own, whole numbers and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor([2.0, 3.0]))
        self.lone = torch.nn.Parameter(torch.tensor([1.0, 5.0]))
        self.whole = torch.nn.Parameter(torch.arange(20, dtype=torch.int8), requires_grad=False)
        self.layer = torch.nn.Linear(2, 4)

    def forward(self, x: Any) -> Any:
        return self.layer(x * self.scale * self.lone)


def test_weights_are_drawn_again_and_put_back() -> None:
    net = Scaled().eval()
    x, before = torch.ones(3, 2), {k: v.clone() for k, v in net.state_dict().items()}
    answer, stream = net(x), torch.random.get_rng_state()
    seen = []
    for seed in (1, 1, 2):
        with redrawn(net, seed):
            seen.append(net(x).detach().clone())
            assert torch.equal(net.scale, before["scale"])
            assert not torch.equal(net.lone, before["lone"])
            assert not torch.equal(net.whole, before["whole"])
            assert sorted(net.whole.tolist()) == list(range(20))
    assert torch.equal(seen[0], seen[1])
    assert not torch.allclose(seen[0], seen[2])
    assert torch.equal(net(x), answer)
    assert torch.equal(torch.random.get_rng_state(), stream)
    with pytest.raises(ValueError, match="stop"), redrawn(net, 3):
        raise ValueError("stop")
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_an_estimator_fitted_to_shuffled_answers_keeps_its_kind_and_its_classes() -> None:
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier

    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    classifier = RandomForestClassifier(n_estimators=5, random_state=0).fit(x, np.where(x[:, 0] > 1.5, "rare", "common"))
    fresh = trees.refitted(classifier, x[:30], 7)
    assert type(fresh) is RandomForestClassifier
    assert list(fresh.classes_) == list(classifier.classes_)
    assert fresh is not classifier
    regressor = GradientBoostingRegressor(n_estimators=50, max_depth=2, random_state=0).fit(x, x[:, 0])
    fresh = trees.refitted(regressor, x, 7)
    assert regressor.feature_importances_[0] > 0.95 > fresh.feature_importances_[0]


def test_a_random_function_reads_words_by_what_they_say() -> None:
    one = {"x": np.array([1.0, np.nan, 3.0]), "c": Categories(np.array([0, 1, -1], np.int32), ("a", "b")), "k": np.array([4, 4, 4])}
    other = {**one, "c": Categories(np.array([1, 2, -1], np.int32), ("z", "a", "b"))}
    f = RandomFunction(one, 2, 3)
    assert np.array_equal(f(one), f(other))
    assert f(one).shape == (3, 2)
    assert ((f(one) > 0) & (f(one) < 1)).all()
    assert not np.allclose(f(one), RandomFunction(one, 2, 4)(one))
