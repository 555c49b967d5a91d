"""A registered net without a store: made-up applicants, whose group moves both the inputs and the label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from models.data import PARTS, Dataset
from models.encoding import Column, Encoder
from models.learners.net import Net, Prepared
from models.nets.tabular import build
from models.registered import Registered
from models.settings import DataSettings, Split

COLUMNS = (Column("income", "number"), Column("debt", "number"), Column("job", "category", ("none", "some")))
#: The cut-off of the base.
CUT = 0.6


def rows(n: int, seed: int) -> pd.DataFrame:
    """n people; group b earns less, and of b one in ten is not known to be so."""
    stream = np.random.default_rng(seed)
    b = stream.random(n) < 0.4
    income, debt = stream.normal(1 - b, 1, n), stream.normal(0, 1, n)
    chance = 1 / (1 + np.exp(-(income - debt + 0.5)))
    group = np.where(b, np.where(stream.random(n) < 0.1, None, "b"), "a")
    return pd.DataFrame({
        "income": income, "debt": np.where(stream.random(n) < 0.05, np.nan, debt), "job": np.where(stream.random(n) < 0.5, "none", "some"),
        "paid": np.where(stream.random(n) < chance, "yes", "no"), "side": pd.Series(group, dtype="str"),
    })  # fmt: skip


def registered(*, one_output: bool = False) -> Registered:
    """A net of 600 rows that was trained for a moment, so that its scores mean something."""
    parts = dict(zip(PARTS, (rows(600, 1), rows(300, 2), rows(200, 3)), strict=True))
    encoder = Encoder(COLUMNS)
    config = {"columns": encoder.record(), "classes": 2, "network": {"hidden": [8], "one_output": one_output}}
    settings = DataSettings(
        source="table", target="paid", positive="yes", classes=("no", "yes"), sensitive={"side": {}},
        split=Split(train=0.5, validation=0.25, evaluation=0.25, seed=0),
    )  # fmt: skip
    dataset = Dataset(parts, COLUMNS, settings, {})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = build(config)
        x, y = torch.from_numpy(encoder.arrays(parts["train"])[0]), torch.from_numpy(dataset.y("train"))
        module.fit(x)
        optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
        for _ in range(60):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(x), y).backward()
            optimizer.step()
    roles = {"decision": f"score>={CUT}", "sensitive": ["side"], "context": {}, "classes": ["no", "yes"], "positive": "yes"}
    net = Net(module.eval().requires_grad_(False), encoder, config, "tabular", Prepared())
    return Registered("made-up", "1", net, dataset, roles, {"outputs": "logit"}, "table", "tabular", Path("/nonexistent"))
