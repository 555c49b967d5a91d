"""`python -m models.compress MODEL_URI --int8 | --prune SHARE | --distill PRESET`: register a smaller version. The last line of stdout is its URI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from models.command import Parser, answered
from models.errors import TrainingError
from models.seeds import FEWEST, MOST, population, recipe

if TYPE_CHECKING:
    from models.learners.net import Net
    from models.loop import OnEpoch
    from models.registered import Registered, Variant
    from models.settings import Preset


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 the request cannot be carried out (one line on stderr), 130 interrupted."""
    return answered(lambda: _compress(_options(arguments)))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m models.compress",
        description="Make a registered net smaller and register it as its next version; prints its URI last.",
    )
    parser.add_argument("model", metavar="MODEL_URI", help="models:/NAME/VERSION or models:/NAME@ALIAS, trained as a net by models.train")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--int8", action="store_true", help="weights in 8 bits with one scale a row")
    how.add_argument("--prune", type=float, metavar="SHARE", help="this share of all weights, those nearest to zero, becomes zero")
    how.add_argument("--distill", metavar="PRESET", help="train this preset's net on the model's chances")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="changes", help="change one value of --distill's preset"
    )
    parser.add_argument(
        "--seeds", type=int, metavar="K",
        help=f"train K models more ({FEWEST} to {MOST}) by the model's recipe with other seeds, and make each smaller: the audit then says which rows"
        " are decided otherwise whatever the seed, and whose",
    )  # fmt: skip
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI, else mlflow.db in this directory)")
    options = parser.parse_args(arguments)
    if options.prune is not None and not 0 < options.prune < 1:
        raise TrainingError(f"--prune expects a share between 0 and 1, got {options.prune:g}", "write for example --prune 0.5")
    if options.changes and not options.distill:
        raise TrainingError("--set changes the preset of --distill, and there is none", "leave it out")
    if options.seeds is not None and not FEWEST <= options.seeds <= MOST:
        raise TrainingError(
            f"--seeds expects {FEWEST} to {MOST} models, got {options.seeds}: of fewer the most frequent answer says little",
            f"write for example --seeds {FEWEST}",
        )
    return options


def _compress(options: argparse.Namespace) -> str:
    from models.config import load_preset, parse_change
    from models.loop import pick_device
    from models.progress import progress
    from models.registered import opened, publish, require_store
    from models.tracking import connect, refusals, store_uri

    student = load_preset(options.distill, dict(parse_change(text) for text in options.changes)) if options.distill else None
    uri = store_uri(options.tracking_uri)
    require_store(uri)
    connect(uri)
    with refusals(uri), opened(options.model) as base:
        preset = recipe(base, options.seeds, students=student is not None) if options.seeds else None
        if student is None:
            variant = _smaller(base, options)
        else:
            with progress(student.name, student.epochs) as show:
                variant = _smaller(base, options, student, show)
        print(f"note: {variant.limits[0]}", file=sys.stderr)
        if preset is not None:

            def of_seed(trained: Registered, k: int) -> Net:
                own = student and student.model_copy(update={"seed": student.seed + 1 + k})
                return _smaller(trained, options, own).net

            variant = replace(variant, seeds=population(base, preset, of_seed, count=options.seeds, device=pick_device("auto")))
        return publish(base, variant)


def _smaller(base: Registered, options: argparse.Namespace, student: Preset | None = None, on_epoch: OnEpoch = lambda *_: None) -> Variant:
    from models import compression

    if student is not None:
        return compression.distill(base, student, on_epoch=on_epoch)
    return compression.quantize(base) if options.int8 else compression.prune(base, options.prune)


if __name__ == "__main__":
    sys.exit(main())
