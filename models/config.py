"""From a preset's TOML file and `--set` to a frozen `Preset`; what is unknown or wrong is refused in one line."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from models.errors import TrainingError
from models.settings import NetTraining, Preset

PRESETS = Path(__file__).parent / "presets"
#: Parts of a preset that `--set` may change; the rest says what the columns mean.
OPEN = ("training.", "data.split.", "data.options.", "data.signals.")


def preset_names() -> list[str]:
    """The presets that ship, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def preset_table(name: str) -> dict[str, Any]:
    """A preset as its files have it: its own table, over the shared tables that `include` names."""
    if name not in preset_names():
        near = difflib.get_close_matches(name, preset_names(), n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise TrainingError(f"there is no preset {name!r}", f"{meant}The presets are {', '.join(preset_names())}")
    table = _read(PRESETS / f"{name}.toml")
    for shared in table.pop("include", []):
        table = _over(_read(PRESETS / "shared" / f"{shared}.toml"), table)
    return table


def load_preset(name: str, changes: dict[str, Any] | None = None, data: dict[str, Any] | None = None) -> Preset:
    """The preset with `data` over its data table and `changes` (dotted key → value) over all; an unknown key or a wrong type is refused."""
    table = preset_table(name)
    if data:
        table["data"] = table["data"] | data
    table = _complete(validated(table, name))
    known = leaves(table)
    for key, value in (changes or {}).items():
        _put(table, full_key(key, known, name), value)
    return validated(table, name)


def validated(table: dict[str, Any], name: str) -> Preset:
    """A table as a preset; what is unknown or wrong is refused."""
    try:
        preset = Preset.model_validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise _refusal(name, error) from None
    network(preset)
    return preset


def network(preset: Preset) -> BaseModel | None:
    """What the preset says of its network, as the settings of that architecture (models/networks.py) have it; None for trees."""
    from models.networks import NETWORKS

    if not isinstance(preset.training, NetTraining):
        return None
    kind = NETWORKS.get(preset.training.architecture)
    if kind is None:
        raise TrainingError(f"there is no architecture {preset.training.architecture!r}", f"the architectures are {', '.join(NETWORKS)}")
    try:
        return kind.model_validate_json(json.dumps(preset.training.network))
    except ValidationError as error:
        raise _refusal(preset.name, error, "training.network.") from None


def _refusal(name: str, error: ValidationError, prefix: str = "") -> TrainingError:
    first = error.errors()[0]
    if first["type"] == "value_error":  # of several values together: they are named in what it says
        what = first["msg"].removeprefix("Value error, ")
        return TrainingError(f"preset {name}: {what}", "change or leave out what it names; --set takes values as TOML writes them")
    key = prefix + ".".join(str(part) for part in first["loc"] if part not in ("net", "trees")) or "the preset"
    return TrainingError(
        f"preset {name}: {key} is not valid: {first['msg']}, got {json.dumps(first['input'], default=str)[:80]}",
        "correct that value; --set takes values as TOML writes them",
    )


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
    choices = sorted(
        k for k in known if k in ("epochs", "seed", "threads", "data.rows", "data.canaries", "data.canary_seed") or k.startswith(OPEN)
    )
    choices = [k for k in choices if k not in ("training.learner", "training.architecture")]
    matches = [k for k in choices if k == key] or [k for k in choices if k.endswith(f".{key}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise TrainingError(f"--set {key} is ambiguous in preset {name}", f"write one of {', '.join(matches)}")
    short = {k.rpartition(".")[2] for k in choices}
    near = difflib.get_close_matches(key, sorted({*choices, *short}), n=1)
    raise TrainingError(f"preset {name} has no key {key!r}", f"did you mean {near[0]}?" if near else f"its keys are {', '.join(choices)}")


def _complete(preset: Preset) -> dict[str, Any]:
    """The preset as a table with every default in it, so that `--set` reaches what the file left off."""
    table = preset.model_dump(mode="json")
    described = network(preset)
    if described is not None:
        table["training"]["network"] = described.model_dump(mode="json")
    return table


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two tables as one; where both have a table of a name, they are joined in turn."""
    both = {k: _over(below[k], above[k]) for k in above if isinstance(above[k], dict) and isinstance(below.get(k), dict)}
    return below | above | both


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        table = table[part]
    table[last] = value


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)
