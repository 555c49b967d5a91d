"""Canaries for the one-run privacy audit (Steinke, Nasr, Jagielski 2023, arXiv:2305.08846): rows of which a coin decides whether they train.

Each is a training row with a wrong label, which a net can only learn by heart. The audit guesses from the model which of them were in; a model
that tells better than its promise allows refutes the promise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import TrainingError
from models.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd

#: At most this share of the training rows become canaries: the rest must teach the task.
SHARE = 0.5


def plant(train: pd.DataFrame, settings: DataSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The training rows with the canaries that are in, and all canaries: their columns, `included`, and `row`, the place among the training
    rows from 0 on (missing where a canary is out).

    `settings.canaries` rows are drawn with `settings.canary_seed`, their labels changed to another that the rows have, each equally likely; each
    then stays with chance ½, on its own.
    """
    import numpy as np
    import pandas as pd

    count, target = settings.canaries, settings.target
    if settings.task == "regression":
        raise TrainingError("canaries are rows with a wrong label, and this outcome is a quantity", "leave out --canaries")
    if count > SHARE * len(train):
        raise TrainingError(f"{count} canaries among {len(train)} training rows are too many", f"plant at most {int(SHARE * len(train))}")
    stream = np.random.default_rng(settings.canary_seed)
    places = np.sort(stream.choice(len(train), size=count, replace=False))
    labels = train[target].drop_duplicates().sort_values().to_numpy()
    right = np.searchsorted(labels, train[target].to_numpy()[places])
    wrong = (right + stream.integers(1, len(labels), size=count)) % len(labels)
    included = stream.random(count) < 0.5
    changed = train[target].to_numpy(copy=True)
    changed[places] = labels[wrong]
    planted = train.assign(**{target: pd.Series(changed, index=train.index).astype(train[target].dtype)})
    canaries = planted.iloc[places].reset_index(drop=True)
    kept = np.ones(len(train), dtype=bool)
    kept[places[~included]] = False
    now = np.cumsum(kept) - 1
    row = pd.array([int(now[place]) if inside else None for place, inside in zip(places, included, strict=True)], dtype="Int64")
    return planted[kept].reset_index(drop=True), canaries.assign(included=included, row=row)
