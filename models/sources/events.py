"""A long table of events, one a line, as sequences: one row for each person, with the outcome of the person's latest event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from models.errors import TrainingError
from models.settings import DataSettings, Settings
from models.sources.table import frame_of, path_of

if TYPE_CHECKING:
    import pandas as pd


class Options(Settings):
    """`person` and `order` are columns: whose event it is, and which comes first (by its values, ascending).

    `outcome` is a column of the events, and `yes` its value at the latest event that makes the target "yes"; any other makes it "no".
    `missing` are texts that mean "not known"; `without` maps a column to values at the latest event that leave the person out.
    """

    person: str
    order: str
    outcome: str
    yes: str
    missing: tuple[str, ...] = ()
    without: dict[str, tuple[str, ...]] = Field(default_factory=dict)


def read(settings: DataSettings) -> pd.DataFrame:
    """Columns: the person, the sequence (of the preset's one sequence signal, in order), the sensitive columns as the latest event has them, the target."""
    try:
        options = Options.model_validate_json(_json(settings.options))
    except ValidationError as error:
        first = error.errors()[0]
        raise TrainingError(
            f"data.options.{'.'.join(map(str, first['loc']))} is not valid: {first['msg']}", "correct it in the preset or by --set"
        ) from None
    return sequences(frame_of(path_of(settings)), settings, options)


def sequences(events: pd.DataFrame, settings: DataSettings, options: Options) -> pd.DataFrame:
    """One row for each person of `events`, in the order of the persons' keys; see `Options`."""
    import numpy as np
    import pandas as pd

    name, signal = next((n, s) for n, s in settings.signals.items() if s.kind == "sequence")
    beside = [column for column in settings.sensitive if column not in (options.person, options.outcome)]
    needed = {options.person, options.order, options.outcome, *signal.fields, *beside, *options.without}
    if absent := sorted(needed - set(events.columns)):
        raise TrainingError(f"{settings.file} has no columns {', '.join(absent)}", "name a file of events that has them")
    known = events[options.person].notna() & events[options.order].notna()
    events = events[known].sort_values([options.person, options.order], kind="stable", ignore_index=True)
    if events.empty:
        raise TrainingError(f"{settings.file} holds no event of a known person", f"fill the columns {options.person} and {options.order}")
    events = events.mask(events.isin(list(options.missing)))
    last = np.flatnonzero(events[options.person].ne(events[options.person].shift(-1)))
    first = np.concatenate([[0], last[:-1] + 1])
    latest = events.iloc[last].reset_index(drop=True)
    steps = _records(events[list(signal.fields)])
    rows = pd.DataFrame({
        options.person: latest[options.person],
        name: pd.Series([steps[start : end + 1] for start, end in zip(first, last, strict=True)], dtype=object),
        **{column: latest[column] for column in beside},
        settings.target: latest[options.outcome].map(lambda value: "yes" if str(value) == options.yes else "no", na_action="ignore"),
    })  # fmt: skip
    left_out = np.zeros(len(rows), dtype=bool)
    for column, values in options.without.items():
        left_out |= latest[column].map(str).isin(values).to_numpy()
    return rows[~left_out].reset_index(drop=True)


def _records(fields: pd.DataFrame) -> list[dict[str, Any]]:
    """Each line as a record, missing as None."""
    return [{str(k): v for k, v in record.items()} for record in fields.astype(object).where(fields.notna(), None).to_dict("records")]


def _json(options: dict[str, Any]) -> str:
    import json

    return json.dumps(options, default=str)
