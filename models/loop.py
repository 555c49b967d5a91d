"""The training loop: seeded, deterministic, stopped early on a figure of the validation rows. It knows arrays and nets, no files and no MLflow."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from models.adversarial import attacked
from models.augment import augmented
from models.checkpoints import Checkpoint
from models.distributed import World
from models.errors import TrainingError
from models.losses import build_loss
from models.metrics import HIGHER, figures
from models.optimizers import build_optimizer, rate_at
from models.settings import Augment, NetTraining

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from models.privacy import Privacy

#: What one epoch measured, by name; losses are means over rows (cross-entropy in nats).
Epoch = dict[str, float]
#: Called after each epoch with its number from 1 on and what it measured.
OnEpoch = Callable[[int, Epoch], None]
#: Rows that a net is asked about at once when nothing is learned.
SCORED_AT_ONCE = 1024


@dataclass(frozen=True)
class Rows:
    """Inputs, each (n, …), and the place of each row's label among the classes (n,) int64, or its value (n,) float32."""

    x: tuple[NDArray[Any], ...]
    y: NDArray[Any]


@dataclass(frozen=True)
class Around:
    """What surrounds a training: who is told, the processes that share it, and where it is kept."""

    on_epoch: OnEpoch
    world: World = field(default_factory=World)
    checkpoint: Checkpoint | None = None


def pick_device(name: Literal["auto", "cpu", "cuda"]) -> str:
    """The device to train on; `auto` takes a GPU where torch sees one."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("--device cuda expects a GPU that torch can use, got none", "use --device cpu or --device auto")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


@contextmanager
def deterministic(seed: int, *, threads: int) -> Iterator[None]:
    """Inside: torch draws from `seed`, uses deterministic algorithms and `threads` threads; afterwards everything is as before."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts; without it its sums are unordered
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0])
            torch.set_num_threads(before[1])


def fit(
    net: nn.Module,
    train: Rows,
    validation: Rows,
    *,
    settings: NetTraining,
    epochs: int,
    seed: int,
    device: str,
    around: Around,
    classes: int,
    privacy: Privacy | None = None,
) -> int:
    """Train `net` in place and return the epoch whose weights it keeps: the one with the best `monitor` on the validation rows.

    The net ends on the CPU, in evaluation mode. Call it inside `deterministic`; `seed` orders the rows. `classes` is 0 for a quantity.
    With `privacy` the rows of a step are drawn and their gradients summed as that has it.
    """
    run = _Run(net, train, validation, settings, epochs, seed, device, around, classes, privacy)
    return run.to_the_end()


