"""`python -m models.train PRESET`: train a model, log it to MLflow, register it. The last line of stdout is its URI."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, NoReturn

from models.errors import TrainingError

#: A registered name that stands in a URI as it is: `models:/NAME/VERSION`, `models:/NAME@demo`.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class _Parser(argparse.ArgumentParser):
    """argparse, but a bad option is one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        raise TrainingError(message, f"see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 the request cannot be carried out (one line on stderr), 130 interrupted."""
    try:
        options = _options(arguments)
        if options.list:
            _list()
            return 0
        with redirect_stdout(sys.stderr):  # MLflow's and LightGBM's own lines must not come after the URI
            uri = _train(options)
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was registered", file=sys.stderr)
        return 130
    print(uri)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="python -m models.train", description="Train a preset, log it to MLflow, register it; prints its URI last.")
    parser.add_argument("preset", nargs="?", metavar="PRESET", help="which model to train: see --list")
    parser.add_argument("--list", action="store_true", help="the presets: name, modality, one line each")
    parser.add_argument("--epochs", type=int, metavar="N", help="at most so many epochs (boosting rounds for trees)")
    parser.add_argument("--seed", type=int, metavar="S", help="every random choice of the training; the split of the rows has its own")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes", help="change one value of the preset")
    parser.add_argument("--name", help="the registered model's name (default: the preset's)")
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI, else mlflow.db in this directory)")
    parser.add_argument("--epsilon", type=float, metavar="E", help="private training: comes with a later version")
    parser.add_argument("--delta", type=float, metavar="D", help="private training: comes with a later version")
    options = parser.parse_args(arguments)
    if options.epsilon is not None or options.delta is not None:
        raise TrainingError("differentially private training comes with a later version", "leave out --epsilon and --delta")
    if options.preset is None and not options.list:
        raise TrainingError("expected the name of a preset, got none", "see the presets with --list")
    if options.name is not None and not NAME.fullmatch(options.name):
        raise TrainingError(f"--name expects letters, digits, dots, dashes and underscores, got {options.name!r}", "choose another name")
    return options


def _list() -> None:
    from models.config import preset_names, preset_table

    tables = [preset_table(name) for name in preset_names()]
    width = max(len(table["name"]) for table in tables)
    for table in tables:
        print(f"{table['name']:{width}}  {table['modality']}  {table['description']}")


def _train(options: argparse.Namespace) -> str:
    from models.config import load_preset
    from models.loop import pick_device
    from models.tracking import connect, log, refusals, store_uri

    preset = load_preset(options.preset, _changes(options))
    alias = "demo" if preset == load_preset(options.preset) else None
    if preset.training.learner == "net":
        pick_device(options.device)  # a missing GPU is known before anything is written
    uri = store_uri(options.tracking_uri)
    connect(uri)
    training = _fit(preset, options.device)
    with refusals(uri):
        return log(training, name=options.name or preset.name, alias=alias)


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    from models.config import parse_change

    given = dict(parse_change(text) for text in options.changes)
    named = {"epochs": options.epochs, "seed": options.seed}
    return given | {key: value for key, value in named.items() if value is not None}


def _fit(preset: Any, device: Any) -> Any:
    """Load the rows, train, and keep what each epoch measured."""
    from models import data
    from models.learners import net, trees
    from models.progress import progress
    from models.tracking import Training, now_ms

    dataset = data.load(preset.data)
    history: list[tuple[int, int, dict[str, float]]] = []
    started = time.perf_counter()
    with progress(preset.name, preset.epochs) as show:

        def on_epoch(epoch: int, measured: dict[str, float]) -> None:
            history.append((epoch, now_ms(), measured))
            show(epoch, measured)

        if preset.training.learner == "net":
            fitted = net.train(preset, dataset, device=device, on_epoch=on_epoch)
        else:
            fitted = trees.train(preset, dataset, on_epoch=on_epoch)
    return Training(preset, dataset, fitted, history, time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())
