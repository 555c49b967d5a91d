"""Sequences of events: from a long table to rows, and a recurrent net that sees all events of a row, their order, and nothing after the last."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from models.config import load_preset
from models.encoding import Column, Encoder
from models.errors import TrainingError
from models.nets.events import build, lengths
from models.settings import DataSettings, Signal, Split
from models.sources.events import Options, sequences

NAN = float("nan")
COLUMN = Column(
    "visits", "sequence", steps=5, fields=(Column("ward", "category", ("a", "b", "c")), Column("days", "number"), Column("tests", "number"))
)


def net(cell: str = "lstm", layers: int = 1, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    network = {"cell": cell, "embedding": 4, "hidden": 6, "layers": layers, "dense": [5], "dropout": 0.2}
    module = build({"columns": [COLUMN.record()], "classes": 2, "network": network})
    module.fit(batch())
    return module.eval()


def batch(n: int = 40, steps: int = 5, seed: int = 0) -> torch.Tensor:
    """Rows of 0 to `steps` events; single numbers and categories are missing here and there."""
    stream = np.random.default_rng(seed)
    x = np.stack([stream.integers(-1, 3, (n, steps)), stream.poisson(4, (n, steps)), stream.poisson(30, (n, steps))], axis=2).astype(
        np.float32
    )
    x[stream.random((n, steps)) < 0.2, 1] = np.nan
    x[np.arange(steps) >= (np.arange(n) % (steps + 1))[:, None]] = np.nan
    return torch.from_numpy(x)


def test_lengths_by_hand() -> None:
    """An event with one known field counts, and so does an unknown one before it."""
    x = torch.tensor([
        [[1, 2], [0, NAN], [NAN, NAN]], [[NAN, NAN], [NAN, NAN], [NAN, NAN]], [[NAN, NAN], [NAN, 3], [NAN, NAN]], [[1, 1], [1, 1], [1, 1]],
    ])  # fmt: skip
    assert lengths(x).tolist() == [2, 0, 2, 3]


@pytest.mark.filterwarnings("ignore:.*_flat_weights.* assigned during export")  # torch's own list of a recurrent layer's weights
@pytest.mark.parametrize(("cell", "layers"), [("lstm", 1), ("gru", 2)])
def test_packed_events_and_the_exported_graph_give_the_same(cell: str, layers: int) -> None:
    """The graph was made from four rows, and takes any number; the shortest row has no event, the longest fills all steps."""
    module, x = net(cell, layers), batch()
    assert sorted(set(lengths(x).tolist())) == [0, 1, 2, 3, 4, 5]
    with torch.inference_mode():
        packed = module(x)
    exported = torch.export.export(module, (batch(4, seed=1),), dynamic_shapes=[{0: torch.export.Dim.AUTO}])
    assert "pack_padded" not in str(exported.graph)
    assert torch.allclose(exported.module()(x), packed, atol=1e-6)
    assert torch.allclose(exported.module()(x[:1]), packed[:1], atol=1e-6)
    assert packed.std(dim=0).min() > 1e-3  # the rows differ, so equal answers mean something


def test_both_paths_have_the_same_gradients() -> None:
    module, x = net(), batch()
    found = []
    for path in (module._packed, module._padded):
        module.zero_grad()
        path(x, lengths(x)).square().sum().backward()
        found.append([p.grad.clone() for p in module.parameters() if p.grad is not None])
    assert len(found[0]) == len(found[1]) > 4
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*found, strict=True))


def test_what_comes_after_the_last_event_does_not_matter_and_the_order_does() -> None:
    module, x = net(), batch()
    with torch.inference_mode():
        longer = torch.cat([x, torch.full((len(x), 7, 3), NAN)], dim=1)
        assert torch.equal(module(longer), module(x))
        alone = torch.cat([module(row[None, : max(int(n), 1)]) for row, n in zip(x, lengths(x), strict=True)])
        assert torch.allclose(alone, module(x), atol=1e-6)
        full = x[lengths(x) == 5]
        assert not torch.allclose(module(full.flip(1)), module(full), atol=1e-3)


def test_rows_without_events_and_no_rows_at_all() -> None:
    module = net()
    with torch.inference_mode():
        nothing = module(torch.full((3, 5, 3), NAN))
        assert torch.equal(nothing, module.head(torch.zeros(3, 6)))
        assert module(torch.empty(0, 5, 3)).shape == (0, 2)


def test_unknown_categories_are_the_zero_vector_and_learn_nothing() -> None:
    codes = net().categories[0]
    x = torch.tensor([-1.0, NAN, 0.0, 2.0])
    found = codes(x)
    assert torch.equal(found[:2], torch.zeros(2, codes.width))
    assert found[2:].abs().min() > 0
    found.sum().backward()
    assert codes.vectors.weight.grad[0].abs().max() == 0


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_an_audit_counts_every_operation(cell: str) -> None:
    """Two rows of five events of width 9: the gates (4 of LSTM, 3 of GRU) of 6 units see 9 inputs and 6 states; then 6 × 5 and 5 × 2."""
    from audit.subject.flavors.operations import count

    module, x = net(cell), torch.zeros(2, 5, 3)
    with torch.inference_mode():
        operations, unknown = count(lambda: module(x))
    width = module.recurrent.input_size
    gates = {"lstm": 4, "gru": 3}[cell] * 6
    assert unknown == []
    assert operations == 2 * 2 * (5 * gates * (width + 6) + 6 * 5 + 5 * 2)


def settings(**changes: Any) -> DataSettings:
    signal = Signal(kind="sequence", steps=5, fields=("ward", "days"), categories=("ward",))
    parts: dict[str, Any] = {
        "source": "events", "target": "back", "signals": {"visits": signal}, "sensitive": {"sex": {}},
        "split": Split(train=0.6, validation=0.2, evaluation=0.2, seed=0),
    }  # fmt: skip
    return DataSettings(**(parts | changes))


OPTIONS = Options(person="id", order="at", outcome="then", yes="<30", missing=("?",), without={"ward": ("morgue",)})
EVENTS = pd.DataFrame({
    "id": [7, 3, 7, 5, 7, 3], "at": [30, 1, 10, 9, 20, 2], "ward": ["a", "b", "?", "morgue", "c", "a"], "days": [3, 1, 1, 4, 2, 2],
    "sex": ["f", "m", "f", "m", "?", "?"], "then": ["<30", "<30", "NO", "NO", "NO", "NO"],
})  # fmt: skip


def test_events_become_sequences_by_hand() -> None:
    """Person 5's latest event leaves the person out; the sensitive columns and the outcome are those of the latest event; ? is missing."""
    rows = sequences(EVENTS, settings(), OPTIONS)
    assert rows["id"].tolist() == [3, 7]
    assert rows["visits"].tolist() == [
        [{"ward": "b", "days": 1}, {"ward": "a", "days": 2}],
        [{"ward": None, "days": 1}, {"ward": "c", "days": 2}, {"ward": "a", "days": 3}],
    ]
    assert rows["back"].tolist() == ["no", "yes"]
    assert rows["sex"].isna().tolist() == [True, False]


