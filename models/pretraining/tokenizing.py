"""Tokenizers that are made from the training text; each ships with its model as JSON. Token 0 is padding in all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from models.errors import TrainingError

PAD, UNKNOWN, BEGIN, END, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def library() -> Any:
    """The package tokenizers, or how to get it."""
    try:
        import tokenizers
    except ImportError as error:
        raise TrainingError("texts need the package tokenizers, which is not installed", "pip install 'witnessmark[text]'") from error
    return tokenizers


def subwords(texts: Iterable[str], size: int) -> Any:
    """Byte-pair encoding (Sennrich et al. 2016) over the bytes of lower-case words, [CLS] before and [SEP] after; at most `size` tokens.

    Equal texts give equal tokens: the alphabet is fixed beforehand (the library's WordPiece numbers its tokens by the order of a hash table).
    """
    library()
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(token, SPECIAL.index(token)) for token in (BEGIN, END)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A {END}", special_tokens=ends)
    return tokenizer


def characters(texts: Iterable[str]) -> Any:
    """One token a character that the texts hold, [CLS] before; a text that is too long keeps its end."""
    library()
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    known = [*SPECIAL, *sorted(set("".join(texts)))]
    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(known)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, SPECIAL.index(BEGIN))])
    tokenizer.enable_truncation(512, direction="left")
    return tokenizer
