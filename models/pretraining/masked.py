"""Masked tokens and next sentences (Devlin et al. 2019), learned from the text that ships with Python, before any label is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from models.config import network
from models.data import Dataset
from models.learners.net import Prepared
from models.pretraining import settings_of, text_column
from models.pretraining.descent import descend
from models.pretraining.tokenizing import BEGIN, END, MASK, SPECIAL, subwords
from models.settings import Count, Fraction, Positive, Preset, Settings
from models.sources.documentation import sentences

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Sentences = list[list[list[int]]]
Batch = tuple["Tensor", "Tensor", "Tensor"]
#: Share of the documents of which nothing is learned: the figures are theirs.
HELD_OUT = 0.1


class Masked(Settings):
    """`training.pretraining`: the size of the vocabulary, and how the pre-training goes; `share` of the tokens is to be guessed."""

    stage: Literal["masked"]
    vocabulary: Count
    epochs: Count
    batch_size: Count
    learning_rate: Positive
    share: Fraction = 0.15


def prepare(preset: Preset, dataset: Dataset, *, device: str) -> Prepared:
    """A tokenizer of the shipped text and the training rows, and the weights of an encoder that has read the shipped text."""
    import importlib

    import torch

    settings, column = settings_of(Masked, preset), text_column(preset, dataset)
    documents = sentences()
    rows = dataset.parts["train"][column.name].dropna().tolist()
    tokenizer = subwords([*(one for document in documents for one in document), *rows], settings.vocabulary)
    described = network(preset)
    assert described is not None
    config = {"columns": [column.record()], "classes": dataset.classes, "vocabulary": tokenizer.get_vocab_size()}
    assert preset.training.learner == "net"
    build = importlib.import_module(f"models.nets.{preset.training.architecture}").build
    reader = _reader(build(config | {"network": described.model_dump(mode="json")}), config["vocabulary"]).to(device)
    generator = torch.Generator().manual_seed(preset.seed)
    encoded = [[e.ids for e in tokenizer.encode_batch(document, add_special_tokens=False)] for document in documents]
    held = max(1, round(HELD_OUT * len(encoded)))
    order = torch.randperm(len(encoded), generator=generator).tolist()
    learned, kept = [encoded[i] for i in order[held:]], [encoded[i] for i in order[:held]]

    def losses(_: int) -> Iterator[Tensor]:
        tokens, segments, follows = pairs(learned, column.length, generator)
        for batch in torch.randperm(len(tokens), generator=generator).split(settings.batch_size):
            yield reader.loss(tokens[batch], segments[batch], follows[batch], settings.share, generator, device)[0]

    count = sum(max(0, len(document) - 1) for document in learned)
    descend(reader, losses, epochs=settings.epochs, batches=-(-count // settings.batch_size), rate=settings.learning_rate)
    with torch.inference_mode():
        _, figures = reader.loss(*pairs(kept, column.length, generator), settings.share, generator, device)
    weights = {name: tensor.cpu() for name, tensor in reader.net.state_dict().items() if not name.startswith("head.")}
    return Prepared(
        tokenizer=tokenizer.to_str(),
        weights=weights,
        config={"vocabulary": config["vocabulary"]},
        figures=figures,
        libraries=("tokenizers",),
    )


def pairs(documents: Sentences, length: int, generator: torch.Generator) -> Batch:
    """Tokens and segments (pairs, length) of two sentences each, and (pairs,) whether the second follows the first in its document.

    Every two sentences in succession give one pair; with chance ½ the second is replaced by any sentence of all documents.
    """
    import torch

    every = [sentence for document in documents for sentence in document]
    two = [(document[i], document[i + 1]) for document in documents for i in range(len(document) - 1)]
    follows = torch.rand(len(two), generator=generator) < 0.5
    other = torch.randint(len(every), (len(two),), generator=generator)
    tokens, segments = torch.zeros((2, len(two), length), dtype=torch.long)
    for i, (first, second) in enumerate(two):
        a, b = joined(first, second if follows[i] else every[int(other[i])], length)
        tokens[i, : len(a) + len(b)] = torch.tensor(a + b)
        segments[i, len(a) : len(a) + len(b)] = 1
    return tokens, segments, follows.long()


def joined(first: list[int], second: list[int], length: int) -> tuple[list[int], list[int]]:
    """[CLS] first [SEP] and second [SEP], cut to `length` tokens together; the shorter leaves its room to the longer."""
    room = length - 3
    half = max(room // 2, room - len(second))
    first = first[:half]
    begin, end = SPECIAL.index(BEGIN), SPECIAL.index(END)
    return [begin, *first, end], [*second[: room - len(first)], end]


def hidden(tokens: Tensor, share: float, vocabulary: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Tokens of which a share is hidden, and which: of these 80 % become [MASK], 10 % any token, 10 % stay. Special tokens never do."""
    import torch

    chosen = (torch.rand(tokens.shape, generator=generator) < share) & (tokens >= len(SPECIAL))
    how = torch.rand(tokens.shape, generator=generator)
    anything = torch.randint(len(SPECIAL), vocabulary, tokens.shape, generator=generator)
    changed = torch.where(chosen & (how < 0.8), SPECIAL.index(MASK), tokens)
    return torch.where(chosen & (how >= 0.9), anything, changed), chosen


def _reader(net: nn.Module, vocabulary: int) -> Any:
    """The encoder with the two heads that only pre-training needs."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Reader(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
        """Guesses hidden tokens with the table of words itself, and from the mean of all places whether a sentence follows."""

        def __init__(self) -> None:
            super().__init__()
            width = net.embeddings.words.embedding_dim
            self.net = net
            self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
            self.bias = nn.Parameter(torch.zeros(vocabulary))
            self.follows = nn.Linear(width, 2)

        def loss(
            self, tokens: Tensor, segments: Tensor, follows: Tensor, share: float, generator: torch.Generator, device: str
        ) -> tuple[Tensor, dict[str, float]]:
            """Both mean cross-entropies together, and the share of each that was right."""
            changed, chosen = (t.to(device) for t in hidden(tokens, share, vocabulary, generator))
            encoded = self.net.encode(changed, segments.to(device))
            words = functional.linear(self.transform(encoded[chosen]), self.net.embeddings.words.weight, self.bias)
            truth, follows = tokens.to(device)[chosen], follows.to(device)
            after = self.follows(self.net.pooled(encoded, changed))
            with torch.no_grad():
                figures = {
                    "pretraining_token_accuracy": float((words.argmax(1) == truth).float().mean()),
                    "pretraining_next_sentence_accuracy": float((after.argmax(1) == follows).float().mean()),
                }
            return functional.cross_entropy(words, truth) + functional.cross_entropy(after, follows), figures

    return Reader()
