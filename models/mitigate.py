"""`python -m models.mitigate MODEL_URI --sensitive A`: register a version with less disparity. The last line of stdout is its URI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from models.command import Parser, answered
from models.errors import TrainingError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from models.frontier import Sample
    from models.mitigation.methods import Candidate
    from models.mitigation.task import Task
    from models.registered import Registered, Variant

CONSTRAINTS = ("demographic_parity", "true_positive_rate_parity", "false_positive_rate_parity", "equalized_odds")
METHODS = ("exponentiated_gradient", "grid_search", "threshold_optimizer", "correlation_remover", "adversarial")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 the request cannot be carried out (one line on stderr), 130 interrupted."""
    return answered(lambda: _mitigate(_options(arguments)))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m models.mitigate",
        description="Make the decisions of a registered net differ less between groups, by a method of fairlearn, and register the result as its "
        "next version; prints its URI last. The points of the frontier are fitted on training rows, and one is chosen on validation rows.",
    )
    parser.add_argument("model", metavar="MODEL_URI", help="models:/NAME/VERSION or models:/NAME@ALIAS, trained as a net by models.train")
    parser.add_argument("--sensitive", required=True, metavar="COL", help="the column of the groups, among the rows that were logged")
    parser.add_argument("--constraint", choices=CONSTRAINTS, default=CONSTRAINTS[0], help="what is to be equal (default: %(default)s)")
    parser.add_argument("--method", choices=METHODS, default=METHODS[0], help="fairlearn's name of the method (default: %(default)s)")
    parser.add_argument(
        "--max-cost",
        type=float,
        default=0.02,
        metavar="C",
        help="the point chosen costs at most so much more weighted error (default: %(default)s)",
    )
    parser.add_argument("--data", metavar="PATH", help="rows that choose instead of the validation rows; rows of the audit are refused")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the intervals by resampling (default: %(default)s)")
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI, else mlflow.db in this directory)")
    options = parser.parse_args(arguments)
    if not 0 <= options.max_cost < 1:
        raise TrainingError(f"--max-cost expects a number from 0 to 1, got {options.max_cost:g}", "write for example --max-cost 0.02")
    return options


def _mitigate(options: argparse.Namespace) -> str:
    from models.registered import opened, publish, require_store
    from models.tracking import connect, refusals, store_uri

    uri = store_uri(options.tracking_uri)
    require_store(uri)
    connect(uri)
    with refusals(uri), opened(options.model) as base:
        return publish(base, _variant(base, options))


def _variant(base: Registered, options: argparse.Namespace) -> Variant:
    """The chosen point, with the frontier that it was chosen from."""
    from models import frontier
    from models.loop import deterministic
    from models.mitigation.methods import METHODS as CANDIDATES
    from models.mitigation.task import task

    what = task(base, options.sensitive, options.constraint)
    rows = _rows(base, what, options.data)
    sample = _sample(base, what, rows, options.seed)
    before = _decided(base, base.net, base.metadata["outputs"], what.weight, rows)
    unchanged = frontier.measured(sample, before, before, constraint=options.constraint)
    if unchanged["disparity"] is None:
        raise TrainingError(
            f"no two groups of {options.sensitive} have {frontier.FEWEST} rows to be compared on", "give more rows with --data"
        )
    with deterministic(options.seed, threads=1):
        candidates = list(CANDIDATES[options.method](what))
        points = [
            frontier.measured(sample, _decided(base, c.net, c.outputs, c.threshold, rows), before, constraint=options.constraint)
            for c in candidates
        ]
    named = [_name(c) for c in candidates]
    print(frontier.line("as it is", unchanged), file=sys.stderr)
    for i in frontier.efficient(points):
        print(frontier.line(named[i], points[i]), file=sys.stderr)
    place = frontier.chosen(unchanged, points, most=options.max_cost)
    if place is None:
        raise TrainingError(
            f"none of {len(points)} points of {options.method} has less disparity on {len(rows)} rows at a cost of at most {options.max_cost:g}",
            "allow more with --max-cost, or take another method; nothing was registered",
        )
    print(frontier.line(f"chosen: {named[place]}", points[place]), file=sys.stderr)
    record = {
        "constraint": options.constraint, "method": options.method, "sensitive": options.sensitive, "rows": options.data or "validation",
        "error": f"a wrong positive decision counts {2 * what.weight:.4f}, a wrong negative one {2 * (1 - what.weight):.4f}",
        "as_it_is": unchanged, "chosen": place, "points": [{"point": c.point, **p} for c, p in zip(candidates, points, strict=True)],
    }  # fmt: skip
    return _described(base, what, candidates[place], record, options.method)


