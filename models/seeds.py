"""The same training with other seeds, each net made smaller as a variant was: what making it smaller does whatever the seed (Hooker et al. 2019).

One net and its smaller version differ on some rows by the luck of one training. Of several pairs the most frequent answer on each side can be
compared, row by row; an audit does that (efficiency.exemplars).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.data import PARTS
from models.errors import TrainingError
from models.settings import NetTraining, Preset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.learners.net import Net
    from models.registered import Registered

#: Of fewer models a most frequent answer says little; more are no better known.
FEWEST, MOST = 5, 30
WITHOUT = "leave out --seeds"


@dataclass(frozen=True)
class Seeds:
    """Nets of the base's recipe and rows with seeds of their own, and the smaller version of each, in the same order."""

    base: list[Net]
    small: list[Net]

    def log(self, example: tuple[NDArray[Any], ...]) -> None:
        """`seeds/base/000.pt2` and `seeds/small/000.pt2` and so on, on the current run."""
        import mlflow

        from models.references import write_graphs

        with tempfile.TemporaryDirectory() as folder:
            write_graphs(self.base, Path(folder, "base"), example)
            write_graphs(self.small, Path(folder, "small"), example)
            mlflow.log_artifacts(folder, "seeds")


def recipe(base: Registered, count: int, *, students: bool) -> Preset:
    """What the base was trained by, as its run keeps it; says what it costs to do that again, and refuses what cannot be done."""
    import mlflow
    from mlflow import MlflowClient

    from models.config import validated
    from models.tracking import RECIPE

    client = MlflowClient()
    if RECIPE not in {file.path for file in client.list_artifacts(base.run_id)}:
        raise TrainingError(
            f"{base.uri} was logged without its recipe ({RECIPE}), so it cannot be trained again", f"train it anew, or {WITHOUT}"
        )
    preset = validated(mlflow.artifacts.load_dict(f"runs:/{base.run_id}/{RECIPE}"), base.preset)
    assert isinstance(preset.training, NetTraining), "what is opened is a net"
    if preset.training.private is not None:
        raise TrainingError(f"{base.uri} promises privacy for one training, and {count} more on its rows would break it", WITHOUT)
    took = client.get_run(base.run_id).data.metrics.get("fit_seconds")
    told = "" if took is None else f", whose own training took {took:.0f} s"
    more = f" and {count} students of theirs" if students else ""
    print(
        f"note: --seeds {count} trains {count} models more by the recipe of {base.uri}{told}{more}; what is interrupted is begun anew",
        file=sys.stderr,
    )
    return preset


def population(base: Registered, preset: Preset, smaller: Callable[[Registered, int], Net], *, count: int, device: str) -> Seeds:
    """`count` nets of the preset, each with a seed of its own, on the training rows of the base; `smaller` makes the smaller version of the k-th."""
    import numpy as np

    from models.learners.net import prepare
    from models.loop import deterministic
    from models.references import side_by_side

    started, dataset = time.perf_counter(), base.dataset
    with deterministic(preset.seed, threads=preset.threads):
        prepared = replace(prepare(preset, dataset, device), source=None)
    learned = np.concatenate([np.full(len(dataset.parts[part]), part == "train") for part in PARTS])
    nets, _ = side_by_side(preset, dataset, prepared, np.tile(learned, (count, 1)), device=device)
    small = [smaller(replace(base, net=net), k) for k, net in enumerate(nets)]
    print(f"note: {count} models of other seeds and their smaller versions in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return Seeds(nets, small)
