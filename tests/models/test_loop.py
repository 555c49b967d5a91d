"""The loop: what each option does, by hand; a killed training ends as an undisturbed one; two processes step as one."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.checkpoints import Checkpoint
from models.errors import TrainingError
from models.loop import Around, Rows, deterministic, fit
from models.losses import build_loss, weights_of
from models.nets.tabular import build
from models.optimizers import build_optimizer, rate_at
from models.settings import NetTraining

ROOT = Path(__file__).parents[2]


def settings(**changes: Any) -> NetTraining:
    given: dict[str, Any] = {"learner": "net", "learning_rate": 0.05, "batch_size": 16, "patience": 50}
    return NetTraining(**(given | changes))


def rows(n: int, seed: int, *, classes: int = 2) -> Rows:
    """Two numbers a row; the sum decides the class, or is the value where there are no classes."""
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(n, 2)).astype(np.float32)
    total = x.sum(axis=1) + 0.1 * stream.normal(size=n)
    y = (
        np.digitize(total, np.linspace(-1, 1, classes - 1) if classes > 2 else [0.0]).astype(np.int64)
        if classes
        else total.astype(np.float32)
    )
    return Rows((x,), y)


def net(classes: int = 2, **network: Any) -> torch.nn.Module:
    columns = [{"name": "a", "kind": "number"}, {"name": "b", "kind": "number"}]
    return build({"columns": columns, "classes": classes, "network": {"bins": 0, "hidden": [8], "dropout": 0.2} | network})


def train(
    given: NetTraining, *, classes: int = 2, epochs: int = 3, checkpoint: Checkpoint | None = None, stop: int = 0
) -> tuple[torch.nn.Module, list[dict[str, float]]]:
    """A trained net and what each epoch measured; `stop` breaks off after so many epochs, as a kill would."""
    measured: list[dict[str, float]] = []

    def on_epoch(epoch: int, figures: dict[str, float]) -> None:
        measured.append(figures)
        if epoch == stop:
            raise KeyboardInterrupt

    with deterministic(3, threads=1):
        module = net(classes)
        around = Around(on_epoch, checkpoint=checkpoint)
        fit(
            module, rows(200, 0, classes=classes), rows(100, 1, classes=classes),
            settings=given, epochs=epochs, seed=3, device="cpu", around=around, classes=classes,
        )  # fmt: skip
    return module, measured


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


def test_a_quantity_is_learned_by_its_squared_error() -> None:
    _, measured = train(settings(monitor="r2"), classes=0, epochs=20)
    assert measured[-1]["validation_r2"] > 0.8
    assert measured[-1]["validation_loss"] == pytest.approx(measured[-1]["validation_root_mean_squared_error"] ** 2, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "adagrad"])
def test_every_optimizer_learns(optimizer: str) -> None:
    _, measured = train(settings(optimizer=optimizer, monitor="accuracy"), epochs=10)
    assert measured[-1]["validation_accuracy"] > 0.85


def test_weight_decay_is_l2_but_for_adamw() -> None:
    """One step on a gradient of zero: AdamW shrinks the weight by rate x decay, the others see decay x weight as the gradient."""
    for name, expected in {"sgd": 1 - 0.1 * 0.5, "adamw": 1 - 0.1 * 0.5, "adam": 1 - 0.1, "adagrad": 1 - 0.1}.items():
        weight = torch.nn.Parameter(torch.ones(1))
        optimizer = build_optimizer([weight], settings(optimizer=name, learning_rate=0.1, weight_decay=0.5, momentum=0.0))
        weight.grad = torch.zeros(1)
        optimizer.step()
        assert weight.item() == pytest.approx(expected, abs=1e-4), name


def test_the_rate_rises_then_falls_as_the_schedule_says() -> None:
    cosine = settings(schedule="cosine", warmup=0.2)
    shares = [rate_at(step, 10, cosine) for step in range(10)]
    assert shares[:2] == [0.5, 1.0]
    assert shares[2:] == pytest.approx([0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8)])
    assert {rate_at(step, 10, settings()) for step in range(10)} == {1.0}


def test_losses_by_hand() -> None:
    outputs = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])  # chances 1/4, 3/4 and 1/2, 1/2
    y = torch.tensor([1, 0])
    plain = build_loss(settings(), y.numpy(), 2)(outputs, y)
    assert plain.tolist() == pytest.approx([-math.log(0.75), math.log(2)])
    focal = build_loss(settings(loss="focal", focus=2.0), y.numpy(), 2)(outputs, y)
    assert focal.tolist() == pytest.approx([0.25**2 * -math.log(0.75), 0.5**2 * math.log(2)])
    smooth = build_loss(settings(label_smoothing=0.2), y.numpy(), 2)(outputs, y)
    assert float(smooth[0]) == pytest.approx(0.9 * -math.log(0.75) + 0.1 * -math.log(0.25))
    squared = build_loss(settings(loss="mse"), y.numpy(), 0)(torch.tensor([[2.0], [1.0]]), torch.tensor([0.0, 1.5]))
    assert squared.tolist() == [4.0, 0.25]


def test_class_weights_make_the_classes_weigh_alike() -> None:
    y = np.array([0, 0, 0, 1])
    assert weights_of(y, 2).tolist() == pytest.approx([4 / 6, 2.0])
    assert weights_of(y, 3).tolist() == pytest.approx([4 / 9, 4 / 3, 0.0])
    loss = build_loss(settings(class_weights=True), y, 2)(torch.zeros(4, 2), torch.from_numpy(y))
    assert float(loss[:3].sum()) == pytest.approx(float(loss[3]))


def test_batches_that_are_gathered_step_as_one() -> None:
    calm = {"optimizer": "sgd", "momentum": 0.0}
    with deterministic(0, threads=1):
        columns = {"hidden": [4], "dropout": 0.0}
        first, second = net(**columns), net(**columns)
        second.load_state_dict(first.state_dict())
        for module, given in ((first, settings(batch_size=32, **calm)), (second, settings(batch_size=8, accumulate=4, **calm))):
            fit(module, rows(96, 0), rows(50, 1), settings=given, epochs=2, seed=0, device="cpu", around=Around(lambda *_: None), classes=2)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_bounded_gradient_moves_the_weights_at_most_so_far() -> None:
    with deterministic(0, threads=1):
        module = net(hidden=[4], dropout=0.0)
        before = torch.cat([p.detach().flatten().clone() for p in module.parameters()])
        given = settings(optimizer="sgd", momentum=0.0, clip=0.01, batch_size=200, learning_rate=1.0)
        fit(module, rows(200, 0), rows(50, 1), settings=given, epochs=1, seed=0, device="cpu", around=Around(lambda *_: None), classes=2)
    after = torch.cat([p.detach().flatten() for p in module.parameters()])
    assert float((after - before).norm()) == pytest.approx(0.01, rel=1e-3)


def test_frozen_parameters_stay_and_are_freed_in_time() -> None:
    for epochs, freed in ((2, False), (3, True)):
        with deterministic(0, threads=1):
            module = net()
            before = module.body[0].weight.detach().clone()
            given = settings(frozen=("body.0",), frozen_epochs=2, optimizer="sgd")
            fit(
                module,
                rows(100, 0),
                rows(50, 1),
                settings=given,
                epochs=epochs,
                seed=0,
                device="cpu",
                around=Around(lambda *_: None),
                classes=2,
            )
        assert (not torch.equal(module.body[0].weight, before)) == freed


def test_half_precision_learns_too() -> None:
    _, measured = train(settings(precision="bfloat16", monitor="accuracy"), epochs=10)
    assert measured[-1]["validation_accuracy"] > 0.85


def test_a_figure_that_nobody_measures_is_refused_with_those_there_are() -> None:
    with pytest.raises(TrainingError, match=r"'beauty'.*not measured") as refused:
        train(settings(monitor="beauty"))
    assert "roc_auc" in refused.value.mend


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    given = settings(schedule="cosine", augment={"noise": 0.1})
    whole, figures = train(given, epochs=6)
    path = tmp_path / "deep" / "training.pt"
    with pytest.raises(KeyboardInterrupt):
        train(given, epochs=6, checkpoint=Checkpoint(path, "key", every=0.0), stop=4)
    again, told = train(given, epochs=6, checkpoint=Checkpoint(path, "key", every=0.0))
    assert same(whole, again)
    assert told == figures
    assert [p.name for p in path.parent.iterdir()] == ["training.pt"], "nothing half-written stays"
    finished, told = train(given, epochs=6, checkpoint=Checkpoint(path, "key", every=0.0))
    assert same(whole, finished)
    assert told == figures


def test_a_checkpoint_of_another_training_or_of_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    train(settings(), checkpoint=Checkpoint(path, "one", every=0.0))
    with pytest.raises(TrainingError, match="another training"):
        train(settings(), checkpoint=Checkpoint(path, "two"))
    path.write_bytes(b"PK not a checkpoint")
    with pytest.raises(TrainingError, match="cannot be read"):
        train(settings(), checkpoint=Checkpoint(path, "one"))


def test_a_full_disk_is_said_once_and_training_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    undisturbed, _ = train(settings())
    module, measured = train(settings(), checkpoint=Checkpoint(tmp_path / "file" / "training.pt", "key", every=0.0))
    assert len(measured) == 3
    assert same(undisturbed, module)
    assert capsys.readouterr().err.count("no checkpoint could be written") == 1


SHARED = """
import sys, numpy as np, torch
sys.path.insert(0, {root!r})
from tests.models.test_loop import net, rows, settings
from models.distributed import joined
from models.loop import Around, deterministic, fit
with joined() as world, deterministic(3, threads=1):
    module = net(hidden=[8], dropout=0.0)
    fit(module, rows(203, 0), rows(100, 1), settings=settings(optimizer="sgd", batch_size=50), epochs=3, seed=3, device="cpu",
        around=Around(lambda *_: None, world), classes=2)
    if world.first:
        torch.save(module.state_dict(), sys.argv[1])