def _described(base: Registered, what: Task, candidate: Candidate, record: dict[str, Any], method: str) -> Variant:
    """The point with what its readers must know: where it comes from, how it uses the group, and what its score means."""
    from models.mitigation.methods import NEED_GROUP
    from models.registered import Variant

    needs = method in NEED_GROUP
    point = record["points"][record["chosen"]]
    said = {
        "mitigated_from": base.uri, "method": method, "constraint": what.constraint, "sensitive": what.sensitive, "point": _name(candidate),
        "group_at_decision": "yes" if needs else "no",
    }  # fmt: skip
    limits = [
        f"Mitigated version of {base.uri}: {method} (fairlearn) for {what.constraint} over {what.sensitive}, chosen on validation rows"
    ]
    if method == "threshold_optimizer":
        limits.append(
            f"Cut-offs depend on {what.sensitive}: treating people by their group at decision time may be disparate treatment in law"
        )
    elif needs:
        limits.append(f"It takes {what.sensitive} of each person at decision time, which may be disparate treatment in law")
    if candidate.score_of == "decision":
        limits.append("Its score was made for the decision: it is not to be read or judged as a probability of the label")
    if point["worse_for"]:
        limits.append(f"On the rows that chose it, the weighted error grew for {', '.join(point['worse_for'])}")
    figures = {"disparity_before": record["as_it_is"]["disparity"]["value"], "disparity_after": point["disparity"]["value"]}
    figures |= {"cost": point["cost"]["value"], "frontier_points": float(len(record["points"]))}
    named = {f"mitigation_{key}": value for key, value in figures.items()}
    reports = {"mitigation/frontier.json": record}
    return Variant(candidate.net, candidate.outputs, candidate.threshold, said, tuple(limits), reports, named, score_of=candidate.score_of)


def _name(candidate: Candidate) -> str:
    return ", ".join(f"{key} {value}" for key, value in candidate.point.items())


def _decided(base: Registered, net: Any, outputs: str, threshold: float, rows: pd.DataFrame) -> NDArray[np.bool_]:
    """(n,): whether the rule decides for the positive label."""
    from models.loop import outputs_of
    from models.metrics import softmax

    found = outputs_of(net.module, net.encoder.arrays(rows))
    scores = softmax(found) if outputs == "logit" else found
    decided: NDArray[np.bool_] = scores[:, base.positive] >= threshold
    return decided


def _sample(base: Registered, what: Task, rows: pd.DataFrame, seed: int) -> Sample:
    from models.frontier import Sample
    from models.mitigation.task import group_of

    y = base.y_of(rows) == base.positive
    if y.all() or not y.any():
        raise TrainingError(f"the rows that choose have one class of {base.dataset.settings.target} only", "give rows of both classes")
    group = group_of(rows, what.sensitive)
    return Sample(y, group.where(group.notna(), None).to_numpy(dtype=object), what.weight, seed)


def _rows(base: Registered, what: Task, path: str | None) -> pd.DataFrame:
    """The rows that choose: the validation rows, or those of a file that shares none with the audit."""
    from pathlib import Path

    from models.sources.table import frame_of

    if path is None:
        return base.dataset.parts["validation"]
    if not Path(path).is_file():
        raise TrainingError(f"there is no file {path}", "name one that is there with --data")
    rows = frame_of(Path(path))
    settings = base.dataset.settings
    wanted = [*base.dataset.features, settings.target, what.sensitive]
    if absent := [name for name in wanted if name not in rows.columns]:
        raise TrainingError(f"{path} has no columns {', '.join(absent[:10])}", "give rows with the columns of the logged ones")
    if (strange := base.y_of(rows) < 0).any():
        label = rows[settings.target][strange].iloc[0]
        raise TrainingError(f"{path} has the label {label!r} in {settings.target}", f"the classes are {', '.join(settings.classes)}")
    shared = set(_keys(base, rows)) & set(_keys(base, base.dataset.parts["evaluation"]))
    if shared:
        raise TrainingError(
            f"{len(shared)} rows of {path} are evaluation rows, on which the audit judges",
            "choose on other rows; without --data the validation rows choose",
        )
    return rows


def _keys(base: Registered, rows: pd.DataFrame) -> list[str]:
    """Each row's inputs and label as the net sees them, as one digest."""
    import hashlib

    labels = base.y_of(rows)
    arrays = base.net.encoder.arrays(rows)
    return [hashlib.sha256(b"".join(x[i].tobytes() for x in arrays) + bytes([labels[i]])).hexdigest() for i in range(len(rows))]


if __name__ == "__main__":
    sys.exit(main())
