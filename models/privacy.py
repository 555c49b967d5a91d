"""Training by DP-SGD (Abadi et al. 2016, arXiv:1607.00133): what is promised of one training row, what it costs, what it leaves out.

In each step every row is drawn with the same chance on its own, its gradient is clipped, and noise is added to the sum: a Gaussian mechanism on
a Poisson sample, which the accountants of Opacus add up over the steps. The claim is the PRV accountant's upper bound (Gopi, Lee, Wutschitz
2021, arXiv:2106.02848), the cross-check Rényi's (Mironov 2017, arXiv:1702.07476); the Gaussian approximation is no bound and is not offered.
"""

from __future__ import annotations

import copy
import secrets
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from models.clipping import MODES, Bound, Clipper, clipper, disagreement, quiet, seconds, unsuited
from models.distributed import World
from models.errors import TrainingError
from models.settings import Private

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Rows whose gradients are taken one by one, to see that a mode sums the right thing.
CHECKED = 6
#: Numbers that the gradients of all rows of one pass may hold, where they are held: 400 MB.
AT_ONCE = 100_000_000


#: Rényi orders of the cross-check: Opacus' own, and beyond them for little and for much noise.
ORDERS = [1.01, 1.02, 1.05, *(1 + x / 10 for x in range(1, 100)), *range(12, 64), *(2**k for k in range(6, 14))]


