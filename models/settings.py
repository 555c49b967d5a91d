"""What a preset may say: frozen, strict models. Every default is "off"; what is in force is logged with the run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
NOT_STATED = "not stated"


class Settings(BaseModel):
    """Frozen, without unknown keys, and without conversions: `"3"` is no number and `true` is no 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Split(Settings):
    """Shares of the rows, drawn with a seed of their own: another training seed keeps the same evaluation rows.

    `group` names a column whose equal values (one person, say) stay together in one part; it is then no input. `history` names one whose equal
    values (one user) are in every part instead: by the column `time` the earliest rows train, and the latest are evaluated. Either way the
    column stays beside the rows, for the audit: rows of equal value belong together.
    """

    train: Fraction
    validation: Fraction
    evaluation: Fraction
    seed: int
    group: str | None = None
    history: str | None = None
    time: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Split:
        if abs(self.train + self.validation + self.evaluation - 1) > 1e-9:
            raise ValueError("train, validation and evaluation must sum to 1")
        if (self.history is None) != (self.time is None) or (self.history and self.group):
            raise ValueError("history and time are named together, and without group")
        return self


class Ranking(Settings):
    """Rows are pairs of a `user` and an `item` (columns): evaluation also measures how well each user's items are ranked, at the top `at`.

    `groups` are columns that say what kind of item it is, where the data have them: an audit compares how much of the top each kind gets."""

    user: str
    item: str
    at: Count = 10
    groups: tuple[str, ...] = ()


class Signal(Settings):
    """A column that holds more than one value a row, as the network takes it.

    An image has `shape` (channels, height, width), sound (samples,) and its `rate` in samples a second; a text is cut or filled to `length` tokens; of a sequence the network sees
    the latest `steps` events, with `fields` in order (those in `categories` as places in a vocabulary learned from the training rows).
    """

    kind: Literal["text", "image", "sequence", "audio"]
    shape: tuple[Count, ...] = ()
    rate: Annotated[int, Field(ge=0)] = 0
    length: Annotated[int, Field(ge=0)] = 0
    steps: Annotated[int, Field(ge=0)] = 0
    fields: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


class DataSettings(Settings):
    """Where the rows come from, and which role each column has.

    `source` names a function of models/sources; with `file` it reads the path given by `--data`, and `public` says where a user finds such a file.
    `exclude` maps a column that is no input to the reason; `missing` maps a column to the codes that mean "not known" there;
    `sensitive` maps a name to columns, and each of these to the label that each of its codes stands for; without columns it is the column of
    that name itself. `classes` and `positive` left empty are taken from the data: the labels in order, and the last of two.
    `columns` says what each column is called and what a person can change of it, for the audit's [columns].
    So many `canaries` are planted for a privacy audit (models/canaries.py), drawn with `canary_seed`.
    """

    source: str
    file: str | None = None
    public: str = ""
    target: str
    task: Literal["classification", "regression"] = "classification"
    positive: str = ""
    favourable: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    label_source: Literal["outcome", "human_decision", "proxy", "selective"] | None = None
    categories: tuple[str, ...] = ()
    signals: dict[str, Signal] = {}
    exclude: dict[str, str] = {}
    missing: dict[str, tuple[float, ...]] = {}
    sensitive: dict[str, dict[str, dict[int, str]]] = {}
    reference: dict[str, str] = {}
    columns: dict[str, dict[str, Any]] = {}
    split: Split
    ranking: Ranking | None = None
    rows: Annotated[int, Field(ge=0)] = 0
    canaries: Annotated[int, Field(ge=0)] = 0
    canary_seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    options: dict[str, Any] = {}


class Augment(Settings):
    """Random changes of training rows, new in every epoch; 0 and false are off.

    Pictures: `flip` left to right with chance ½, `rotate` up to so many degrees, `crop` after a border of so many pixels, `noise` with this
    standard deviation in units of the pixel. Tokens: `drop_tokens` is the share replaced by padding. Sound, and tables of numbers alone: `noise`.
    """

    flip: bool = False
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    crop: Annotated[int, Field(ge=0)] = 0
    noise: NotNegative = 0.0
    drop_tokens: Share = 0.0


class Adversarial(Settings):
    """Training on rows moved against the net: FGSM (Goodfellow et al. 2015) or PGD (Madry et al. 2018), largest change `epsilon` in units of
    the input; `share` of each batch is moved."""

    method: Literal["fgsm", "pgd"]
    epsilon: Positive
    steps: Count = 7
    share: Annotated[float, Field(gt=0, le=1)] = 0.5


class Private(Settings):
    """Differentially private training (models/privacy.py): what it promises of one training row, and how.

    The noise is given as `noise_multiplier`, in units of `clip_norm`, or found such that all epochs together cost at most `epsilon` at `delta`.
    `clip_norm` bounds each row's gradient; `clipping` holds all parameters together to it, or each to an equal part. `mode` is how clipped
    gradients are summed (models/clipping.py), `auto` the fastest by measurement. `rows_at_once` bounds the memory, 0 finds it. A `noise_seed`
    repeats a training in every digit, and takes the promise back from whoever knows it.
    """

    epsilon: Positive | None = None
    noise_multiplier: Positive | None = None
    delta: Fraction = 1e-5
    clip_norm: Positive = 1.0
    clipping: Literal["flat", "per_layer"] = "flat"
    mode: Literal["auto", "bookkeeping", "ghost", "hooks", "functorch"] = "auto"
    rows_at_once: Annotated[int, Field(ge=0)] = 0
    noise_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Private:
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise ValueError("private training takes epsilon or noise_multiplier, one of the two")
        return self


