"""A tokenizer and nothing else: the words of the training rows' texts, in lower case; what is rarer or new is one token, [UNK]."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.data import Dataset
from models.errors import TrainingError
from models.learners.net import Prepared
from models.pretraining import settings_of
from models.settings import Count, Preset, Settings

#: The padding has id 0: that is what the audit fills texts up with.
SPECIAL = ["[PAD]", "[UNK]"]


class Words(Settings):
    """How many tokens there are at most, and how often a word must stand in the texts to be one."""

    stage: str = "words"
    vocabulary: Annotated[int, Field(ge=3)] = 2000
    at_least: Count = 2


def prepare(preset: Preset, dataset: Dataset, *, device: str) -> Prepared:
    """The tokenizer of the one text column, and how many `tokens` it has, for the net's configuration."""
    settings = settings_of(Words, preset)
    names = [column.name for column in dataset.columns if column.kind == "text"]
    texts = [text for name in names for text in dataset.parts["train"][name] if isinstance(text, str) and text.strip()]
    if not texts:
        raise TrainingError("the training rows have no text to learn words from", "give a column of text that is not empty")
    tokenizer, tokens = learned(texts, settings)
    return Prepared(tokenizer=tokenizer, config={"tokens": tokens}, figures={"tokens": float(tokens)}, libraries=("tokenizers",))


def learned(texts: list[str], settings: Words) -> tuple[str, int]:
    """The tokenizer as JSON, and how many tokens it has: equal texts give the same ids, the commonest words the lowest."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token=SPECIAL[1]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordLevelTrainer(
        vocab_size=settings.vocabulary, min_frequency=settings.at_least, special_tokens=SPECIAL, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str(), tokenizer.get_vocab_size()
