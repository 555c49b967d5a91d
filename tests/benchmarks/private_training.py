"""One epoch of a small net, with and without privacy, beside what PyTorch and Opacus do as their documentation has them, in the same run.

    python -m tests.benchmarks.private_training [--rows 50000] [--repeats 3]

50,000 rows of 40 numbers, batches of 1,024, a net of 40-128-64-2 (as models/nets/tabular.py builds it, without bins), AdamW, one thread. Timed is
CPU time of this process over one epoch after a first one that does not count; of `--repeats` epochs the least. In turn, so that a busy machine
slows all alike:

bare        tensors indexed by a shuffled order, forward, mean loss, backward, step
ours        models/loop.py without privacy; its epoch less its measurement of validation rows is compared with `bare`
opacus      PrivacyEngine.make_private with its defaults (hooks) and a DataLoader over a TensorDataset, as in Opacus' tutorials
indexed M   Opacus' sampling replaced by ours (tensor indexing), its gradients in each mode M of models/clipping.py
private     models/loop.py with privacy in the mode that it chose by measurement

The clipped gradients of all modes are compared on one batch with those of Opacus' GradSampleModule and DPOptimizer.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from models.clipping import MODES, Bound, gradients
from models.loop import Around, Rows, deterministic, fit
from models.nets.tabular import build
from models.privacy import Privacy
from models.settings import NetTraining, Private

WIDTH, BATCH, RATE = 40, 1024, 1e-3
SETTINGS = NetTraining(learner="net", learning_rate=RATE, batch_size=BATCH, patience=1000)


def rows(n: int, seed: int) -> Rows:
    """Standard normal numbers, and two classes that depend on some of them."""
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(n, WIDTH)).astype(np.float32)
    return Rows((x,), (x[:, :5].sum(axis=1) + stream.normal(size=n) > 0).astype(np.int64))


def net() -> nn.Module:
    """A multilayer perceptron over 40 raw numbers: 13,442 weights."""
    torch.manual_seed(0)
    columns = [{"name": str(i), "kind": "number"} for i in range(WIDTH)]
    network = {"bins": 0, "indicators": False, "scaling": "standard", "hidden": [128, 64], "dropout": 0.0}
    return build({"columns": columns, "classes": 2, "network": network})


def cpu(do: Callable[[], Any]) -> float:
    before = time.process_time()
    do()
    return time.process_time() - before


class Bare:
    """What a person would write who wants nothing but the epoch."""

    def __init__(self, train: Rows) -> None:
        self.x, self.y = torch.from_numpy(train.x[0]), torch.from_numpy(train.y)
        self.net = net().train()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=RATE, weight_decay=0.0)

    def epoch(self) -> None:
        for batch in torch.randperm(len(self.y)).split(BATCH):
            self.optimizer.zero_grad()
            functional.cross_entropy(self.net(self.x[batch]), self.y[batch]).backward()
            self.optimizer.step()


class Opacus:
    """Opacus as its documentation uses it."""

    def __init__(self, train: Rows) -> None:
        from opacus import PrivacyEngine

        data = torch.utils.data.TensorDataset(torch.from_numpy(train.x[0]), torch.from_numpy(train.y))
        model = net().train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
        self.net, self.optimizer, self.loader = PrivacyEngine().make_private(
            module=model, optimizer=optimizer, data_loader=torch.utils.data.DataLoader(data, batch_size=BATCH),
            noise_multiplier=1.0, max_grad_norm=1.0,
        )  # fmt: skip

    def epoch(self) -> None:
        for x, y in self.loader:
            self.optimizer.zero_grad()
            functional.cross_entropy(self.net(x), y).backward()
            self.optimizer.step()


class Ours:
    """models/loop.py; one epoch is the time between two reports less what measuring the validation rows takes."""

    def __init__(self, train: Rows, mode: str | None) -> None:
        self.train, self.mode, self.validation = train, mode, rows(1, 1)
        self.chosen = ""

    def epochs(self, count: int) -> list[float]:
        """CPU-seconds of `count` epochs, after one that does not count; one validation row keeps the measurement next to nothing."""
        times = [0.0]
        private = None
        if self.mode is not None:
            settings = Private(noise_multiplier=1.0, mode=self.mode)  # type: ignore[arg-type]
            private = Privacy(settings, rows=len(self.train.y), batch_size=BATCH, epochs=count + 1)
        around = Around(lambda *_: times.append(time.process_time()))
        with deterministic(0, threads=1):
            fit(
                net(), self.train, self.validation, settings=SETTINGS, epochs=count + 1, seed=0, device="cpu", classes=2,
                around=around, privacy=private,
            )  # fmt: skip
        if private is not None:
            self.chosen = next(iter(private.modes.values()))
        return [after - before for before, after in pairwise(times[1:])]


def gradients_of_opacus(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    """Clipped sums as GradSampleModule and DPOptimizer have them."""
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    wrapped = GradSampleModule(net().train(), loss_reduction="sum")
    plain = torch.optim.SGD(wrapped.parameters(), lr=1.0)
    optimizer = DPOptimizer(plain, noise_multiplier=1.0, max_grad_norm=1.0, expected_batch_size=len(y), loss_reduction="sum")
    functional.cross_entropy(wrapped(x), y, reduction="sum").backward()
    optimizer.clip_and_accumulate()
    return [p.summed_grad for p in wrapped.parameters()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    warnings.filterwarnings("ignore", message="Full backward hook|Secure RNG turned off|Optimal order|In CPU autocast")
    torch.set_num_threads(1)
    train = rows(given.rows, 0)

    x, y = torch.from_numpy(train.x[0][:BATCH]), torch.from_numpy(train.y[:BATCH])
    theirs = gradients_of_opacus(x, y)
    for mode in MODES:
        model = net().train()
        found = gradients(model, mode, Bound(1.0), lambda model=model: functional.cross_entropy(model(x), y, reduction="none"))
        apart = max(float((a - b).abs().max()) for a, b in zip(found, theirs, strict=True))
        print(
            f"clipped gradients, {mode}: largest difference from Opacus' hooks {apart:.1e} (largest entry {max(float(b.abs().max()) for b in theirs):.1f})"
        )
        if apart > 1e-5:
            raise SystemExit("not the same gradients")

    bare, opacus = Bare(train), Opacus(train)
    bare.epoch()
    opacus.epoch()
    times: dict[str, list[float]] = {"bare": [], "opacus": []}
    kinds: dict[str, str | None] = {"ours": None, **{f"indexed {mode}": mode for mode in MODES}, "private": "auto"}
    for _ in range(given.repeats):
        times["bare"] += [cpu(bare.epoch) for _ in range(3)]
        for name, mode in kinds.items():
            run = Ours(train, mode)
            times.setdefault(name, []).extend(run.epochs(3 if mode is None else 1))
            if mode == "auto":
                chosen = run.chosen
        times["opacus"].append(cpu(opacus.epoch))
    least = {name: min(taken) for name, taken in times.items()}
    print(f"\n| one epoch, {given.rows:,} x {WIDTH}, batch {BATCH} | CPU-s | to bare |\n|---|---|---|")
    for name, taken in least.items():
        print(f"| {name}{f' ({chosen})' if name == 'private' else ''} | {taken:.3f} | {taken / least['bare']:.2f} |")
    print(f"\nour loop / bare: {least['ours'] / least['bare']:.2f} (at most 1.15)")
    print(f"Opacus as documented / our private training: {least['opacus'] / least['private']:.1f} (at least 2)")


if __name__ == "__main__":
    main()
