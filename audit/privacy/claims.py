"""What training promised of single rows, as it logged it: the claim of differential privacy, and the canaries that were planted to test it.

The claim stands twice, on the run (`roles.json`) and in the model's own metadata; where the two disagree nobody knows what was promised.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from audit.dataset import open_dataset
from audit.errors import AuditError
from audit.features import FeatureSpec
from audit.measurement import Frozen

#: Fields of a claim that hold numbers, and those that hold words.
NUMBERS = (
    "epsilon", "delta", "noise_multiplier", "sample_rate", "steps", "steps_taken", "rows", "expected_batch_size", "clip_norm",
    "drawn_batches", "drawn_mean", "drawn_variance", "times_mean", "times_variance", "noise_numbers", "noise_added",
)  # fmt: skip
WORDS = ("mechanism", "accountant", "sampling", "adjacency", "noise_source")


class Claim(Frozen):
    """A logged claim; None is what was not logged. `unreadable` names fields that hold something else than they should.

    `drawn_…` are of the sizes of batches, `times_…` of how often each row was drawn; `noise_added` is the root mean square of the noise that was
    added to `noise_numbers` numbers, in clipping norms.
    """

    epsilon: float | None = None
    delta: float | None = None
    noise_multiplier: float | None = None
    sample_rate: float | None = None
    steps: float | None = None
    steps_taken: float | None = None
    rows: float | None = None
    expected_batch_size: float | None = None
    clip_norm: float | None = None
    drawn_batches: float | None = None
    drawn_mean: float | None = None
    drawn_variance: float | None = None
    times_mean: float | None = None
    times_variance: float | None = None
    noise_numbers: float | None = None
    noise_added: float | None = None
    mechanism: str | None = None
    accountant: str | None = None
    sampling: str | None = None
    adjacency: str | None = None
    noise_source: str | None = None
    secure_mode: bool | None = None
    not_covered: list[str] = Field(default_factory=list)
    unreadable: list[str] = Field(default_factory=list)


class Privacy(Frozen):
    """Everything about privacy that was logged with the model. `canaries` is a file of rows with `included`; `chance` is that of their coins.

    `differ` names fields that run and model state differently; `without` says why canaries that were logged cannot be used.
    """

    claim: Claim | None = None
    differ: list[str] = Field(default_factory=list)
    canaries: str | None = None
    chance: float = 0.5
    without: str | None = None


def find_privacy(arguments: dict[str, Any], features: list[FeatureSpec], target: str | None) -> Privacy | None:
    """The claim and the canaries of a request; None where neither was logged."""
    logged, metadata = arguments.get("logged") or {}, arguments.get("metadata") or {}
    of_run, of_model = logged.get("privacy"), metadata.get("privacy")
    # What is there and is no record is a claim that nobody can read, and not none.
    given = next((found if isinstance(found, dict) else {} for found in (of_run, of_model) if found is not None), None)
    differ = []
    if isinstance(of_run, dict) and isinstance(of_model, dict):
        differ = sorted(k for k in of_run.keys() | of_model.keys() if k in (*NUMBERS, *WORDS) and of_run.get(k) != of_model.get(k))
    elif isinstance(of_model, dict) and logged:
        differ = ["privacy"]
    path = (arguments.get("privacy") or {}).get("canaries")
    if given is None and path is None:
        return None
    planted = logged.get("canaries")
    chance = _number(planted.get("chance", 0.5)) if isinstance(planted, dict) else 0.5
    without = _unusable(path, features, target) if path is not None else None
    return Privacy(
        claim=None if given is None else read_claim(given), differ=differ, canaries=path if without is None else None,
        chance=chance if chance is not None and 0 < chance < 1 else 0.5, without=without,
    )  # fmt: skip


def read_claim(given: dict[str, Any]) -> Claim:
    """A claim from what somebody logged: every field by itself, so that one bad value hides no other."""
    fields: dict[str, Any] = {}
    unreadable = []
    for name in NUMBERS:
        fields[name] = _number(given.get(name))
        if fields[name] is None and given.get(name) is not None:
            unreadable.append(name)
    for name in WORDS:
        value = given.get(name)
        fields[name] = value if isinstance(value, str) else None
        if value is not None and not isinstance(value, str):
            unreadable.append(name)
    secure, left = given.get("secure_mode"), given.get("not_covered")
    listed = [str(text)[:500] for text in left[:50]] if isinstance(left, list) else []
    return Claim(**fields, secure_mode=secure if isinstance(secure, bool) else None, not_covered=listed, unreadable=unreadable)


def _number(value: Any) -> float | None:
    """A finite number that is not below 0; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e300 else None


def _unusable(path: str, features: list[FeatureSpec], target: str | None) -> str | None:
    """Why the canaries at `path` cannot be used; None where they can."""
    try:
        dataset = open_dataset(str(Path(path)))
        wanted = [*(f.name for f in features), *([target] if target else []), "included"]
        absent = [name for name in wanted if name not in dataset.types]
        if absent:
            return f"they lack the columns {', '.join(absent[:10])}"
        if dataset.types["included"] != "BOOLEAN":
            return "their column included holds something else than true and false"
        return None if target is not None else "no outcome is known"
    except AuditError as error:
        return error.what
