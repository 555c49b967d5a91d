"""Attributions of nets: values worked by hand, and those of Captum."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LRP, DeepLiftShap, GradientShap, IntegratedGradients, LayerGradCam, LayerIntegratedGradients
from torch import nn

from audit.subject.flavors import layers
from audit.subject.flavors.base import ContractError
from audit.subject.flavors.gradients import Attributed, Net, gradient_shap, integrated_gradients
from audit.subject.flavors.rescale import deep_shap, uncovered
from audit.subject.words import pieces, spans
from models.nets import deepfm, tabular, text_encoder, widedeep

Module: Any = nn.Module  # torch is Any to mypy: see pyproject


class Function(Module):
    """A net that is a formula."""

    def __init__(self, formula: Any) -> None:
        super().__init__()
        self.formula = formula

    def forward(self, x: Any) -> Any:
        return self.formula(x)


def net(module: Any, codes: list[list[int]] | None = None) -> Net:
    return Net(module.eval(), codes or [[]])


def targets(n: int, output: int = 0) -> Any:
    return torch.full((n,), output)


def against(reference: Any, x: Any) -> list[Any]:
    return [reference.expand_as(x)]


def gaps(found: Attributed) -> Any:
    return np.abs(found.values.sum(axis=1) + found.base - found.explained)


@pytest.fixture(scope="module")
def mlp() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)).eval()


@pytest.fixture(scope="module")
def cnn() -> Any:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.Sigmoid(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16, 3),
    ).eval()  # fmt: skip


def test_a_product_is_shared_equally() -> None:
    """f = x₁x₂ at (2, 3) from (0, 0): (3, 3) (Sundararajan, Taly and Yan 2017)."""
    x = torch.tensor([[2.0, 3.0]])
    found = integrated_gradients(net(Function(lambda v: v.prod(dim=1, keepdim=True))), [x], [[torch.zeros_like(x)]], targets(1))
    assert found.values == pytest.approx(np.array([[3.0, 3.0]]), abs=1e-5)
    assert (found.base, found.explained) == (pytest.approx([0.0]), pytest.approx([6.0]))


def test_integrated_gradients_are_those_of_captum(cnn: Any) -> None:
    x, start = torch.randn(5, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    found = integrated_gradients(net(cnn), [x], [against(start, x)], targets(5, 1), steps=64, max_steps=64)
    theirs = IntegratedGradients(cnn).attribute(x, start.expand_as(x), target=1, n_steps=64, method="riemann_middle")
    assert np.allclose(found.values, theirs.detach().reshape(5, -1).numpy(), atol=1e-4)


def test_lines_that_are_walked_as_finely_as_they_bend_give_what_captum_gives_with_many_steps(mlp: Any) -> None:
    x, start = torch.randn(5, 6), torch.randn(1, 6)
    found = integrated_gradients(net(mlp), [x], [against(start, x)], targets(5, 1))
    theirs = IntegratedGradients(mlp).attribute(x, start.expand_as(x), target=1, n_steps=5000, method="riemann_middle")
    moved = np.abs(found.explained - found.base)[:, None]
    assert (np.abs(found.values - theirs.detach().numpy()) <= 0.003 * moved).all()


def test_steps_double_until_the_sums_are_right(mlp: Any) -> None:
    torch.manual_seed(2)
    x, start = 3 * torch.randn(200, 6), torch.zeros(1, 6)
    few = integrated_gradients(net(mlp), [x], [against(start, x)], targets(200), steps=4, max_steps=4)
    found = integrated_gradients(net(mlp), [x], [against(start, x)], targets(200), steps=4)
    miss = gaps(found) / np.abs(found.explained - found.base)
    assert np.median(gaps(few) / np.abs(few.explained - few.base)) > 0.001
    assert np.median(miss) <= 0.001
    assert np.quantile(miss, 0.95) <= 0.011


def test_what_is_missing_is_held() -> None:
    x = torch.tensor([[2.0, float("nan")], [1.0, 1.0]])
    module = Function(lambda v: (torch.nan_to_num(v, nan=10.0) * torch.tensor([1.0, 2.0])).sum(dim=1, keepdim=True))
    found = integrated_gradients(net(module), [x], [[torch.tensor([[0.0, 0.0], [0.0, float("nan")]])]], targets(2))
    assert found.values == pytest.approx(np.array([[2.0, 0.0], [1.0, 0.0]]), abs=1e-5)
    assert found.base == pytest.approx([20.0, 2.0])


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_deep_shap_has_the_values_of_captum(kind: str, mlp: Any) -> None:
    """Rows that are background rows too: no difference, so the slope is the derivative."""
    torch.manual_seed(3)
    pooled = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    module = mlp if kind == "mlp" else pooled.eval()
    shape = (6,) if kind == "mlp" else (1, 8, 8)
    background = torch.randn(7, *shape)
    x = torch.cat([torch.randn(30, *shape), background[:2]])
    found = deep_shap(net(module), x, background, targets(32, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = DeepLiftShap(module).attribute(x, background, target=2).detach().reshape(32, -1).numpy()
    assert np.abs(found.values - theirs).max() < 1e-5
    assert gaps(found).max() < 1e-5
    assert found.base == pytest.approx([module(background)[:, 2].mean().item()] * 32, abs=1e-5)


def test_pooling_right_after_a_bend_is_complete(cnn: Any) -> None:
    """Captum 0.9 misses completeness there by several times the largest contribution; shap's DeepExplainer does not, and agrees."""
    torch.manual_seed(3)
    x, background = torch.randn(10, 1, 8, 8), torch.randn(5, 1, 8, 8)
    found = deep_shap(net(cnn), x, background, targets(10, 2))
    assert gaps(found).max() < 1e-5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

        theirs = shap.DeepExplainer(cnn, background).shap_values(x, check_additivity=False)[..., 2].reshape(10, -1)
    assert np.abs(found.values - theirs).max() < 1e-5