"""


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    script = tmp_path / "shared.py"
    script.write_text(textwrap.dedent(SHARED.format(root=str(ROOT))))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    alone = [sys.executable, str(script), str(tmp_path / "one.pt")]
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
        str(tmp_path / "two.pt"),
    ]
    for command in (alone, launcher):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("one", "two"))
    for name in one:
        assert torch.allclose(one[name], two[name], atol=1e-6), name


def test_scalings_by_hand() -> None:
    x = torch.tensor([[0.0], [2.0], [4.0], [10.0], [float("nan")]])
    expected = {
        "standard": [(v - 4) / math.sqrt((16 + 4 + 0 + 36) / 4) for v in (0, 2, 4, 10)] + [0.0],
        "minmax": [0.0, 0.2, 0.4, 1.0, 0.0],
        "symmetric": [-1.0, -0.6, -0.2, 1.0, 0.0],
    }
    for scaling, values in expected.items():
        module = build(
            {"columns": [{"name": "a", "kind": "number"}], "classes": 2, "network": {"bins": 0, "scaling": scaling, "indicators": False}}
        )
        module.fit(x)
        assert module.features(x).flatten().tolist() == pytest.approx(values), scaling


def test_one_sigmoid_unit_is_a_softmax_over_it_and_nothing() -> None:
    module = net(one_output=True)
    x = torch.randn(5, 2)
    module.eval()
    logits = module(x)
    assert torch.allclose(functional.softmax(logits, dim=1)[:, 1], torch.sigmoid(module.body(module.features(x))).flatten())
