"""Table and text in one net: padding says nothing, the decision is a sum of both, and the audit's worker gives the very same predictions."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer

import models.sources.admissions as admissions
from models.config import load_preset
from models.data import Dataset, load
from models.encoding import Encoder
from models.errors import TrainingError
from models.learners import Fitted, net
from models.loop import Around
from models.metrics import softmax
from models.nets.latefusion import LateFusion, build
from models.pretraining.words import Words, learned

if TYPE_CHECKING:
    from conftest import Audited

SILENT = Around(lambda *_: None)
COLUMNS = [
    {"name": "x", "kind": "number"}, {"name": "word", "kind": "category", "vocabulary": ["a", "b"]}, {"name": "text", "kind": "text", "length": 6},
]  # fmt: skip
MAPPING = """admission_type_id,description
1,Emergency
6,NULL
,
discharge_disposition_id,description
1,Discharged to home
11,Expired
,
admission_source_id,description
7, Emergency  Room
"""


def small() -> LateFusion:
    torch.manual_seed(0)
    network = {"hidden": [4], "embedding": 5, "filters": 3, "span": 3, "dropout": 0.5}
    module = build({"columns": COLUMNS, "classes": 2, "tokens": 20, "network": network}).eval()
    assert isinstance(module, LateFusion)
    return module


def batch(n: int, length: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(n)
    table = torch.stack([torch.randn(n, generator=stream), torch.randint(-1, 2, (n,), generator=stream).float()], dim=1)
    ids = torch.randint(1, 20, (n, length), generator=stream)
    return table, ids * (torch.arange(length) < torch.randint(0, length + 1, (n, 1), generator=stream))


def test_how_far_a_text_is_filled_up_changes_nothing() -> None:
    module = small()
    table, ids = batch(30)
    longer = torch.cat([ids, torch.zeros(30, 9, dtype=torch.int64)], dim=1)
    assert torch.allclose(module(table, ids), module(table, longer), atol=1e-6)
    with torch.no_grad():
        module.text.convolution.bias.fill_(1.0)  # padding answers now, and still is not heard
        assert torch.equal(module.text(torch.zeros(2, 6, dtype=torch.int64)), torch.zeros(2, 3))
        assert torch.allclose(module(table, ids), module(table, longer), atol=1e-6)


def test_a_convolution_by_hand() -> None:
    """One filter over three neighbours, weights 0, 1, 10 of vectors equal to their ids: of 3, 1, 2 the strongest is 1 + 10 · 2."""
    network = {"hidden": [4], "embedding": 1, "filters": 1, "span": 3, "dropout": 0.0}
    module = build({"columns": COLUMNS, "classes": 2, "tokens": 20, "network": network}).eval()
    with torch.no_grad():
        module.text.embedding.weight.copy_(torch.arange(20.0).view(20, 1))
        module.text.convolution.weight.copy_(torch.tensor([[[0.0, 1.0, 10.0]]]))
        module.text.convolution.bias.zero_()
        assert module.text(torch.tensor([[3, 1, 2, 0, 0, 0], [0, 0, 0, 0, 0, 0]])).tolist() == [[21.0], [0.0]]


def test_the_decision_is_what_the_table_says_plus_what_the_text_says() -> None:
    module = small()
    (table, ids), (other_table, other_ids) = batch(8), batch(8 + 0)
    other_table, other_ids = other_table.flip(0), other_ids.flip(0)
    both = module(table, ids) + module(other_table, other_ids)
    assert torch.allclose(both, module(table, other_ids) + module(other_table, ids), atol=1e-5)


def test_the_exported_graph_is_the_net_for_any_batch() -> None:
    module, batched = small(), {0: torch.export.Dim.AUTO}
    graph = torch.export.export(module, batch(5), dynamic_shapes=(batched, batched)).module()
    for n in (2, 40):
        assert torch.equal(graph(*batch(n)), module(*batch(n)))


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one column of text"):
        build({"columns": COLUMNS[:2], "classes": 2, "tokens": 20, "network": {}})


def test_words_are_learned_the_same_way_twice_and_rare_ones_are_unknown() -> None:
    texts = ["Sent home, sent HOME", "sent away", "once"]
    stored, count = learned(texts, Words(vocabulary=50, at_least=2))
    assert learned(texts, Words(vocabulary=50, at_least=2)) == (stored, count)
    tokenizer = Tokenizer.from_str(stored)
    assert (tokenizer.token_to_id("[PAD]"), tokenizer.token_to_id("[UNK]")) == (0, 1)
    assert count == 4  # padding, unknown, sent, home
    assert tokenizer.encode("SENT once home").tokens == ["sent", "[UNK]", "home"]
    assert learned(texts, Words(vocabulary=3, at_least=1))[1] == 3


def test_descriptions_by_hand(tmp_path: Path) -> None:
    (tmp_path / "IDs_mapping.csv").write_text(MAPPING)
    assert admissions.descriptions(tmp_path / "IDs_mapping.csv") == {
        "admission_type_id": {"1": "Emergency", "6": "unknown"},
        "discharge_disposition_id": {"1": "Discharged to home", "11": "Expired"},
        "admission_source_id": {"7": "Emergency Room"},
    }
    assert doctest.testmod(admissions).failed == 0


def stays(folder: Path) -> Path:
    rows = pd.DataFrame({
        "admission_type_id": [1, 6, 1], "discharge_disposition_id": [1, 1, 11], "admission_source_id": [7, 99, 7], "readmitted": ["<30", ">30", "NO"],
        "diag_1": ["428", "250.1", "?"], "diag_2": ["?", "V5", "1"], "diag_3": ["?", "?", "?"], "race": ["?", "Asian", "Other"],
    })  # fmt: skip
    rows.to_csv(folder / "diabetic_data.csv", index=False)
    (folder / "IDs_mapping.csv").write_text(MAPPING)
    return folder


def test_stays_become_rows_with_a_text(tmp_path: Path) -> None:
    """The third person died and cannot come back; a code that nobody describes is unknown."""
    settings = load_preset("multimodal", data={"file": str(stays(tmp_path))}).data
    rows = admissions.read(settings)
    assert rows["text"].tolist() == [
        "admitted as Emergency; came from Emergency Room; discharge Discharged to home",
        "admitted as unknown; came from unknown; discharge Discharged to home",
    ]
    assert rows["back_within_30_days"].tolist() == ["yes", "no"]
    assert rows["diag_1"].tolist() == ["circulatory", "diabetes"]
    assert rows[["race", "diag_2"]].isna().to_numpy().tolist() == [[True, True], [False, False]]
    again = admissions.read(settings.model_copy(update={"file": str(tmp_path / "diabetic_data.csv")}))
    pd.testing.assert_frame_equal(again, rows)


def test_a_folder_without_the_codes_is_one_line(tmp_path: Path) -> None:
    (stays(tmp_path) / "IDs_mapping.csv").unlink()
    with pytest.raises(TrainingError, match=r"found 1 and 0.*archive\.ics\.uci\.edu"):
        load(load_preset("multimodal", data={"file": str(tmp_path)}).data)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """600 stays of 300 people. Back are those who went home after an emergency, and those with many stays: text and table each tell a part."""
    folder, stream = tmp_path_factory.mktemp("planted"), np.random.default_rng(0)
    real = load_preset("multimodal").data
    n = 600
    kind, counts = stream.integers(1, 3, n), stream.integers(0, 10, n)
    back = (kind == 1) & (counts >= 4)
    columns = dict.fromkeys(real.exclude, "No") | {"metformin": stream.choice(["No", "Up"], n), "number_inpatient": counts}
    rows = pd.DataFrame(columns, index=range(n)).assign(
        patient_nbr=np.repeat(range(n // 2), 2), race=stream.choice(["A", "B", "?"], n), gender=stream.choice(["F", "M"], n), age="[50-60)",
        admission_type_id=kind, discharge_disposition_id=1, admission_source_id=7, readmitted=np.where(back, "<30", "NO"),
        diag_1="428", diag_2="250", diag_3="?",
    )  # fmt: skip
    rows.to_parquet(folder / "diabetes130.parquet")
    (folder / "IDs_mapping.csv").write_text(MAPPING.replace("6,NULL", "2,Elective"))
    return str(folder)


CHANGES = ["epochs=15", "learning_rate=0.02", "batch_size=64", "patience=15", "dropout=0.0"]


def trained(file: str, seed: int = 0, epochs: int = 15) -> tuple[Dataset, Fitted]:
    changes = {"epochs": epochs, "learning_rate": 0.02, "batch_size": 64, "patience": 15, "dropout": 0.0, "seed": seed}
    preset = load_preset("multimodal", changes, {"file": file})
    dataset = load(preset.data)
    return dataset, net.train(preset, dataset, device="cpu", around=SILENT)


def test_what_only_both_together_tell_is_learned(planted: str) -> None:
    from sklearn.metrics import roc_auc_score

    dataset, fitted = trained(planted)
    assert roc_auc_score(dataset.y("evaluation"), fitted.scores("evaluation")[:, 1]) > 0.95
    people = [set(dataset.parts[part]["patient_nbr"]) for part in dataset.parts]
    assert sum(len(part) for part in people) == len(set.union(*people))
    assert not {"patient_nbr", "race", "gender", "age", "admission_type_id"} & set(dataset.features)
    first, again, other = (trained(planted, seed, 1)[1].scores("evaluation") for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.slow
def test_graph_audit_and_training_give_the_same_predictions(planted: str, audited: Callable[..., Audited], tmp_path: Path) -> None:
    arguments = [part for change in CHANGES for part in ("--set", change)]
    found = audited("multimodal", "--data", planted, *arguments, cwd=tmp_path)
    assert found.roles["cluster"] == "patient_nbr"
    dataset, fitted = trained(planted)
    expected = fitted.scores("evaluation")
    assert np.ptp(expected[:, 1]) > 0.5
    assert found.scores == pytest.approx(expected[:, 1], abs=1e-6)
    tokenizer = Tokenizer.from_file(str(next(found.model.rglob("tokenizer.json"))))
    table, text = (torch.from_numpy(x) for x in Encoder(dataset.columns, tokenizer).arrays(dataset.parts["evaluation"]))
    graph = torch.export.load(next(found.model.rglob("model.pt2"))).module()
    with torch.inference_mode():
        assert softmax(graph(table, text).numpy()) == pytest.approx(expected, abs=1e-6)
        assert softmax(graph(table[:2], text[:2]).numpy()) == pytest.approx(expected[:2], abs=1e-6)
