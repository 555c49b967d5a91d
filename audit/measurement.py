"""What a check hands over: measurements, each with how sure it is, what it was counted from and the evidence behind it. Nothing here is judged.

With `audit.result`, which judges and gathers them, a leaf: standard library and pydantic only, so that a reader needs neither the model, nor the data, nor
their libraries. All models are frozen; NaN and infinity are refused when an object is made, because what is unknown is a status with a reason and never a
number.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Compare = Literal["value", "difference", "ratio", "odds_ratio"]
ComputedIn = Literal["parent", "worker"]
Real = Annotated[float, Field(allow_inf_nan=False)]
Slice = dict[str, str]
Cell = str | int | Real | None


class Frozen(BaseModel):
    """Base of all records: immutable, unknown keys refused, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="null")


class Message(Frozen):
    """A sentence as (template, values): `audit.text` renders it in a language; the English stands beside it in the document."""

    id: str
    values: dict[str, str | int | Real | Message | list[Message] | list[str] | None] = {}


class Estimate(Frozen):
    """A number with what is known about it; `low` and `high` bound it at `level` (two-sided) by `method`, from `n` rows.

    An exact quantity has low = high = value and method "exact".
    """

    value: Real
    low: Real
    high: Real
    level: Annotated[float, Field(gt=0, lt=1)]
    method: str
    n: Annotated[int, Field(ge=0)]


class Part(Frozen):
    """The counts behind an estimate: k of n rows in this slice."""

    slice: Slice
    k: Annotated[int, Field(ge=0)]
    n: Annotated[int, Field(ge=0)]


class Test(Frozen):
    """A test of `null`; `adjusted_p_value` is over the `tests_in_family` tests that were made together."""

    __test__ = False  # not a pytest class

    null: str
    method: str
    p_value: Annotated[float, Field(ge=0, le=1)]
    adjusted_p_value: Annotated[float, Field(ge=0, le=1)] | None = None
    tests_in_family: int | None = None


class Clusters(Frozen):
    """What an estimate is worth whose rows belong together: drawn as whole clusters, not as rows.

    `fewest` are the clusters on the side that has fewer (sets of clusters, where there are thousands); `design_effect` is the variance over
    clusters divided by that over independent rows, 1 where nothing is lost; `effective` are the independent rows that each part is worth. Where
    rows carry survey weights too, these are independent rows of equal weight, and `Weights` says the same.
    """

    fewest: Annotated[int, Field(ge=0)]
    design_effect: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    effective: list[int]


class Weights(Frozen):
    """What an estimate is worth whose rows carry survey weights.

    `k` and `n` are the sums of the weights behind each part, where counts make the estimate; `effective` are the rows of equal weight that each
    part is worth, and `design_effect` is the rows divided by them for the part that is worth fewer: 1 where nothing is lost.
    """

    design_effect: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    effective: list[int]
    k: list[Real] = []
    n: list[Real] = []


class Column(Frozen):
    """A column of a table; `kind` says how its cells are written."""

    name: str
    label: str
    kind: Literal["text", "integer", "number", "percent", "points", "ratio", "ratio3", "p_value"] = "text"


class Table(Frozen):
    """Rows of cells under named columns."""

    kind: Literal["table"] = "table"
    caption: str
    caption_msg: Message | None = None
    columns: list[Column]
    rows: list[list[Cell]]


class Series(Frozen):
    """One line of a curve; `low` and `high` are its band, where there is one."""

    name: str
    x: list[Real]
    y: list[Real]
    low: list[Real] | None = None
    high: list[Real] | None = None
    n: list[int] | None = None


class Curve(Frozen):
    """Lines over a common x; `x_kind` and `y_kind` say how the axes are written; `current` is the x that is in force, such as the cutoff."""

    kind: Literal["curve"] = "curve"
    name: str
    caption: str
    caption_msg: Message | None = None
    x_label: str
    y_label: str
    x_kind: Literal["number", "percent"] = "number"
    y_kind: Literal["number", "percent", "ratio", "points"] = "number"
    current: Real | None = None
    series: list[Series]


