"""Differentially private training: the accountants' published values, the sampling and the noise, the loop, what is logged, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import nn

from audit.privacy.assumptions import assumptions, recount
from audit.privacy.claims import Privacy as Claimed
from audit.privacy.claims import read_claim
from models.checkpoints import Checkpoint
from models.config import load_preset
from models.errors import TrainingError
from models.loop import Around, Rows, deterministic, fit
from models.nets.tabular import build
from models.privacy import Budget, Privacy, noise_for
from models.settings import NetTraining, Private
from models.train import _changes, _options, main

if TYPE_CHECKING:  # at run time `conftest` is whichever was imported last
    from conftest import LookUp, Python

ROOT = Path(__file__).parents[2]
PRIVATE = Private(noise_multiplier=1.0, noise_seed=7, mode="bookkeeping")


def test_accountants_give_their_published_values() -> None:
    """Opacus' tests and Google's accountant on noise 1.5, rate .04, delta 1e-5; 90 epochs at epsilon 8."""
    assert Budget(1.5, 0.04, 2249, 1e-5).epsilon() == pytest.approx(6.777395712150674, abs=1e-4)
    assert Budget(1.5, 0.04, 2250, 1e-5).epsilon("rdp") == pytest.approx(7.32911117143, abs=1e-9)
    assert noise_for(8.0, delta=1e-5, rate=0.04, steps=2250) == 1.34765625
    assert Budget(1.34765625, 0.04, 2250, 1e-5).epsilon() <= 8.0
    # Every row in every step: the Gaussian mechanism itself, whose exact value is 4.377 (Balle and Wang 2018); PRV adds its error of 0.01.
    assert Budget(1.0, 1.0, 1, 1e-5).epsilon() == pytest.approx(4.377 + 0.01, abs=2e-3)


def test_a_budget_that_no_noise_keeps_is_refused() -> None:
    with pytest.raises(TrainingError, match="no noise makes 1000 steps"):
        noise_for(1e-9, delta=1e-9, rate=1.0, steps=1000)


def privacy(settings: Private = PRIVATE, *, rows: int = 1000, batch: int = 40, epochs: int = 1) -> Privacy:
    return Privacy(settings, rows=rows, batch_size=batch, epochs=epochs)


def test_every_row_is_drawn_on_its_own() -> None:
    """Over T steps a row is drawn Bin(T, q) times, and the batch's size varies as Bin(n, q): fixed batches have variance 0."""
    steps, rows, rate = 4000, 1000, 0.04
    drawn = privacy()
    batches = [drawn.draw() for _ in range(steps)]
    counts = np.bincount(torch.cat(batches).numpy(), minlength=rows)
    for spread, of in ((counts, steps), (np.array([len(b) for b in batches]), rows)):
        expected, variance = of * rate, of * rate * (1 - rate)
        statistic = ((spread - expected) ** 2).sum() / variance
        assert chi2.ppf(1e-4, len(spread)) < statistic < chi2.ppf(1 - 1e-4, len(spread))
    assert all(len(b.unique()) == len(b) for b in batches[:50])


def layer() -> nn.Module:
    return nn.Linear(50, 40)


def test_a_step_without_rows_adds_noise_and_counts() -> None:
    """Noise of 1 · 2 norms over an expected batch of 40: a standard deviation of 0.05 in each of 2,040 numbers."""
    found = privacy(PRIVATE.model_copy(update={"clip_norm": 2.0}))
    net = layer()
    found.add_noise(net)
    noise = torch.cat([p.grad.flatten() for p in net.parameters()]).numpy()
    statistic = (noise**2).sum() / 0.05**2
    assert chi2.ppf(1e-4, len(noise)) < statistic < chi2.ppf(1 - 1e-4, len(noise))
    assert found.steps_taken == 1
    assert np.unique(noise).size > 2000


