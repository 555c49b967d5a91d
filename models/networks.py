"""What each architecture of models/nets may be told: sizes and rates, strictly checked, without torch."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from models.settings import Count, NotNegative, Positive, Settings, Share

Places = Annotated[int, Field(ge=0)]
Place = Annotated[int, Field(ge=0, le=1)]


class Tabular(Settings):
    """models/nets/tabular.py. `scaling` of numbers: robust (median, quartiles and asinh), standard, minmax to [0, 1], symmetric to [-1, 1].

    `bins` between quantiles give each number a place, 0 none; `indicators` say which numbers are missing; with `one_output` two classes are
    one sigmoid unit.
    """

    scaling: Literal["robust", "standard", "minmax", "symmetric"] = "robust"
    bins: Annotated[int, Field(ge=0)] = 8
    indicators: bool = True
    one_output: bool = False
    hidden: tuple[Count, ...] = (32, 16)
    dropout: Share = 0.0
    activation: Literal["relu", "sigmoid"] = "relu"


class Convolutional(Settings):
    """models/nets/cnn.py: 3 × 3 convolutions of these channels, each halved in size by pooling, then one dense layer."""

    channels: tuple[Count, ...] = (32, 64)
    dense: Count = 64
    dropout: Share = 0.0


class Residual(Settings):
    """models/nets/resnet.py: a convolution of `stride`, then for each entry of `channels` so many `blocks`, halved in size from stage to stage;
    each entry is a multiple of `groups`, the groups of the normalisation."""

    channels: tuple[Count, ...] = (32, 64, 128)
    blocks: Count = 1
    stride: Annotated[int, Field(ge=1, le=4)] = 1
    groups: Count = 8
    dropout: Share = 0.0

    @model_validator(mode="after")
    def _whole(self) -> Residual:
        if not self.channels or any(width % self.groups for width in self.channels):
            raise ValueError(f"channels must be multiples of groups, {self.groups}")
        return self


class DeepFM(Settings):
    """models/nets/deepfm.py. Each category has a vector of `embedding` numbers, and so has each column of numbers. A share `unknown` of the
    codes is hidden in training, so that the vector of what is unknown is learned too."""

    embedding: Count = 16
    hidden: tuple[Count, ...] = (64, 32)
    dropout: Share = 0.0
    unknown: Share = 0.02


class WideDeep(DeepFM):
    """models/nets/widedeep.py. `crosses` are the pairs of columns whose product the wide part weighs; `*` stands for any characters."""

    crosses: tuple[tuple[str, str], ...] = ()


class LateFusion(Settings):
    """models/nets/latefusion.py. The table's encoder is that of Tabular with `hidden`; the text's has `embedding` numbers a token and
    `filters` convolutions over `span` neighbouring tokens, an odd number."""

    scaling: Literal["robust", "standard", "minmax", "symmetric"] = "robust"
    bins: Annotated[int, Field(ge=0)] = 0
    hidden: tuple[Count, ...] = (32,)
    embedding: Count = 32
    filters: Count = 32
    span: Literal[1, 3, 5, 7] = 3
    dropout: Share = 0.0


class Recurrent(Settings):
    """models/nets/events.py: a category's vector has at most `embedding` numbers; `layers` of `cell`, each with `hidden` units, then `dense` layers."""

    cell: Literal["lstm", "gru"] = "lstm"
    embedding: Count = 8
    hidden: Count = 32
    layers: Count = 1
    dense: tuple[Count, ...] = ()
    dropout: Share = 0.0


class Speech(Settings):
    """models/nets/speech.py. Every `hop` seconds a `window` of sound becomes `bands` log-mel energies between `low` and `high` hertz (0 is half the
    sample rate); convolutions of these `channels`, each halving time and bands; `layers` of a transformer encoder, `width` wide with `heads`."""

    window: Positive = 0.025
    hop: Positive = 0.01
    bands: Count = 40
    low: NotNegative = 60.0
    high: NotNegative = 0.0
    channels: tuple[Count, ...] = (16, 32)
    width: Count = 64
    heads: Count = 4
    layers: Count = 2
    dropout: Share = 0.0

    @model_validator(mode="after")
    def _whole(self) -> Speech:
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width must be even and a multiple of heads, {self.heads}")
        return self


class TextEncoder(Settings):
    """models/nets/text_encoder.py: `layers` blocks of attention with `heads`, each with a dense layer of `inner` units inside; all `width` wide."""

    width: Count = 64
    layers: Count = 2
    heads: Count = 4
    inner: Count = 256
    dropout: Share = 0.1

    @model_validator(mode="after")
    def _divisible(self) -> TextEncoder:
        if self.width % self.heads:
            raise ValueError("width must be a multiple of heads")
        return self


class Causal(TextEncoder):
    """models/nets/causal.py: the same sizes, but no place sees what follows it."""


NETWORKS: dict[str, type[Settings]] = {
    "tabular": Tabular,
    "cnn": Convolutional,
    "events": Recurrent,
    "speech": Speech,
    "resnet": Residual,
    "widedeep": WideDeep,
    "deepfm": DeepFM,
    "latefusion": LateFusion,
    "text_encoder": TextEncoder,
    "causal": Causal,
}


class Mixture(Settings):
    """models/nets/mixture.py: `heads` linear heads in place of the layer `last` of the net inside; `positive` is a place among two classes."""

    last: str
    heads: Count
    positive: Place


class Thresholds(Settings):
    """models/nets/thresholds.py: the net inside takes the first `own` columns of the table, and column `at` holds the code of the group."""

    own: Places
    at: Places
    groups: Count
    positive: Place


class Decorrelated(Settings):
    """models/nets/decorrelated.py: see Mixture and Thresholds."""

    last: str
    own: Places
    at: Places
    groups: Count


class Quantized(Settings):
    """models/nets/quantized.py: the names of the layers that are stored in 8 bits."""

    layers: tuple[str, ...]


#: Architectures around another one, which no preset names: models/mitigate.py and models/compress.py make them.
VARIANTS: dict[str, type[Settings]] = {"mixture": Mixture, "thresholds": Thresholds, "decorrelated": Decorrelated, "quantized": Quantized}

Network = TypeVar("Network", bound=Settings)


def read(kind: type[Network], config: dict[str, Any]) -> Network:
    """The `network` of a logged architecture's configuration."""
    return kind.model_validate_json(json.dumps(config["network"]))