@contextmanager
def _still() -> Iterator[None]:
    """Without the accountants' advice to try more orders (the bound holds at any), and without log 0 where every row is in every step."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the")
        warnings.filterwarnings("ignore", message="divide by zero encountered in log", category=RuntimeWarning)
        yield


def require_opacus() -> None:
    """Refuse in one line where Opacus is not installed."""
    try:
        import opacus  # noqa: F401
    except ImportError as error:
        raise TrainingError("private training needs Opacus, which is not installed", "pip install 'witnessmark[privacy]'") from error


@dataclass(frozen=True)
class Budget:
    """`steps` steps, each with rows drawn at `rate` and noise of `noise` clipping norms; the chance `delta` is outside the promise."""

    noise: float
    rate: float
    steps: int
    delta: float

    def epsilon(self, accountant: Literal["prv", "rdp"] = "prv") -> float:
        """The largest log ratio of chances that one row more or less can make, but for `delta`: an upper bound."""
        from opacus.accountants import create_accountant

        found = create_accountant(mechanism=accountant)
        found.history = [(self.noise, self.rate, self.steps)]
        with _still():
            return float(found.get_epsilon(delta=self.delta, **({"alphas": ORDERS} if accountant == "rdp" else {})))


def noise_for(epsilon: float, *, delta: float, rate: float, steps: int) -> float:
    """The least noise, to 0.01 of epsilon, at which the steps cost at most `epsilon` by the PRV accountant."""
    from opacus.accountants.utils import get_noise_multiplier

    try:
        with _still():
            return float(get_noise_multiplier(target_epsilon=epsilon, target_delta=delta, sample_rate=rate, steps=steps, accountant="prv"))
    except ValueError as error:
        raise TrainingError(
            f"no noise makes {steps} steps cost only epsilon {epsilon} at delta {delta}", "give a larger --epsilon"
        ) from error


class Privacy:
    """One private training: it draws the rows of a step, sums their clipped gradients and adds the noise.

    Its chances come from the operating system and are not kept: the training's seed is logged, and noise that can be drawn again protects nobody.
    """

    def __init__(
        self, settings: Private, *, rows: int, batch_size: int, epochs: int, world: World | None = None, device: str = "cpu"
    ) -> None:
        import torch

        self.settings, self.rows, self.batch, self.world = settings, rows, min(batch_size, rows), world or World()
        self.device = device
        self.rate = self.batch / rows
        self.steps_an_epoch = max(1, round(rows / self.batch))
        steps = self.steps_an_epoch * epochs
        noise = settings.noise_multiplier
        if noise is None:
            assert settings.epsilon is not None
            noise = noise_for(settings.epsilon, delta=settings.delta, rate=self.rate, steps=steps)
        self.budget = Budget(noise, self.rate, steps, settings.delta)
        self.bound = Bound(settings.clip_norm, settings.clipping == "per_layer")
        self.steps_taken = 0
        self.drawn = [0, 0, 0]  # batches, and the sums of their sizes and of the squares of these
        self.times = torch.zeros(rows, dtype=torch.int64)  # how often each row was drawn
        self.added = [0.0, 0.0]  # numbers that noise was added to, and the sum of its squares, in clipping norms
        self.modes: dict[int, str] = {}
        seeds = self._seeds()
        self._sampling, self._noise = (torch.Generator().manual_seed(seed) for seed in seeds)

    def _seeds(self) -> list[int]:
        """Two seeds that all processes share."""
        import torch

        if self.settings.noise_seed is not None:
            return [self.settings.noise_seed, self.settings.noise_seed + 1]
        mine = [secrets.randbits(62) if self.world.first else 0 for _ in range(2)]
        return [int(seed) for seed in self.world.sum(torch.tensor(mine, dtype=torch.int64, device=self.device))]

    def ready(self, net: nn.Module, inputs: list[Tensor]) -> nn.Module:
        """The net that trains in place of `net`, with its weights (`supported`); a layer that cannot be private is refused by name."""
        found = supported(net, inputs)
        if self.world.first and [type(m) for m in found.modules()] != [type(m) for m in net.modules()]:
            print(
                "note: recurrent layers train as those of Opacus (ModuleValidator.fix), with the same weights and outputs", file=sys.stderr
            )
        return found

    def draw(self) -> Tensor:
        """Places of the rows of one step, ascending: each row with chance `rate`, independently. There may be none.

        What was drawn is counted for the record, so that an auditor need not take our word for how.
        """
        found = self._places()
        self.drawn = [a + b for a, b in zip(self.drawn, (1, len(found), len(found) ** 2), strict=True)]
        self.times[found] += 1
        return found

    def _places(self) -> Tensor:
        import torch

        return torch.nonzero(torch.rand(self.rows, generator=self._sampling, dtype=torch.float64) < self.rate).flatten()

    def at_once(self, net: nn.Module) -> int:
        """How many rows go through the net together; it changes nothing but memory and time."""
        weights = sum(p.numel() for p in net.parameters() if p.requires_grad)
        return self.settings.rows_at_once or max(1, AT_ONCE // max(1, weights))

    @contextmanager
    def clipping(self, net: nn.Module, losses: Callable[[Tensor], Tensor]) -> Iterator[Clipper]:
        """A clipper over the parameters that learn now. `losses` gives (n,) for places of training rows; with it a mode is chosen and checked."""
        learning = sum(p.requires_grad for p in net.parameters())
        if learning not in self.modes:
            self.modes[learning] = self._choose(net, losses)
        opened = clipper(net, self.modes[learning], self.bound)
        try:
            with quiet():
                yield opened
        finally:
            opened.close()

    def add_noise(self, net: nn.Module) -> None:
        """Turn the summed gradients into the noisy mean that the optimiser takes: also where no row was drawn."""

        for parameter in net.parameters():
            if parameter.requires_grad:
                summed = 0 if parameter.grad is None else parameter.grad
                total = self._normal(parameter.shape).to(parameter.device) * (self.budget.noise * self.bound.norm) + summed
                seen = (total - summed).detach().flatten() / self.bound.norm  # what was added, not what was meant to be
                self.added = [self.added[0] + seen.numel(), self.added[1] + float(seen @ seen)]
                parameter.grad = total / self.batch
        self.steps_taken += 1

    def _normal(self, shape: Any) -> Tensor:
        import torch

        return torch.randn(shape, generator=self._noise)

    def _choose(self, net: nn.Module, losses: Callable[[Tensor], Tensor]) -> str:
        """The fastest mode whose sums are right, or the one that was asked for; with a stated seed the first, for clocks do not repeat themselves
        and modes differ in their last digits."""
        import torch

        few = torch.linspace(0, self.rows - 1, min(CHECKED, self.rows)).long()
        many = torch.arange(min(self.batch, self.at_once(net), self.rows))
        reasons: dict[str, str] = {}
        taken: dict[str, float] = {}
        for mode in MODES if self.settings.mode == "auto" else (self.settings.mode,):
            why = unsuited(net, mode, self.bound) or disagreement(net, mode, self.bound.per_layer, lambda part: losses(few[part]), len(few))
            if why is not None:
                reasons[mode] = why
            elif self.settings.mode != "auto" or self.settings.noise_seed is not None:
                return mode
            else:
                taken[mode] = seconds(net, mode, self.bound, lambda: losses(many))
        if not taken:
            said = "; ".join(f"{mode}: {why}" for mode, why in reasons.items())
            other = "--private-mode auto, or " if self.settings.mode != "auto" else ""
            raise TrainingError(f"the gradients of single rows cannot be had of this network ({said})", f"{other}another training.network")
        fastest = torch.tensor(MODES.index(min(taken, key=lambda mode: taken[mode])) if self.world.first else 0, device=self.device)
        return MODES[int(self.world.sum(fastest))]

    def state(self) -> dict[str, Any]:
        """What goes on where a training is interrupted."""
        states = {"sampling": self._sampling.get_state(), "noise": self._noise.get_state()}
        return {
            **states,
            "steps_taken": self.steps_taken,
            "drawn": self.drawn,
            "times": self.times,
            "added": self.added,
            "modes": self.modes,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from there: the noise of a step that is taken again is the same noise, and costs nothing more."""
        self._sampling.set_state(saved["sampling"])
        self._noise.set_state(saved["noise"])
        self.steps_taken, self.drawn, self.modes = saved["steps_taken"], saved["drawn"], saved["modes"]
        self.times, self.added = saved["times"], saved["added"]

    def record(self, more: list[str]) -> dict[str, Any]:
        """What an auditor must know; `more` is what else the promise does not cover, in this training.

        `steps` are those accounted for: all that were planned, also where training stopped early, for the rows had a say in when.
        """
        from opacus import __version__

        budget = self.budget
        return {
            "mechanism": "DP-SGD", "epsilon": budget.epsilon(), "delta": budget.delta, "accountant": "prv",
            "accountant_version": f"opacus {__version__}", "epsilon_rdp": budget.epsilon("rdp"),
            "noise_multiplier": budget.noise, "sample_rate": budget.rate, "steps": budget.steps, "steps_taken": self.steps_taken,
            "rows": self.rows, "expected_batch_size": self.batch, "sampling": "poisson", "clip_norm": self.bound.norm,
            "clipping": self.settings.clipping, "mode": self.modes[max(self.modes)] if self.modes else self.settings.mode,
            "adjacency": "one training row more or less", "secure_mode": False,
            "noise_source": "stated seed" if self.settings.noise_seed is not None else "operating system, not kept",
            **self._drawn(), "not_covered": [*self._not_covered(), *more],
        }  # fmt: skip

    def _drawn(self) -> dict[str, float]:
        """How the sizes of the batches and the draws of each row varied, which tells a Poisson sample from shuffled rows, and how large the noise
        was that was added, in clipping norms; nothing before the second batch."""
        batches, total, squares = self.drawn
        if batches < 2:
            return {}
        return {
            "drawn_batches": batches, "drawn_mean": total / batches, "drawn_variance": (squares * batches - total**2) / (batches * (batches - 1)),
            "times_mean": float(self.times.double().mean()), "times_variance": float(self.times.double().var()),
            "noise_numbers": self.added[0], "noise_added": (self.added[1] / max(1.0, self.added[0])) ** 0.5,
        }  # fmt: skip

    def _not_covered(self) -> list[str]:
        found = [
            "validation and evaluation rows: they choose the epoch and the cutoff, and their figures are logged as they are",
            "the training rows themselves, which are stored beside the model for its audit: the promise is about the weights",
            "the number of training rows, which the sample rate tells",
            "the choice of settings: every other training on these rows costs a budget of its own",
            "attacks on the noise itself: it comes from PyTorch's generator in single precision, not from a cryptographic one (secure mode off)",
        ]
        if self.settings.noise_seed is not None:
            found.append("whoever knows the stated noise seed: the noise can be drawn again and taken off")
        if self.settings.delta >= 1 / self.rows:
            found.append(f"delta {self.settings.delta:g} is not below 1 / {self.rows} rows: it allows to publish a row as it is")
        return found