class Shuffled(Privacy):
    """Epochs of shuffled rows in batches of one size, sold as Poisson samples."""

    order: Any = ()

    def _places(self) -> torch.Tensor:
        if len(self.order) < self.batch:
            self.order = torch.randperm(self.rows, generator=self._sampling)
        found, self.order = self.order[: self.batch], self.order[self.batch :]
        return found.sort().values


class Weighted(Privacy):
    """Every other row is drawn half as often again as the rate says, and the others half as often."""

    def _places(self) -> torch.Tensor:
        weights = torch.where(torch.arange(self.rows) % 2 == 0, 1.5, 0.5)
        return torch.nonzero(torch.rand(self.rows, generator=self._sampling, dtype=torch.float64) < self.rate * weights).flatten()


class Silent(Privacy):
    """The noise that is stated is switched off."""

    def _normal(self, shape: Any) -> torch.Tensor:
        return torch.zeros(shape)


@pytest.mark.parametrize(("kind", "broken"), [
    (Privacy, set()),
    (Shuffled, {"batches vary in size as Poisson samples do", "each row is drawn as often as in Poisson samples"}),
    (Weighted, {"each row is drawn as often as in Poisson samples"}),
    (Silent, {"as much noise was added as is stated"}),
])  # fmt: skip
def test_what_training_does_shows_in_its_own_record(kind: type[Privacy], broken: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader and the noise are counted as they run, and the audit reads what was done against what is claimed."""
    monkeypatch.setattr(Budget, "epsilon", lambda *_: 20.0)  # the accountants have tests of their own
    found, net = kind(PRIVATE, rows=1000, batch_size=40, epochs=8), layer()
    for _ in range(found.budget.steps):
        found.draw()
        net.zero_grad(set_to_none=True)
        found.add_noise(net)
    record = found.record([])
    claim = read_claim(record)
    assert claim.unreadable == []
    assert record["noise_added"] == pytest.approx(0.0 if kind is Silent else 1.0, abs=0.01)
    read = assumptions(Claimed(claim=claim), recount(claim), 1000)
    assert {a.name for a in read if a.state == "broken"} == broken
    assert "not known" not in {a.state for a in read}


def toy(n: int = 200, seed: int = 0) -> Rows:
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(n, 2)).astype(np.float32)
    return Rows((x,), (x[:, 0] + 0.5 * stream.normal(size=n) > 0).astype(np.int64))


def toy_net() -> nn.Module:
    columns = [{"name": "a", "kind": "number"}, {"name": "b", "kind": "number"}]
    return build({"columns": columns, "classes": 2, "network": {"bins": 0, "hidden": [8], "dropout": 0.0}})


SETTINGS = load_preset("credit", {"learning_rate": 0.02, "patience": 1000, "batch_size": 20, "weight_decay": 0.0}).training
assert isinstance(SETTINGS, NetTraining)


def train(
    private: Private | None = PRIVATE, *, epochs: int = 3, rows: Rows | None = None, settings: NetTraining = SETTINGS, **around: Any
) -> tuple[nn.Module, Privacy | None, list[dict[str, float]]]:
    rows, measured = rows or toy(), []
    found = None if private is None else Privacy(private, rows=len(rows.y), batch_size=settings.batch_size, epochs=epochs)
    with deterministic(0, threads=1):
        net = toy_net()
        fit(
            net, rows, toy(seed=1), settings=settings, epochs=epochs, seed=0, device="cpu", classes=2, privacy=found,
            around=Around(lambda _, figures: measured.append(figures), **around),
        )  # fmt: skip
    return net, found, measured


def test_a_run_has_the_epsilon_of_its_steps() -> None:
    """90 epochs of 25 steps at rate .04 and noise 1.5: the published 6.779 (PRV) and 7.329 (RDP)."""
    settings = SETTINGS.model_copy(update={"batch_size": 40})
    private = PRIVATE.model_copy(update={"noise_multiplier": 1.5})
    _, found, _ = train(private, epochs=90, rows=toy(1000), settings=settings)
    assert found is not None
    record = found.record([])
    assert (record["steps"], record["steps_taken"], record["sample_rate"]) == (2250, 2250, 0.04)
    assert record["epsilon"] == pytest.approx(6.7774, abs=0.02)
    assert record["epsilon_rdp"] == pytest.approx(7.3291, abs=0.02)
    assert (record["accountant"], record["sampling"], record["secure_mode"]) == ("prv", "poisson", False)


def test_without_privacy_the_loop_is_plain_descent_to_the_last_bit() -> None:
    """The slow twin, written out: the same rows in the same order, AdamW on the mean loss."""
    settings = SETTINGS.model_copy(update={"monitor": "loss"})
    rows, epochs = toy(), 3
    net, _, measured = train(None, epochs=epochs, settings=settings)
    with deterministic(0, threads=1):
        twin = toy_net()
        optimizer = torch.optim.AdamW(twin.parameters(), lr=settings.learning_rate, weight_decay=0.0)
        order = torch.Generator().manual_seed(0)
        x, y = torch.from_numpy(rows.x[0]), torch.from_numpy(rows.y)
        for _ in range(epochs):
            for batch in torch.randperm(len(y), generator=order).split(settings.batch_size):
                optimizer.zero_grad()
                (nn.functional.cross_entropy(twin(x[batch]), y[batch], reduction="none").sum() / len(batch)).backward()
                optimizer.step()
    assert [m["validation_loss"] for m in measured] == sorted((m["validation_loss"] for m in measured), reverse=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True))


def test_private_training_learns_says_nothing_of_training_rows_and_repeats_only_with_a_stated_seed() -> None:
    quiet_noise = PRIVATE.model_copy(update={"noise_multiplier": 0.3})
    net, _, measured = train(quiet_noise, epochs=15)
    assert all("train_loss" not in figures for figures in measured)
    assert measured[-1]["validation_loss"] < measured[0]["validation_loss"] - 0.05
    held_out = toy(seed=2)
    right = net(torch.from_numpy(held_out.x[0])).argmax(dim=1).numpy() == held_out.y
    assert right.mean() > 0.75  # the majority has about half
    first, second = (train()[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    kept_nowhere = [train(Private(noise_multiplier=1.0, mode="bookkeeping"))[0].state_dict() for _ in range(2)]
    assert any(not torch.equal(kept_nowhere[0][key], kept_nowhere[1][key]) for key in first)


@pytest.mark.parametrize("clipping", ["flat", "per_layer"])
def test_one_row_moves_the_sum_by_at_most_the_clipping_norm(clipping: Any) -> None:
    """The same draws and the same noise with and without a row that is a thousand times as loud: what DP-SGD's proof rests on."""
    settings = PRIVATE.model_copy(update={"clip_norm": 0.5, "clipping": clipping})
    rows = toy(50)
    rows.x[0][0] *= 1000
    sums = []
    for present in (True, False):
        torch.manual_seed(0)
        net = toy_net().train()
        found = Privacy(settings, rows=50, batch_size=10, epochs=1)
        x, y = torch.from_numpy(rows.x[0]), torch.from_numpy(rows.y)

        def losses(places: torch.Tensor, net: nn.Module = net, x: torch.Tensor = x, y: torch.Tensor = y) -> torch.Tensor:
            return nn.functional.cross_entropy(net(x[places]), y[places], reduction="none")

        with found.clipping(net, losses) as clipper:
            clipper.add(losses(torch.arange(0 if present else 1, 20)))
        sums.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    moved = float((sums[0] - sums[1]).norm())
    assert (0.4 if clipping == "flat" else 0.2) < moved <= 0.5 * (1 + 1e-5)


def test_rows_in_parts_give_the_same_weights() -> None:
    whole, parts = (train(PRIVATE.model_copy(update={"rows_at_once": n}))[0].state_dict() for n in (0, 7))
    assert all(torch.allclose(whole[key], parts[key], atol=1e-5) for key in whole)
    other = train(PRIVATE.model_copy(update={"mode": "auto"}))[0].state_dict()
    assert all(torch.allclose(whole[key], other[key], atol=1e-5) for key in whole)


def test_an_interrupted_run_goes_on_with_the_same_noise(tmp_path: Path) -> None:
    def stop(epoch: int, _: dict[str, float]) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    expected = train(epochs=4)[0].state_dict()
    settings, rows = SETTINGS, toy()
    checkpoint = Checkpoint(tmp_path / "run.pt", "key", 0.0)
    found = Privacy(PRIVATE, rows=len(rows.y), batch_size=settings.batch_size, epochs=4)
    with deterministic(0, threads=1), pytest.raises(KeyboardInterrupt):
        fit(
            toy_net(), rows, toy(seed=1), settings=settings, epochs=4, seed=0, device="cpu", classes=2, privacy=found,
            around=Around(stop, checkpoint=checkpoint),
        )  # fmt: skip
    net, again, _ = train(epochs=4, checkpoint=Checkpoint(tmp_path / "run.pt", "key", 0.0))
    assert again is not None
    assert again.steps_taken == again.budget.steps == 40
    assert all(torch.equal(expected[key], value) for key, value in net.state_dict().items())


#: One of two processes (or one alone): three private epochs; the weights and the record to a file.
_PROCESS = """
import sys, torch, json
sys.path.insert(0, {tests!r})
import test_private_training as here
from models.distributed import joined
from models.loop import Around, deterministic, fit
from models.privacy import Privacy
with joined() as world, deterministic(0, threads=1):
    net, rows = here.toy_net(), here.toy()
    privacy = Privacy(here.{private}, rows=200, batch_size=20, epochs=3, world=world)
    fit(net, rows, here.toy(seed=1), settings=here.SETTINGS, epochs=3, seed=0, device="cpu", classes=2, privacy=privacy,
        around=Around(lambda *_: None, world))
    torch.save((net.state_dict(), privacy.budget.epsilon(), privacy.steps_taken), sys.argv[1] + str(world.rank))
"""
AUTO = Private(noise_multiplier=1.0, clipping="per_layer")


def processes(size: int, private: str, folder: Path) -> list[Any]:
    """What each of `size` processes ended with."""
    (folder / "run.py").write_text(_PROCESS.format(tests=str(Path(__file__).parent), private=private))
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(20000 + os.getpid() % 20000)}
    environment = os.environ | shared | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, str(folder / "run.py"), str(folder / "end")],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(size)
    ]  # fmt: skip
    for process in running:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    return [torch.load(folder / f"end{rank}", weights_only=True) for rank in range(size)]


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    (one, epsilon, steps), (two, other_epsilon, other_steps) = processes(2, "PRIVATE", tmp_path)
    alone, found, _ = train()
    assert found is not None
    assert (epsilon, steps) == (other_epsilon, other_steps) == (found.budget.epsilon(), 30)
    for key, value in alone.state_dict().items():
        assert torch.equal(one[key], two[key])
        assert torch.allclose(one[key], value, atol=1e-5)