def test_the_rule_starts_behind_scaling_and_one_hot() -> None:
    """Scaling through asinh and one-hot codes bend without being layers; contributions of raw columns are complete all the same."""
    columns = [
        {"name": "a", "kind": "number"},
        {"name": "b", "kind": "category", "vocabulary": ["u", "v", "w"]},
        {"name": "c", "kind": "number"},
    ]
    config = {"columns": columns, "classes": 2, "network": {"hidden": [8], "bins": 4}}
    torch.manual_seed(4)
    module = tabular.build(config)
    x = torch.stack([10 * torch.randn(40), torch.randint(-1, 3, (40,)).float(), torch.rand(40)], dim=1)
    module.fit(x)
    x[0, 0] = float("nan")
    found = deep_shap(net(module), x[:20], x[20:], targets(20, 1))
    assert found.values.shape == (20, 3)
    assert gaps(found).max() < 1e-5
    assert np.abs(found.values).min(axis=0).max() < np.abs(found.values).max()


def test_what_the_rule_does_not_cover_is_said() -> None:
    module = nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 1)).eval()
    assert uncovered(module) == ["LayerNorm"]
    with pytest.raises(ContractError, match="does not cover LayerNorm"):
        deep_shap(net(module), torch.ones(1, 2), torch.zeros(1, 2), targets(1))


def test_gradient_shap_agrees_with_captum_on_average(mlp: Any) -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # Captum draws by NumPy's global generator
    x, background = torch.randn(3, 6), torch.randn(4, 6)
    starts = [against(background[i : i + 1], x) for i in range(4)]
    found = gradient_shap(net(mlp), [x], starts, targets(3), draws=1000, seed=1)
    theirs = GradientShap(mlp).attribute(x, background, target=0, n_samples=1000, stdevs=0.0).detach().numpy()
    assert np.abs(found.values - theirs).max() < 0.05
    assert gaps(found).max() < 0.05
    again = gradient_shap(net(mlp), [x], starts, targets(3), draws=1000, seed=1)
    assert np.array_equal(found.values, again.values)


