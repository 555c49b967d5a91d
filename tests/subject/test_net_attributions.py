"""From columns to tensors and back: attributions of a net come out per raw column, those of a text per word."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn

from audit.subject.flavors.pytorch import Net
from audit.subject.flavors.rows import Rows

WORDS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "good": 3, "bad": 4, "un": 5, "##even": 6}
WEIGHT = [0.0, 0.25, 7.0, 2.0, -3.0, 0.5, 0.75]
LENGTH = 6
Module: Any = nn.Module  # torch is Any to mypy: see pyproject


class Both(Module):
    """x₀·x₁ of a table, plus a weight for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(len(WORDS), 1, padding_idx=0)
        self.table.weight.data[:, 0] = torch.tensor(WEIGHT)

    def forward(self, table: Any, text: Any) -> Any:
        return table.prod(dim=1, keepdim=True) + self.table(text).sum(dim=1)


class Alone(Both):
    def forward(self, text: Any) -> Any:
        return self.table(text).sum(dim=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of word pieces in lower case, with a token of its own in front."""
    tokenizer = Tokenizer(models.WordPiece(WORDS, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])
    out = tmp_path_factory.mktemp("model")
    tokenizer.save(str(out / "tokenizer.json"))
    return out


def spec(folder: Path, *, table: bool) -> dict[str, Any]:
    text = {"name": "text", "kind": "text", "length": LENGTH, "input": "text"}
    numbers = [{"name": name, "kind": "number", "input": "table"} for name in ("a", "b")]
    ports = [{"name": "table", "type": "float32", "shape": [-1, 2]}] if table else []
    return {
        "root": str(folder), "extra_files": ["tokenizer.json"], "metadata": {"columns": [*(numbers if table else []), text]},
        "inputs": [*ports, {"name": "text", "type": "int64", "shape": [-1, LENGTH]}],
    }  # fmt: skip


def laid(spec: dict[str, Any], numbers: dict[str, list[float]], texts: list[str | None]) -> Rows:
    """Rows in shared memory, as the worker gets them; the text stands before the numbers."""
    vocabulary = sorted({t for t in texts if t is not None})
    columns: list[tuple[str, Any, Any]] = [
        ("text", np.array([-1 if t is None else vocabulary.index(t) for t in texts], dtype="<i4"), vocabulary),
        *((name, np.array(values, dtype="<f8"), None) for name, values in numbers.items()),
    ]
    memory, layout = mmap.mmap(-1, 4096), []
    for i, (name, array, own) in enumerate(columns):
        memory[i * 512 : i * 512 + array.nbytes] = array.tobytes()
        layout.append([name, array.dtype.str, i * 512, 0, own])
    return Rows(memory, layout, len(texts), spec)


def subject(spec: dict[str, Any], module: Any) -> Net:
    return Net(module.eval(), lambda: module, "module", module.parameters(), spec)


def test_a_table_beside_a_text(folder: Path) -> None:
    one = spec(folder, table=True)
    net = subject(one, Both())
    assert net.methods() == ["integrated_gradients", "gradient_shap"]
    rows = laid(one, {"a": [2.0, 1.0], "b": [3.0, 1.0]}, ["Good, uneven bad", None])
    background = laid(one, {"a": [0.0], "b": [0.0]}, ["bad"])
    found = net.attribute(rows, background, method="integrated_gradients", output=0, words={"text": 4})
    # words: good ; , (unknown) ; uneven (two pieces) ; bad. The table's product is shared equally.
    assert found.values[0] == pytest.approx([2.0, 0.25, 1.25, -3.0, 3.0, 3.0], abs=1e-5)
    assert found.values[1] == pytest.approx([0, 0, 0, 0, 0.5, 0.5], abs=1e-5)
    assert found.base == pytest.approx([7.0, 0.0])  # what is no word stays; a missing text is padding alone
    assert found.values.sum(axis=1) + found.base == pytest.approx(found.explained, abs=1e-5)
    whole = net.attribute(rows, background, method="integrated_gradients", output=0)
    assert whole.values[0] == pytest.approx([0.5, 3.0, 3.0], abs=1e-5)  # a text whose words nobody asked for is one number


def test_a_text_alone_starts_from_itself_without_its_words(folder: Path) -> None:
    one = spec(folder, table=False)
    net = subject(one, Alone())
    rows = laid(one, {}, ["good good", "", "bad " * 10])
    found = net.attribute(rows, None, method="integrated_gradients", output=0, words={"text": 10})
    assert found.values[0].tolist() == pytest.approx([2, 2, *[0] * 8])
    assert not found.values[1].any()
    assert found.values[2].tolist() == pytest.approx([*[-3] * 5, *[0] * 5])  # what the model cuts off moves nothing
    assert found.base.tolist() == pytest.approx([7, 7, 7])


def test_events_and_graphs_of_tokens_are_asked_from_outside(folder: Path) -> None:
    one = spec(folder, table=False)
    module = Alone()
    assert Net(module, lambda: module, "graph", module.parameters(), one).methods() == []
    events = one | {
        "metadata": {"columns": [{"name": "events", "kind": "sequence"}]},
        "inputs": [{"name": None, "type": "float32", "shape": [-1, 3, 2]}],
    }
    assert Net(module, lambda: module, "module", module.parameters(), events).methods() == []


def test_a_net_answers_with_its_weights_drawn_again_and_is_itself_afterwards(folder: Path) -> None:
    plan = spec(folder, table=False)
    net = subject(plan, Alone())
    rows = laid(plan, {}, ["good bad", "good", None])
    before, one, again, other = net.predict(rows).values, *(net.meaningless(rows, seed).values for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.allclose(one, before)
    assert not np.allclose(one, other)
    assert np.array_equal(net.predict(rows).values, before)