class Histogram(Frozen):
    """Counts between edges, one list per series; len(edges) = len(counts) + 1.

    `outcome` is set where only rows of one outcome are counted, with the event or without it: the two together give every rate at every edge.
    """

    kind: Literal["histogram"] = "histogram"
    outcome: Literal["event", "no_event"] | None = None
    caption: str
    caption_msg: Message | None = None
    x_label: str
    edges: list[Real]
    series: dict[str, list[int]]


class Heatmap(Frozen):
    """A matrix of counts or shares, such as a confusion matrix: values[row][column]; with a `unit`, amounts on one scale, such as a map.

    `rejected`: what it shows failed its gates, and is crossed out.
    """

    kind: Literal["heatmap"] = "heatmap"
    caption: str
    caption_msg: Message | None = None
    row_label: str
    column_label: str
    rows: list[str]
    columns: list[str]
    values: list[list[Real]]
    unit: str | None = None
    rejected: bool = False


class Attribution(Frozen):
    """How much each feature moved the output: one value per feature with its interval, in the unit of the output; or what it tells of the error."""

    kind: Literal["attribution"] = "attribution"
    caption: str
    caption_msg: Message | None = None
    unit: str
    features: list[str]
    values: list[Real]
    low: list[Real] | None = None
    high: list[Real] | None = None
    of: Literal["output", "error"] = "output"


class TreeNode(Frozen):
    """A part of the rows, those of its parent with one of these levels of a column, and its value with its interval; the root has no parent.

    `low` and `high` are None where the rows do not show their spread.
    """

    parent: int | None = None
    column: str | None = None
    levels: list[str] = []
    n: Annotated[int, Field(ge=0)]
    value: Real
    low: Real | None = None
    high: Real | None = None


class Tree(Frozen):
    """The rows divided step by step; parents stand before their children. `level` and `method` are those of the intervals of `metric`."""

    kind: Literal["tree"] = "tree"
    caption: str
    caption_msg: Message | None = None
    metric: str
    level: Annotated[float, Field(gt=0, lt=1)]
    method: str
    nodes: list[TreeNode]


Evidence = Annotated[Table | Curve | Histogram | Heatmap | Attribution | Tree, Field(discriminator="kind")]


class Measurement(Frozen):
    """What a check hands over: a metric, for whom, against whom, and how sure. It is not judged yet.

    `slice` is {} for everybody; `against` is None exactly where `compare` is "value". `estimate` is None where the metric is undefined, and
    then `reason` says why. `no_pass` says why a value inside its limits is no pass all the same.
    """

    metric: str
    compare: Compare = "value"
    slice: Slice = {}
    against: Slice | None = None
    parts: list[Part] = []
    estimate: Estimate | None = None
    test: Test | None = None
    reason: str | None = None
    reason_msg: Message | None = None
    computed_in: ComputedIn = "parent"
    repeatable: bool = True
    clusters: Clusters | None = None
    weights: Weights | None = None
    evidence: list[Evidence] = []
    no_pass: Message | None = None

    @model_validator(mode="after")
    def _whole(self) -> Measurement:
        if (self.against is None) != (self.compare == "value"):
            raise ValueError(f"{self.metric}: 'against' is set exactly where two slices are compared, got compare={self.compare!r}")
        if self.estimate is None and not self.reason:
            raise ValueError(f"{self.metric}: a measurement without an estimate needs a reason")
        return self

    @property
    def worth(self) -> Clusters | Weights | None:
        """What the rows are worth where they belong together or carry weights; None where they count as they are."""
        return self.clusters or self.weights

    @property
    def masses(self) -> list[tuple[float, float]]:
        """(k, n) of each part: sums of weights where rows carry them, else counts."""
        if self.weights is not None and self.weights.n:
            return list(zip(self.weights.k, self.weights.n, strict=True))
        return [(p.k, p.n) for p in self.parts]