def supported(net: nn.Module, inputs: list[Tensor]) -> nn.Module:
    """The net that trains: `net` itself, or a copy with Opacus' layers in it where these have the same weights and give the same for `inputs`.

    A layer that mixes rows, or whose gradients of single rows Opacus cannot take, is refused by name.
    """
    import torch
    from opacus.validators import ModuleValidator

    net.train()
    if any(not p.is_contiguous() for p in net.parameters()):  # Opacus' unfolding reads channels-last numbers in the wrong order
        net = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
    errors = ModuleValidator.validate(net, strict=False)
    if not errors:
        return net
    bad = [
        f"{name or 'the network'} ({type(m).__name__})"
        for name, m in net.named_modules()
        if type(m) in ModuleValidator.VALIDATORS and any(ModuleValidator.VALIDATORS[type(m)](m))
    ]
    what = f"private training is not possible with the layers {', '.join(bad) or str(errors[0])[:200]}"
    fixed = ModuleValidator.fix(net).train()
    if ModuleValidator.validate(fixed, strict=False):
        raise TrainingError(what, "choose a training.network without them, or train without privacy")
    if _shapes(net) != _shapes(fixed):
        raise TrainingError(
            f"{what}, and ModuleValidator.fix would make another network of it, which the audit could not build",
            "choose a training.network without them, with group normalisation for batch normalisation",
        )
    with torch.no_grad():
        same = torch.allclose(net.eval()(*inputs), fixed.eval()(*inputs), rtol=1e-4, atol=1e-5)
    net.train()
    if not same:
        raise TrainingError(
            f"{what}, for what ModuleValidator.fix puts in their place gives other outputs", "choose another training.network"
        )
    return fixed.train()


def _shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    """Every weight and buffer with its shape, by name: nets that agree can take each other's."""
    return {name: tuple(value.shape) for name, value in [*net.named_parameters(), *net.named_buffers()]}
