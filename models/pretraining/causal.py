"""Next-character prediction at every place of the training text at once; training on rows (one context, one character) then ends it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from models.config import network
from models.data import Dataset, Part
from models.encoding import tokens
from models.learners.net import Prepared
from models.pretraining import settings_of, text_column
from models.pretraining.descent import descend
from models.pretraining.tokenizing import characters
from models.settings import Count, Positive, Preset, Settings
from models.sources.documentation import NAMES

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class CausalStage(Settings):
    """`training.pretraining`: how the pre-training goes."""

    stage: Literal["causal"]
    epochs: Count
    batch_size: Count
    learning_rate: Positive


def prepare(preset: Preset, dataset: Dataset, *, device: str) -> Prepared:
    """A tokenizer of characters and the weights of a model that has learned to go on from every place of the training rows."""
    import torch

    settings, column = settings_of(CausalStage, preset), text_column(preset, dataset)
    assert preset.training.learner == "net"
    tokenizer = characters(dataset.parts["train"][column.name].dropna())
    described = network(preset)
    assert described is not None
    build = importlib.import_module(f"models.nets.{preset.training.architecture}").build
    place = {label: i for i, label in enumerate(dataset.settings.classes)}
    class_of = [place.get(NAMES.get(t, t), IGNORED) for t, _ in sorted(tokenizer.get_vocab().items(), key=lambda kv: kv[1])]
    learned = {"vocabulary": tokenizer.get_vocab_size(), "class_of": class_of}
    config = {"columns": [column.record()], "classes": dataset.classes} | learned
    net = build(config | {"network": described.model_dump(mode="json")}).to(device)

    def read(part: Part) -> tuple[Tensor, Tensor]:
        ids = torch.from_numpy(tokens(tokenizer, dataset.parts[part][column.name].tolist(), column.length))
        return ids, following(ids, torch.from_numpy(dataset.y(part)), torch.tensor(class_of))

    (ids, after), generator = read("train"), torch.Generator().manual_seed(preset.seed)

    def losses(_: int) -> Iterator[Tensor]:
        for rows in torch.randperm(len(ids), generator=generator).split(settings.batch_size):
            yield mean_loss(net, ids[rows].to(device), after[rows].to(device))

    descend(net, losses, epochs=settings.epochs, batches=-(-len(ids) // settings.batch_size), rate=settings.learning_rate)
    with torch.inference_mode():
        held_out = mean_loss(net, *(t.to(device) for t in read("validation")))
    return Prepared(
        tokenizer=tokenizer.to_str(), weights={name: tensor.cpu() for name, tensor in net.state_dict().items()},
        config=learned, figures={"pretraining_perplexity": math.exp(float(held_out))},
        libraries=("tokenizers",),
    )  # fmt: skip


#: torch's mark of a place without a label.
IGNORED = -100


def following(ids: Tensor, label: Tensor, class_of: Tensor) -> Tensor:
    """(n, length) the class of what follows each place: of the next token, of the row's label at the last; -100 at padding."""
    import torch

    after = torch.full_like(ids, IGNORED)
    after[:, :-1] = torch.where(ids[:, 1:] != 0, class_of[ids[:, 1:]], IGNORED)
    last = (ids != 0).sum(dim=1) - 1
    known = last >= 0
    after[known, last[known]] = label[known]
    return after


def mean_loss(net: nn.Module, ids: Tensor, after: Tensor) -> Tensor:
    """Mean cross-entropy in nats over all places with a label; its exponential is the perplexity."""
    from torch.nn import functional

    loss: torch.Tensor = functional.cross_entropy(net.everywhere(ids).flatten(0, 1), after.flatten(), ignore_index=IGNORED)
    return loss