def test_two_processes_share_chances_that_nobody_stated(tmp_path: Path) -> None:
    """Seeds of the operating system and the mode that one process measured hold for both, or their weights would part."""
    (one, _, _), (two, _, _) = processes(2, "AUTO", tmp_path)
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.slow
def test_the_promise_is_logged_with_run_and_model(python: Python, look_up: LookUp, tmp_path: Path) -> None:
    arguments = ["credit", "--epsilon", "4", "--delta", "0.01", "--epochs", "2", "--clipping", "per_layer", "--name", "mine"]
    done = python("-m", "models.train", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning: delta 0.01 is not below 1 / 994 training rows" in done.stderr
    store = look_up(tmp_path, "models:/mine/1")
    roles = json.loads(Path(store["data"].removeprefix("file://"), "roles.json").read_text("utf-8"))
    described = Path(store["model"].removeprefix("file://"), "MLmodel").read_text("utf-8")
    record = roles["privacy"]
    budget = Budget(record["noise_multiplier"], 64 / 994, 32, 0.01)
    assert record["epsilon"] == budget.epsilon() <= 4.0
    assert store["metrics"]["privacy.epsilon"] == record["epsilon"]
    assert store["params"]["privacy.accountant"] == "prv"
    assert (record["clipping"], record["clip_norm"], record["steps"], record["steps_taken"]) == ("per_layer", 1.0, 32, 32)
    assert record["mode"] in ("bookkeeping", "hooks", "functorch")
    said = " ".join(record["not_covered"])
    assert all(word in said for word in ("validation", "quantiles", "vocabularies", "delta", "cryptographic"))
    assert f"epsilon: {record['epsilon']}" in described
    assert not any(key.startswith("train_loss") for key in store["metrics"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["credit", "--epsilon", "0"], "training.private.epsilon is not valid"),
        (["credit", "--noise-multiplier", "-1"], "training.private.noise_multiplier is not valid"),
        (["credit", "--epsilon", "1", "--delta", "1"], "training.private.delta is not valid"),
        (["credit", "--epsilon", "1", "--noise-multiplier", "1"], "both given"),
        (["credit", "--delta", "1e-5"], "takes epsilon or noise_multiplier"),
        (["credit", "--epsilon", "1", "--private-mode", "magic"], "--private-mode"),
        (["credit", "--epsilon", "1", "--set", "accumulate=2"], "goes without training.accumulate"),
        (["text-transformer", "--data", "x", "--epsilon", "1", "--set", "clip=2.0"], "goes without training.clip — change or leave out"),
        (["text-lora", "--data", "x", "--epsilon", "1"], "trains adapters"),
        (["credit-trees", "--epsilon", "1"], "trains trees, and DP-SGD needs a net"),
    ],
)
def test_bad_requests_are_one_line(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert says in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_opacus_is_one_line_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "opacus", None)
    assert main(["credit", "--epsilon", "1"]) == 2
    assert capsys.readouterr().err == (
        "error: private training needs Opacus, which is not installed — pip install 'witnessmark[privacy]'\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_mode_that_does_not_fit_is_refused_with_its_reason() -> None:
    wrong = PRIVATE.model_copy(update={"mode": "ghost", "clipping": "per_layer"})
    with pytest.raises(TrainingError, match=r"ghost: ghost clipping knows one norm.*--private-mode auto"):
        train(wrong)


def test_what_a_preset_says_and_private_training_goes_without_is_set_aside(capsys: pytest.CaptureFixture[str]) -> None:
    assert load_preset("events-rnn").training.model_dump()["clip"] == 1.0
    changes = _changes(_options(["events-rnn", "--data", "x", "--epsilon", "2"]))
    training = load_preset("events-rnn", changes).training
    assert isinstance(training, NetTraining)
    assert (training.clip, training.private and training.private.epsilon) == (0.0, 2.0)
    assert "goes without the preset's training.clip = 1.0" in capsys.readouterr().err
    assert "training.clip" not in _changes(_options(["events-rnn", "--data", "x"]))


def test_a_stated_seed_leaves_the_mode_to_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(*_: Any, **__: Any) -> float:
        raise AssertionError("a mode was timed")

    monkeypatch.setattr("models.privacy.seconds", timed)
    automatic = PRIVATE.model_copy(update={"mode": "auto"})
    (one, found, _), (two, _, _) = train(automatic), train(automatic)
    assert found is not None
    assert list(found.modes.values()) == ["bookkeeping"]
    assert all(torch.equal(value, two.state_dict()[key]) for key, value in one.state_dict().items())
    with pytest.raises(AssertionError, match="was timed"):
        train(AUTO)
