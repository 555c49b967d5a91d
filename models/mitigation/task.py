"""What is mitigated: a net of two classes and the groups of a sensitive column; what cannot be mitigated is refused."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from models.encoding import Column, Encoder
from models.errors import TrainingError
from models.registered import Registered

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Task:
    """What is mitigated: a net of two classes, and the sensitive column with the groups of its training rows."""

    base: Registered
    sensitive: str
    groups: tuple[str, ...]
    constraint: str

    @cached_property
    def train(self) -> pd.DataFrame:
        """Training rows whose group is known."""
        rows = self.base.dataset.parts["train"]
        return rows[group_of(rows, self.sensitive).notna().to_numpy()].reset_index(drop=True)

    @cached_property
    def group(self) -> NDArray[Any]:
        """(n,) of the training rows."""
        return group_of(self.train, self.sensitive).to_numpy(dtype=object)

    @cached_property
    def y(self) -> NDArray[np.int64]:
        """(n,) 1 for the positive label."""
        found: NDArray[np.int64] = (self.base.y_of(self.train) == self.base.positive).astype("int64")
        return found

    @cached_property
    def weight(self) -> float:
        """What a wrong positive decision counts: the cut-off of the base."""
        return self.base.threshold if self.base.threshold is not None else 0.5

    @cached_property
    def encoder(self) -> Encoder:
        """The base's inputs and the sensitive column, at the end of the table unless it is an input already."""
        own = self.base.net.encoder
        if self.sensitive in [column.name for column in own.columns]:
            return own
        single = [c for c in own.columns if c.single]
        others = [c for c in own.columns if not c.single]
        return Encoder((*single, Column(self.sensitive, "category", self.groups), *others), own.tokenizer)

    def places(self) -> dict[str, int]:
        """`own` and `at` of models/nets/inner.py, and how many groups there are."""
        table = [column.name for column in self.encoder.inputs()["table"]]
        own = sum(column.single for column in self.base.net.encoder.columns)
        return {"own": own, "at": table.index(self.sensitive), "groups": len(self.groups)}

    def codes(self) -> dict[str, int]:
        """Group → the code that the net sees."""
        column = next(c for c in self.encoder.columns if c.name == self.sensitive)
        return {label: i for i, label in enumerate(column.vocabulary)}


def group_of(rows: pd.DataFrame, sensitive: str) -> pd.Series[Any]:
    """(n,) the group of each row as text, missing where unknown."""
    import pandas as pd

    from models.encoding import as_text

    return pd.Series(as_text(rows[sensitive]), dtype=object)


def task(base: Registered, sensitive: str, constraint: str) -> Task:
    """The task, after what cannot be mitigated has been refused."""
    settings = base.dataset.settings
    if base.dataset.classes != 2:
        many = f"{base.dataset.classes} classes" if base.dataset.classes else "a quantity"
        raise TrainingError(f"mitigation takes a model of two classes, {base.uri} predicts {many}", "give a model of two classes")
    if "variant" in base.metadata:
        said = base.metadata["variant"]
        origin = said.get("mitigated_from") or said.get("compressed_from")
        raise TrainingError(f"{base.uri} is itself a variant of {origin}", f"mitigate {origin}")
    train = base.dataset.parts["train"]
    if sensitive not in train.columns or sensitive == settings.target:
        have = ", ".join(settings.sensitive) or "none"
        raise TrainingError(f"the logged rows have no sensitive column {sensitive!r}", f"name one of them: {have}")
    groups = tuple(sorted(set(group_of(train, sensitive).dropna())))
    if not 2 <= len(groups) <= 20:
        raise TrainingError(f"column {sensitive!r} has {len(groups)} values among the training rows", "name a column of 2 to 20 groups")
    input_of = next((c for c in base.dataset.columns if c.name == sensitive), None)
    if input_of is not None and input_of.kind != "category":
        raise TrainingError(f"the net takes {sensitive!r} as a number", "train it with this column under data.categories")
    found = Task(base, sensitive, groups, constraint)
    positives = {g: int(found.y[found.group == g].sum()) for g in groups}
    for group, k in positives.items():
        if k in (0, int((found.group == group).sum())):
            raise TrainingError(
                f"all training rows of {sensitive} {group!r} have one class", "join this group with another in the data, and train again"
            )
    return found