def test_gradient_shap_adds_up_where_free_draws_do_not() -> None:
    """At 100 draws against 20 references, as explanation.ways has it: less than half of what free draws miss, each as the median of 20 seeds, and right on average."""
    torch.manual_seed(8)
    module = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2)).eval()
    for layer in module:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.6)
    x, background = torch.randn(20, 6), torch.randn(20, 6)
    starts = [against(background[i : i + 1], x) for i in range(20)]

    def gap(found: Attributed) -> float:
        moved = np.abs(found.explained - found.base)
        return float(np.quantile(gaps(found) / np.maximum(moved, 0.05 * np.median(moved)), 0.95))

    def free() -> Any:
        return GradientShap(module).attribute(x, background, target=0, n_samples=100, stdevs=0.0).detach().numpy()

    np.random.seed(0)  # Captum draws by NumPy's global generator
    found = [gradient_shap(net(module), [x], starts, targets(20), draws=100, seed=seed) for seed in range(20)]
    assert np.median([gap(one) for one in found]) < np.median([gap(one._replace(values=free())) for one in found]) / 2
    exact = gradient_shap(net(module), [x], starts, targets(20), draws=20_000, seed=2).values
    uneven = np.mean([gradient_shap(net(module), [x], starts, targets(20), draws=30, seed=s).values for s in range(60)], axis=0)
    assert np.abs(uneven - exact).max() < 0.15 * np.abs(exact).max()
    assert np.abs(uneven - exact).mean() < 0.02 * np.abs(exact).max()


FIELDS = [
    {"name": "user", "kind": "category", "vocabulary": [str(i) for i in range(200)]},
    {"name": "item", "kind": "category", "vocabulary": [str(i) for i in range(300)]},
    {"name": "age", "kind": "number"},
]


@pytest.mark.parametrize(("build", "more"), [(deepfm.build, {}), (widedeep.build, {"crosses": [["user", "item"]]})])
def test_users_and_items_are_looked_up(build: Any, more: dict[str, Any]) -> None:
    """The line leads from vector to vector: complete from one user and item to another, which no path over 300 codes is."""
    torch.manual_seed(6)
    module = build({"columns": FIELDS, "classes": 2, "network": {"embedding": 4, "hidden": [8], **more}})
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.stack([torch.randint(200, (30,)).float(), torch.randint(300, (30,)).float(), torch.rand(30)], dim=1)
    module.fit(x)
    start = torch.tensor([[3.0, 250.0, 0.5]])
    one = net(module, [[0, 1]])
    found = integrated_gradients(one, [x], [against(start, x)], targets(30, 1))
    with torch.no_grad():
        assert found.base == pytest.approx(module(start)[0, 1].item(), abs=1e-5)
    moved = np.abs(found.explained - found.base)
    assert np.quantile(gaps(found) / np.maximum(moved, 0.05 * np.median(moved)), 0.95) < 0.011
    same = torch.tensor([[3.0, 7.0, 0.5]])
    assert integrated_gradients(one, [same], [[start]], targets(1, 1)).values[0, [0, 2]] == pytest.approx([0.0, 0.0], abs=1e-6)


def test_tokens_are_those_of_captums_layer() -> None:
    torch.manual_seed(7)
    module = text_encoder.build(
        {"columns": [{"length": 6}], "vocabulary": 20, "classes": 2, "network": {"width": 8, "layers": 1, "heads": 2, "inner": 8}}
    ).eval()
    tokens = torch.tensor([[2, 5, 6, 3, 0, 0], [2, 9, 4, 7, 8, 3]])
    start = tokens.clone()
    start[:, 1:-1][start[:, 1:-1] > 3] = 0
    found = integrated_gradients(net(module), [tokens], [[start]], targets(2, 1), steps=128, max_steps=128)
    theirs = LayerIntegratedGradients(module, module.embeddings.words).attribute(
        tokens, start, target=1, n_steps=128, method="riemann_middle"
    )
    own = theirs.sum(dim=2).detach().numpy()
    assert np.abs(found.values[tokens.numpy() == 3]).max() == 0  # what stays is no part of the line
    assert np.abs(found.values[:, 1:3] - own[:, 1:3]).max() < 1e-3
    assert gaps(found).max() < 0.01