class Adapters(Settings):
    """Low-rank adapters (models/adapters.py) at the layers whose names end in one of `layers`: products of two matrices of `rank`, weighted by
    `alpha / rank`. Beside them only parameters whose names begin with one of `trained` learn."""

    rank: Count
    alpha: Positive
    dropout: Share = 0.0
    layers: tuple[str, ...]
    trained: tuple[str, ...] = ("head",)


class Rival(Settings):
    """Another way to train the same net on the same rows, for comparison (models/learners/rivals.py): `scratch` without what pre-training gave,
    `full` without adapters, so that all parameters learn, `features` only the head. What is left out is as in the preset."""

    kind: Literal["scratch", "full", "features"]
    learning_rate: Positive | None = None
    epochs: Count | None = None


#: What private training does otherwise, or cannot bound for a single row, and its value where it is off.
NOT_PRIVATE: dict[str, Any] = {
    "accumulate": 1,
    "clip": 0.0,
    "adversarial": None,
    "compile": False,
    "adapters": None,
    "precision": "float32",
}


class NetTraining(Settings):
    """A network (models/nets) and the loop that fits it.

    `network` is what `build` of that architecture takes beside the columns and classes. `schedule` runs over all steps after `warmup`, a share
    of them, in which the rate rises from 0. `monitor` names the figure of the validation rows that decides which epoch is kept, and `patience`
    how many epochs may pass without a better one. `clip` bounds the norm of the gradient, 0 is off. `accumulate` batches make one step.
    Parameters whose names begin with one of `frozen` are not trained in the first `frozen_epochs` epochs, with 0 never. `pretraining` names a
    `stage` of models/pretraining, which runs before, and its settings. `private` makes the training differentially private.
    `rivals` are trained as well, and only their figures are logged; beside private training they are not.
    """

    learner: Literal["net"]
    architecture: str = "tabular"
    network: dict[str, Any] = {}
    optimizer: Literal["sgd", "adam", "adamw", "adagrad"] = "adamw"
    learning_rate: Positive
    momentum: Share = 0.9
    weight_decay: NotNegative = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: Share = 0.0
    batch_size: Count
    accumulate: Count = 1
    clip: NotNegative = 0.0
    loss: Literal["cross_entropy", "focal", "mse"] = "cross_entropy"
    focus: NotNegative = 2.0
    label_smoothing: Share = 0.0
    class_weights: bool = False
    monitor: str = "loss"
    patience: Count
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    augment: Augment = Augment()
    adversarial: Adversarial | None = None
    frozen: tuple[str, ...] = ()
    frozen_epochs: Annotated[int, Field(ge=0)] = 0
    pretraining: dict[str, Any] = {}
    adapters: Adapters | None = None
    rivals: dict[str, Rival] = {}
    private: Private | None = None

    @model_validator(mode="after")
    def _private_alone(self) -> NetTraining:
        """What private training does otherwise, or cannot bound for a single row."""
        said = [name for name, off in NOT_PRIVATE.items() if getattr(self, name) != off]
        if self.private is not None and said:
            raise ValueError(f"private training goes without {', '.join(f'training.{name}' for name in said)}")
        return self


class TreeTraining(Settings):
    """Gradient-boosted trees (LightGBM); one epoch is one boosting round."""

    learner: Literal["trees"]
    learning_rate: Positive
    leaves: Annotated[int, Field(ge=2)]
    min_rows_in_leaf: Count
    column_fraction: Annotated[float, Field(gt=0, le=1)]
    row_fraction: Annotated[float, Field(gt=0, le=1)]
    l2: NotNegative
    patience: Count


class Context(Settings):
    """What whoever relies on the model must know and no number can tell; "not stated" where nothing is known."""

    intended_use: str = NOT_STATED
    people: str = NOT_STATED
    owner: str = NOT_STATED
    auditor: str = NOT_STATED
    independence: str = NOT_STATED
    domain: Literal["employment", "credit", "health", "general"] = "general"
    jurisdictions: tuple[str, ...] = ()
    tier: Literal["low", "medium", "high"] = "medium"
    tier_chosen_by: str = NOT_STATED
    population: str = NOT_STATED
    period: str = NOT_STATED
    sampling: str = NOT_STATED
    unit: str = NOT_STATED
    human_role: str = NOT_STATED
    legitimate_factors: tuple[str, ...] = ()
    allowed_inputs: str = NOT_STATED
    cost_of_errors: str = NOT_STATED
    known_limits: tuple[str, ...] = ()


class Preset(Settings):
    """One training, completely: with the version of the libraries, it decides every digit of the model."""

    name: str
    modality: Literal["tabular", "image", "sequence", "text", "recommender", "audio", "multimodal", "language"]
    description: str
    epochs: Count
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    threads: Count
    training: Annotated[NetTraining | TreeTraining, Field(discriminator="learner")]
    data: DataSettings
    context: Context = Context()