def test_what_the_events_lack_is_one_line() -> None:
    with pytest.raises(TrainingError, match=r"no columns at, days"):
        sequences(EVENTS.drop(columns=["at", "days"]), settings(), OPTIONS)
    with pytest.raises(TrainingError, match="no event of a known person"):
        sequences(EVENTS.assign(id=None), settings(), OPTIONS)


def test_a_missing_or_empty_sequence_is_all_padding() -> None:
    rows = pd.DataFrame({"visits": pd.Series([None, [], float("nan"), [{"ward": "c", "days": 2, "tests": None}]], dtype=object)})
    (x,) = Encoder((COLUMN,)).arrays(rows)
    assert np.isnan(x[:3]).all()
    assert x[3, 0, :2].tolist() == [2.0, 2.0]
    assert np.isnan(x[3, 0, 2])
    assert np.isnan(x[3, 1:]).all()


def test_the_audit_decodes_the_same_numbers() -> None:
    """Missing, empty, unknown ward, missing number, and more events than the net takes: from the parquet's types as from Python's lists."""
    import pyarrow as pa

    from audit.decoding import decode
    from audit.features import FeatureSpec, Field

    def event(ward: str | None, days: int | None) -> dict[str, Any]:
        return {"ward": ward, "days": days, "tests": 1.5}

    rows = [None, [], [event("c", 2), event("z", None), event(None, 4)], [event("abc"[i % 3], i) for i in range(8)]]
    (expected,) = Encoder((COLUMN,)).arrays(pd.DataFrame({"visits": pd.Series(rows, dtype=object)}))
    fields = tuple(Field(name=f.name, kind="category" if f.vocabulary else "number", vocabulary=f.vocabulary) for f in COLUMN.fields)
    spec = FeatureSpec(name="visits", kind="sequence", read="decoded", shape=(5, 3), fields=fields)
    assert np.array_equal(decode(pa.array(rows), spec), expected.reshape(4, -1), equal_nan=True)
    assert expected[3, :, 1].tolist() == [3, 4, 5, 6, 7]


def test_the_preset_lets_no_sensitive_column_and_no_later_outcome_in() -> None:
    preset = load_preset("events-rnn")
    fields = set(preset.data.signals["encounters"].fields)
    assert not fields & {"race", "gender", "age", "readmitted", "payer_code", "weight", "patient_nbr", "encounter_id"}
    assert preset.data.split.group == "patient_nbr"


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("mode", ["ghost", "hooks"])
def test_private_training_sees_rows_and_not_a_heap_of_events(cell: str, mode: str) -> None:
    """With Opacus' layers the net says the same, and the clipped sum is that of single rows, whatever their lengths."""
    from models.clipping import disagreement
    from models.privacy import supported

    module, x = net(cell), batch()
    y = torch.arange(40) % 2
    with torch.inference_mode():
        before = module(x)
    private = supported(module, [x])
    with torch.inference_mode():
        assert torch.allclose(private.eval()(x), before, atol=1e-5)
    private.train()

    def losses(part: slice) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(private(x[part]), y[part], reduction="none")

    assert disagreement(private, mode, False, losses, 12) is None