class _Run:
    """One training: everything that changes while it goes on, and so must be kept to go on later."""

    def __init__(
        self, net: nn.Module, train: Rows, validation: Rows, settings: NetTraining, epochs: int, seed: int, device: str, around: Around,
        classes: int, privacy: Privacy | None,
    ) -> None:  # fmt: skip
        import torch

        self.given, self.privacy = net, privacy
        self.net = net = (privacy.ready(net, [torch.from_numpy(x[:8]) for x in train.x]) if privacy else net).to(device)
        self.settings, self.epochs, self.device, self.around, self.classes = settings, epochs, device, around, classes
        self.train, self.validation = _tensors(train, device), _tensors(validation, device)
        self.loss_of = build_loss(settings, train.y, classes).to(device)
        self.optimizer = build_optimizer(net.parameters(), settings)
        self.order = torch.Generator().manual_seed(seed)
        self.changes = torch.Generator().manual_seed(seed + 1)
        self.steps_an_epoch = privacy.steps_an_epoch if privacy else -(-len(train.y) // (settings.batch_size * settings.accumulate))
        self.step = self.epoch = self.best = 0
        self.history: list[Epoch] = []
        self.best_figure = float("-inf")
        self.best_state = copy.deepcopy(net.state_dict())
        self.called = torch.compile(net) if settings.compile and device == "cuda" else net

    def to_the_end(self) -> int:
        saved = self.around.checkpoint.load() if self.around.checkpoint else None
        if saved is not None:
            self._restore(saved)
        while self.epoch < self.epochs and not self._over():
            self.epoch += 1
            self._freeze()
            learned = self._learn_privately(self.privacy) if self.privacy else {"train_loss": self._learn()}
            measured = learned | {f"validation_{k}": v for k, v in self._measure().items()}
            self.history.append(measured)
            self.around.on_epoch(self.epoch, measured)
            self._keep_best(measured)
            if self.around.checkpoint and self.around.world.first:
                self.around.checkpoint.save(self._state(), now=self.epoch == self.epochs or self._over())
        if not self.best:
            raise TrainingError(
                f"no epoch gave a validation {self.settings.monitor} that is a number", "lower training.learning_rate with --set"
            )
        self.given.load_state_dict({name: self.best_state[name] for name in self.given.state_dict()})
        self.given.to("cpu").eval()
        return self.best

    def _over(self) -> bool:
        return self.epoch > 0 and self.epoch - self.best >= self.settings.patience

    def _learn(self) -> float:
        """One epoch; the mean loss over its rows."""
        import torch

        self.net.train()
        (inputs, y), settings = self.train, self.settings
        order = torch.randperm(len(y), generator=self.order)
        batches = order.split(settings.batch_size)
        losses = torch.zeros(len(batches), device=self.device)
        for first in range(0, len(batches), settings.accumulate):
            group = batches[first : first + settings.accumulate]
            rows = sum(len(batch) for batch in group)
            self.optimizer.zero_grad()
            for i, batch in enumerate(group, start=first):
                mine = self.around.world.share(batch).to(self.device)
                if len(mine):
                    loss = self._loss([x[mine] for x in inputs], y[mine]).sum()
                    (loss / rows).backward()
                    losses[i] = loss.detach()
            self._move()
        self.around.world.sum(losses)
        self._require_finite(losses)
        return float(losses.sum()) / len(y)

    def _learn_privately(self, privacy: Privacy) -> Epoch:
        """One epoch; it measures nothing, for a figure of the training rows would be no part of what the noise covers."""
        import torch

        self.net.train()
        inputs, y = self.train
        losses = torch.zeros(self.steps_an_epoch, device=self.device)
        with privacy.clipping(self.net, lambda rows: self.loss_of(self.net(*(x[rows] for x in inputs)), y[rows])) as clipper:
            for i in range(self.steps_an_epoch):
                self.optimizer.zero_grad()
                for rows in self.around.world.share(privacy.draw()).to(self.device).split(privacy.at_once(self.net)):
                    if len(rows):  # a step without rows takes place all the same: its noise is what hides that
                        loss = self._loss([x[rows] for x in inputs], y[rows])
                        clipper.add(loss)
                        losses[i] += loss.detach().sum()
                self._move()
        self.around.world.sum(losses)
        self._require_finite(losses)
        return {}

    def _loss(self, inputs: list[Tensor], y: Tensor) -> Tensor:
        """(rows,) of a batch, after the changes that training asks for."""
        import torch

        settings = self.settings
        if settings.augment != Augment():
            inputs = augmented(inputs, settings.augment, self.changes)
        if settings.adversarial:
            inputs = attacked(self.net, inputs, y, self.loss_of, settings.adversarial, self.changes)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=settings.precision == "bfloat16"):
            output = self.called(*inputs)
        loss: Tensor = self.loss_of(output, y)
        return loss

    def _move(self) -> None:
        """One step of the optimiser, by the summed gradients and at the rate of the schedule."""
        import torch

        self.around.world.sum_gradients(self.net)
        if self.privacy:
            self.privacy.add_noise(self.net)
        if self.settings.clip:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.settings.clip)
        rate = self.settings.learning_rate * rate_at(self.step, self.steps_an_epoch * self.epochs, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.step += 1

    def _freeze(self) -> None:
        """Which parameters learn in this epoch."""
        settings = self.settings
        for name, parameter in self.net.named_parameters():
            held = name.startswith(settings.frozen) and (not settings.frozen_epochs or self.epoch <= settings.frozen_epochs)
            parameter.requires_grad_(not held)

    def _require_finite(self, losses: Tensor) -> None:
        import torch

        bad = torch.nonzero(~torch.isfinite(losses)).flatten()
        if len(bad):
            rate = self.optimizer.param_groups[0]["lr"]
            raise TrainingError(
                f"the loss of batch {int(bad[0]) + 1} of epoch {self.epoch} is {float(losses[bad[0]])} at learning rate {rate:.3g}",
                "lower training.learning_rate, or bound the gradient with training.clip, by --set",
            )

    def _measure(self) -> dict[str, float]:
        """Figures of the validation rows; the loss is that of training, without what training changes about the rows."""
        import torch

        inputs, y = self.validation
        self.net.eval()
        with torch.inference_mode():
            outputs = torch.cat([self.net(*(x[rows] for x in inputs)) for rows in torch.arange(len(y)).split(SCORED_AT_ONCE)])
            measured = {"loss": float(self.loss_of(outputs, y).mean())}
        if self.settings.monitor != "loss":
            measured |= figures(y.cpu().numpy(), outputs.float().cpu().numpy(), classes=self.classes)
        return measured

    def _keep_best(self, measured: Epoch) -> None:
        name = f"validation_{self.settings.monitor}"
        if name not in measured:
            known = ", ".join(sorted(k.removeprefix("validation_") for k in measured if k.startswith("validation_")))
            raise TrainingError(f"training.monitor names {self.settings.monitor!r}, which is not measured", f"name one of {known}")
        figure = measured[name] if self.settings.monitor in HIGHER else -measured[name]
        if figure > self.best_figure:
            self.best, self.best_figure, self.best_state = self.epoch, figure, copy.deepcopy(self.net.state_dict())

    def _state(self) -> dict[str, Any]:
        import torch

        return {
            "net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "order": self.order.get_state(),
            "changes": self.changes.get_state(), "torch": torch.get_rng_state(), "step": self.step, "epoch": self.epoch, "best": self.best,
            "best_figure": self.best_figure, "best_state": self.best_state, "history": self.history,
            **({"privacy": self.privacy.state()} if self.privacy else {}),
            **({"cuda": torch.cuda.get_rng_state()} if self.device == "cuda" else {}),
        }  # fmt: skip

    def _restore(self, saved: dict[str, Any]) -> None:
        import torch

        self.net.load_state_dict(saved["net"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.order.set_state(saved["order"])
        self.changes.set_state(saved["changes"])
        torch.set_rng_state(saved["torch"])
        if self.device == "cuda" and "cuda" in saved:  # dropout draws there
            torch.cuda.set_rng_state(saved["cuda"])
        if self.privacy:
            self.privacy.restore(saved["privacy"])
        self.step, self.epoch, self.best = saved["step"], saved["epoch"], saved["best"]
        self.best_figure, self.best_state, self.history = saved["best_figure"], saved["best_state"], saved["history"]
        for epoch, measured in enumerate(self.history, start=1):
            self.around.on_epoch(epoch, measured)


def outputs_of(net: nn.Module, inputs: tuple[NDArray[Any], ...]) -> NDArray[np.float64]:
    """(rows, outputs) of a net in evaluation on the CPU, in blocks."""
    import numpy as np
    import torch

    tensors = [torch.from_numpy(x) for x in inputs]
    with torch.inference_mode():
        parts = [net(*(x[rows] for x in tensors)).double().numpy() for rows in torch.arange(len(inputs[0])).split(SCORED_AT_ONCE)]
    return np.concatenate(parts)


def _tensors(rows: Rows, device: str) -> tuple[list[torch.Tensor], torch.Tensor]:
    import torch

    return [torch.from_numpy(x).to(device) for x in rows.x], torch.from_numpy(rows.y).to(device)
