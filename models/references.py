"""Reference models for a membership audit (Carlini et al. 2022, arXiv:2112.03570): the same training again, on random halves of the rows.

An auditor who knows how the score of a row spreads over trainings with it and over trainings without it can tell on which side the audited
model lies. Rows are the training and the evaluation rows together, so that the audited model knows some and not others; the validation rows
stop every training early, and are in none.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.data import PARTS, Dataset
from models.errors import TrainingError
from models.loop import Around, deterministic
from models.settings import NetTraining, Preset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from models.learners.net import Net, Prepared

#: Fewest rows in which a half is still something to learn from.
FEWEST = 20


@dataclass(frozen=True)
class References:
    """`keep` (K, n): whether training k had row i, by the order of `privacy/members.parquet` (training, validation, evaluation rows); and the
    nets that came out, in evaluation, with the epoch that each kept. `seed` drew the halves."""

    keep: NDArray[np.bool_]
    nets: list[Net]
    best_epochs: list[int]
    seed: int

    def record(self) -> dict[str, Any]:
        """What an auditor must be told beside the files."""
        return {
            "count": len(self.nets), "seed": self.seed, "best_epochs": self.best_epochs, "rows": [int(n) for n in self.keep.sum(axis=1)],
            "drawn_from": "training and evaluation rows; each row is in half of the trainings", "shared": "columns, vocabularies and pre-training",
        }  # fmt: skip


def halves(count: int, dataset: Dataset, seed: int) -> NDArray[np.bool_]:
    """(count, n): each training and evaluation row is in half of the trainings (of an odd number: one more or less, by a coin), chosen at
    random; rows of one person, where the data are split by person, are in the same ones. Validation rows are in none."""
    import numpy as np
    import pandas as pd

    rows = pd.concat([dataset.parts[part] for part in PARTS], ignore_index=True)
    group = dataset.settings.split.group
    codes = pd.factorize(rows[group], use_na_sentinel=False)[0] if group in rows.columns else np.arange(len(rows))
    stream = np.random.default_rng(seed)
    units = int(codes.max()) + 1
    coin = stream.integers(0, 2, units)
    ranks = stream.random((count, units)).argsort(axis=0).argsort(axis=0)
    keep: NDArray[np.bool_] = (ranks < (count + coin) // 2)[:, codes]
    at = len(dataset.parts["train"])
    keep[:, at : at + len(dataset.parts["validation"])] = False
    return keep


def trained(preset: Preset, dataset: Dataset, prepared: Prepared, *, count: int, device: str) -> References:
    """The reference models, each on its half of the rows."""
    candidates = len(dataset.parts["train"]) + len(dataset.parts["evaluation"])
    if candidates < 2 * FEWEST:
        raise TrainingError(f"{candidates} rows are too few for reference models on halves of them", "leave out --references")
    keep, started = halves(count, dataset, preset.seed), time.perf_counter()
    nets, epochs = side_by_side(preset, dataset, prepared, keep, device=device)
    print(f"note: {count} reference models in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return References(keep, nets, epochs, preset.seed)


def side_by_side(
    preset: Preset, dataset: Dataset, prepared: Prepared, keep: NDArray[np.bool_], *, device: str
) -> tuple[list[Net], list[int]]:
    """K trainings by one recipe, each with a seed of its own and on the rows that `keep` (K, n) gives it: the nets, in evaluation, and the epoch that
    each kept. One after the other on a GPU, else on as many cores as there are."""
    from models.learners.net import assemble

    count = len(keep)
    workers = 1 if device != "cpu" else min(count, len(os.sched_getaffinity(0)))
    if workers > 1:  # as many side by side as there are cores, each on one, end sooner than one after the other on all of them
        preset = preset.model_copy(update={"threads": 1})
    if workers == 1:
        found = [_one(preset, dataset, prepared, keep[k], k, device) for k in range(count)]
    else:
        given = (preset, dataset, prepared)
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=given) as pool:
            found = list(pool.map(_child, keep, range(count)))
    nets = []
    for state, _ in found:
        net = assemble(preset, dataset, prepared)
        net.module.load_state_dict(_tensors(state))
        nets.append(replace(net, module=net.module.eval()))
    return nets, [best for _, best in found]


_GIVEN: list[Any] = []


def _start(preset: Preset, dataset: Dataset, prepared: Prepared) -> None:
    """What every training of a child needs, handed over once."""
    _GIVEN[:] = [preset, dataset, prepared]


def _child(keep: NDArray[np.bool_], k: int) -> tuple[bytes, int]:
    preset, dataset, prepared = _GIVEN
    return _one(preset, dataset, prepared, keep, k, "cpu")


def _one(preset: Preset, dataset: Dataset, prepared: Prepared, keep: NDArray[np.bool_], k: int, device: str) -> tuple[bytes, int]:
    """Training k: its weights and buffers as safetensors, and the epoch that was kept. Its seed is its own."""
    import pandas as pd
    from safetensors.torch import save

    from models.learners.net import assemble, learn, private

    assert isinstance(preset.training, NetTraining)
    rows = pd.concat([dataset.parts[part] for part in PARTS], ignore_index=True)
    half = replace(dataset, parts=dataset.parts | {"train": rows[keep].reset_index(drop=True)})
    own = preset.model_copy(update={"seed": preset.seed + 1 + k})
    around = Around(lambda *_: None)
    with deterministic(own.seed, threads=preset.threads):
        net = assemble(own, half, prepared)
        net, best, _ = learn(own, half, net, device, around, private(own, int(keep.sum()), around, device))
    return save({name: tensor.clone().contiguous() for name, tensor in net.module.state_dict().items()}), best


def _tensors(state: bytes) -> dict[str, Any]:
    from safetensors.torch import load

    return load(state)  # type: ignore[no-any-return]  # torch is Any to mypy: see pyproject.toml


def write(references: References, folder: Path, example: tuple[NDArray[Any], ...]) -> None:
    """`keep.npy`, and `references/000.pt2` and so on, each a graph that takes any number of rows; `example` has two rows or more."""
    import numpy as np

    np.save(folder / "keep.npy", references.keep)
    write_graphs(references.nets, folder / "references", example)


def write_graphs(nets: list[Net], folder: Path, example: tuple[NDArray[Any], ...]) -> None:
    """`000.pt2` and so on in a new folder; see `save_graph`."""
    folder.mkdir()
    for k, net in enumerate(nets):
        save_graph(net.module, example, folder / f"{k:03d}.pt2")


def save_graph(module: nn.Module, example: tuple[NDArray[Any], ...], path: Path) -> None:
    """A graph of torch.export that takes any number of rows; `example` has two rows or more."""
    import warnings

    import torch

    inputs = tuple(torch.from_numpy(x) for x in example)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r".*_flat_weights.* assigned during export", category=UserWarning
        )  # a recurrent layer's own list
        shapes = tuple({0: torch.export.Dim.AUTO} for _ in inputs)
        torch.export.save(torch.export.export(module, inputs, dynamic_shapes=shapes), path)