def test_a_bag_of_words_gives_each_its_weight() -> None:
    """A model whose score is w · 1[token present]: the word's attribution is w (methods.md, FM-01)."""

    class Bag(Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5, 1, padding_idx=0)

        def forward(self, tokens: Any) -> Any:
            return self.table(tokens).sum(dim=1)

    module = Bag()
    module.table.weight.data[:, 0] = torch.tensor([0.0, 0.5, -2.0, 3.0, 0.0])
    found = integrated_gradients(net(module), [torch.tensor([[3, 1, 2, 4, 0]])], [[torch.zeros(1, 5, dtype=torch.long)]], targets(1))
    assert found.values == pytest.approx(np.array([[3.0, 0.5, -2.0, 0.0, 0.0]]), abs=1e-6)


def test_grad_cam_by_hand() -> None:
    """One filter that doubles each pixel, then the mean: slope ¼ everywhere, so the map is ½ · relu(x)."""
    module = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    module[0].weight.data.fill_(2.0)
    x = torch.tensor([[[[1.0, -2.0], [3.0, 4.0]]]])
    found = layers.attribute("grad_cam", net(module), x, targets(1))
    assert found.values == pytest.approx(np.array([[0.5, 0.0, 1.5, 2.0]]))
    theirs = LayerGradCam(module, module[0]).attribute(x, target=0, relu_attributions=True)
    assert found.values == pytest.approx(theirs.detach().reshape(1, 4).numpy())


def test_lrp_is_captums(mlp: Any, cnn: Any) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    x = torch.randn(5, 3)
    assert [layers.applies("lrp", m) for m in (module, mlp, cnn)] == [True, False, False]
    assert [layers.applies("grad_cam", m) for m in (module, mlp, cnn)] == [False, False, True]
    expected = LRP(module).attribute(x.clone().requires_grad_(), target=1).detach().numpy()
    assert layers.attribute("lrp", net(module), x, targets(5, 1)).values == pytest.approx(expected, abs=1e-6)


def test_steps_have_no_gradient() -> None:
    """A hard step gives zeros, whose sums miss; an arg max gives no gradient at all, which is said."""
    x = torch.tensor([[2.0, 3.0]])
    step = Function(lambda v: ((v > 1).float() + 0 * v).sum(dim=1, keepdim=True))
    found = integrated_gradients(net(step), [x], [[torch.zeros_like(x)]], targets(1))
    assert found.values.tolist() == [[0.0, 0.0]]
    assert gaps(found).tolist() == [2.0]
    with pytest.raises(ContractError, match="no gradient"):
        integrated_gradients(net(Function(lambda v: v.argmax(dim=1, keepdim=True).float())), [x], [[torch.zeros_like(x)]], targets(1))


def test_each_rows_greatest_output(mlp: Any) -> None:
    x = torch.randn(20, 6)
    assert net(mlp).targets([x], -1).tolist() == mlp(x).argmax(dim=1).tolist()
    assert net(mlp).targets([x], 2).tolist() == [2] * 20
    one = nn.Linear(6, 1).eval()  # one score, of whichever class
    assert net(one).targets([x], 1).tolist() == [0] * 20


@pytest.mark.parametrize(
    ("text", "parts"), [("", []), ("  ", []), ("a", ["a"]), (" so  good!\n", [" so  ", "good", "!\n"]), ("很好 ok", ["很", "好 ", "ok"])]
)
def test_words(text: str, parts: list[str]) -> None:
    assert pieces(text) == parts
    assert "".join(pieces(text)) == (text if parts else "")
    assert len(spans(text)) == len(parts)
