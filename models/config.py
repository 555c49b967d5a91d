"""What a preset may say: frozen, strict models, and the way from a TOML file and `--set` to one of them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import TrainingError

PRESETS = Path(__file__).parent / "presets"

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """Frozen, without unknown keys, and without conversions: `"3"` is no number and `true` is no 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Split(Settings):
    """Shares of the rows, drawn with a seed of their own: another training seed keeps the same evaluation rows."""

    train: Fraction
    validation: Fraction
    evaluation: Fraction
    seed: int

    @model_validator(mode="after")
    def _whole(self) -> Split:
        if abs(self.train + self.validation + self.evaluation - 1) > 1e-9:
            raise ValueError("train, validation and evaluation must sum to 1")
        return self


class DataSettings(Settings):
    """Where the rows come from, and which role each column has.

    `exclude` maps a column that is no input to the reason; `missing` maps a column to the codes that mean "not known" there;
    `sensitive` maps a name to columns, and each of these to the label that each of its codes stands for.
    """

    source: Literal["loanapp"]
    target: str
    positive: str
    favourable: tuple[str, ...]
    classes: tuple[str, ...]
    label_source: Literal["outcome", "human_decision", "proxy", "selective"]
    categories: tuple[str, ...]
    exclude: dict[str, str]
    missing: dict[str, tuple[float, ...]]
    sensitive: dict[str, dict[str, dict[int, str]]]
    reference: dict[str, str]
    split: Split


class NetTraining(Settings):
    """A torch net over raw columns (models/nets/tabular.py) and the loop that fits it."""

    learner: Literal["net"]
    bins: Count
    hidden: tuple[Count, ...]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=2)]
    patience: Count


class TreeTraining(Settings):
    """Gradient-boosted trees (LightGBM); one epoch is one boosting round."""

    learner: Literal["trees"]
    learning_rate: Positive
    leaves: Annotated[int, Field(ge=2)]
    min_rows_in_leaf: Count
    column_fraction: Annotated[float, Field(gt=0, le=1)]
    row_fraction: Annotated[float, Field(gt=0, le=1)]
    l2: Annotated[float, Field(ge=0)]
    patience: Count


class Context(Settings):
    """What whoever relies on the model must know and no number can tell; "not stated" where nothing is known."""

    intended_use: str
    people: str
    owner: str
    auditor: str
    independence: str
    domain: Literal["employment", "credit", "health", "general"]
    jurisdictions: tuple[str, ...]
    tier: Literal["low", "medium", "high"]
    tier_chosen_by: str
    population: str
    period: str
    sampling: str
    unit: str
    human_role: str
    legitimate_factors: tuple[str, ...]
    allowed_inputs: str
    cost_of_errors: str
    known_limits: tuple[str, ...]


class Preset(Settings):
    """One training, completely: nothing that moves a digit of the model is left to a default elsewhere."""

    name: str
    modality: Literal["tabular"]
    description: str
    epochs: Count
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    threads: Count
    training: Annotated[NetTraining | TreeTraining, Field(discriminator="learner")]
    data: DataSettings
    context: Context


def preset_names() -> list[str]:
    """The presets that ship, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def preset_table(name: str) -> dict[str, Any]:
    """A preset as its files have it: its own table, over the shared tables that `include` names."""
    if name not in preset_names():
        raise TrainingError(f"there is no preset {name!r}", f"the presets are {', '.join(preset_names())}")
    table = _read(PRESETS / f"{name}.toml")
    for shared in table.pop("include", []):
        table = _read(PRESETS / "shared" / f"{shared}.toml") | table
    return table


def load_preset(name: str, changes: dict[str, Any] | None = None) -> Preset:
    """The preset with `changes` (dotted key → value) over it; an unknown key or a wrong type is refused."""
    table = preset_table(name)
    known = leaves(table)
    for key, value in (changes or {}).items():
        _put(table, full_key(key, known, name), value)
    try:
        return Preset.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if part not in ("net", "trees")) or "the preset"
        raise TrainingError(
            f"preset {name}: {key} is not valid: {first['msg']}, got {json.dumps(first['input'], default=str)[:80]}",
            "correct that value; --set takes values as TOML writes them",
        ) from None


def parse_change(text: str) -> tuple[str, Any]:
    """`key=value` from the command line; the value as TOML reads it, and as plain text where TOML does not."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise TrainingError(f"--set expects KEY=VALUE, got {text!r}", "write for example --set training.learning_rate=0.01")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def leaves(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one flat mapping of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def full_key(key: str, known: dict[str, Any], name: str) -> str:
    """The dotted key that `key` names: itself, or the only one that ends in it. Roles of columns are the preset's, not an option."""
    choices = sorted(k for k in known if k in ("epochs", "seed", "threads") or k.startswith(("training.", "data.split.")))
    choices = [k for k in choices if k != "training.learner"]
    matches = [k for k in choices if k == key] or [k for k in choices if k.endswith(f".{key}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise TrainingError(f"--set {key} is ambiguous in preset {name}", f"write one of {', '.join(matches)}")
    raise TrainingError(f"preset {name} has no key {key!r}", f"its keys are {', '.join(choices)}")


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        table = table[part]
    table[last] = value


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)
