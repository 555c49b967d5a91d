"""`python -m models.train PRESET`: train a model, log it to MLflow, register it. The last line of stdout is its URI."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from typing import Any

from models.clipping import MODES
from models.command import Parser, answered
from models.errors import TrainingError

#: A registered name that stands in a URI as it is: `models:/NAME/VERSION`, `models:/NAME@demo`.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 the request cannot be carried out (one line on stderr), 130 interrupted."""
    return answered(lambda: _answer(_options(arguments)))


def _answer(options: argparse.Namespace) -> str | None:
    return _list() if options.list else _train(options)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m models.train", description="Train a preset, log it to MLflow, register it; prints its URI last.")
    parser.add_argument("preset", nargs="?", metavar="PRESET", help="which model to train: see --list")
    parser.add_argument("--list", action="store_true", help="the presets: name, modality, one line each")
    parser.add_argument("--epochs", type=int, metavar="N", help="at most so many epochs (boosting rounds for trees)")
    parser.add_argument("--seed", type=int, metavar="S", help="every random choice of the training; the split of the rows has its own")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes", help="change one value of the preset")
    parser.add_argument("--name", help="the registered model's name (default: the preset's)")
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI, else mlflow.db in this directory)")
    parser.add_argument("--data", metavar="PATH", help="the rows, for a preset that comes without; or others of the same columns")
    parser.add_argument("--target", metavar="COL", help="the outcome, for a preset that takes any table")
    parser.add_argument("--sensitive", metavar="A,B", help="sensitive columns, for a preset that takes any table: logged beside the inputs")
    parser.add_argument("--group", metavar="COL", help="rows of equal value here (one person) stay in one part; no input")
    parser.add_argument("--checkpoint", metavar="FILE", help="where the training is kept while it goes on (default: in the state folder)")
    parser.add_argument("--checkpoint-every", type=float, default=10.0, metavar="S", help="seconds between two checkpoints (default 10)")
    parser.add_argument("--fresh", action="store_true", help="start anew, also where the same training was interrupted")
    private = parser.add_argument_group("privacy: training by DP-SGD (Opacus), and its audit")
    private.add_argument("--epsilon", type=float, metavar="E", help="find the noise at which all epochs together cost at most this")
    private.add_argument("--noise-multiplier", type=float, metavar="S", help="or give the noise, in clipping norms")
    private.add_argument("--delta", type=float, metavar="D", help="chance outside the promise (default 1e-5); below 1 / training rows")
    private.add_argument("--clip-norm", type=float, metavar="C", help="bound of the norm of each row's gradient (default 1)")
    private.add_argument("--clipping", choices=("flat", "per_layer"), help="all parameters together, or each to an equal part")
    private.add_argument(
        "--private-mode", choices=("auto", *MODES), metavar="MODE", help=f"auto (the fastest, measured), {', '.join(MODES)}"
    )
    private.add_argument(
        "--canaries", type=int, metavar="M", help="plant M rows with wrong labels, each with chance 1/2, for the one-run audit"
    )
    private.add_argument(
        "--references", type=int, default=0, metavar="K", help="train K more models on random halves of the rows, for membership inference"
    )
    options = parser.parse_args(arguments)
    if not 0 <= options.references <= 1000:
        raise TrainingError(f"--references expects a number from 0 to 1000, got {options.references}", "write for example --references 16")
    if options.epsilon is not None and options.noise_multiplier is not None:
        raise TrainingError("--epsilon and --noise-multiplier are both given", "leave one out: epsilon finds the noise")
    if options.preset is None and not options.list:
        raise TrainingError("expected the name of a preset, got none", "see the presets with --list")
    if options.name is not None and not NAME.fullmatch(options.name):
        raise TrainingError(f"--name expects letters, digits, dots, dashes and underscores, got {options.name!r}", "choose another name")
    return options


def _list() -> str:
    from models.config import preset_names, preset_table

    tables = [preset_table(name) for name in preset_names()]
    width, kind = (max(len(table[key]) for table in tables) for key in ("name", "modality"))
    public = [table["data"].get("public") for table in tables]
    return "\n".join(
        f"{table['name']:{width}}  {table['modality']:{kind}}  {table['description']}{f' (needs --data: {where})' if where else ''}"
        for table, where in zip(tables, public, strict=True)
    )


def _train(options: argparse.Namespace) -> str | None:
    """The URI of the registered model; None in a process that is not the first of several."""
    from models.config import load_preset
    from models.distributed import joined
    from models.loop import pick_device
    from models.tracking import connect, log, refusals, store_uri

    preset = load_preset(options.preset, _changes(options), _data(options))
    alias = "demo" if preset == load_preset(options.preset, data=_file(options)) else None
    if preset.training.learner == "net" and preset.training.private is not None:
        from models.privacy import require_opacus

        require_opacus()
    if options.references and preset.training.learner != "net":
        raise TrainingError(f"preset {options.preset} trains trees, and reference models are nets", "leave out --references")
    device = pick_device(options.device) if preset.training.learner == "net" else "cpu"  # a missing GPU is known before anything is written
    with joined(device) as world:
        uri = store_uri(options.tracking_uri)
        if world.first:
            connect(uri)
        checkpoint = _checkpoint(preset, options)
        if options.references and world.size > 1:
            raise TrainingError("--references trains one model a process of its own", "leave out the launcher, or --references")
        training = _fit(preset, device, world, checkpoint, options.references)
        if not world.first:
            return None
        try:
            with refusals(uri):
                found = log(training, name=options.name or preset.name, alias=alias)
        except TrainingError as error:
            if checkpoint is None or not checkpoint.path.exists():
                raise
            raise TrainingError(
                error.what, f"{error.mend}; the trained net is kept in {checkpoint.path}, and the same command logs it"
            ) from None
        if checkpoint is not None:
            checkpoint.remove()
        return found


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    from models.config import parse_change

    given, private = dict(parse_change(text) for text in options.changes), _private(options)
    named = {
        "epochs": options.epochs, "seed": options.seed, "data.split.group": options.group, "training.private": private,
        "data.canaries": options.canaries,
    }  # fmt: skip
    own = {} if private is None else _set_aside(options.preset, given)
    return own | given | {key: value for key, value in named.items() if value is not None}


def _set_aside(preset: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the preset itself says and private training goes without, switched off; what a user asks for besides is refused as it was."""
    from models.config import preset_table
    from models.settings import NOT_PRIVATE

    training = preset_table(preset)["training"]
    named = {key.rpartition(".")[2] for key in given}
    found = {key: off for key, off in NOT_PRIVATE.items() if training.get(key, off) != off and key not in named}
    if "adapters" in found:
        raise TrainingError(
            f"preset {preset} trains adapters, and private training goes without training.adapters", "train text-transformer privately"
        )
    for key, off in found.items():
        print(f"note: private training goes without the preset's training.{key} = {training[key]}: it is {off} here", file=sys.stderr)
    return {f"training.{key}": off for key, off in found.items()}


def _private(options: argparse.Namespace) -> dict[str, Any] | None:
    """The table training.private as the command line has it, over the preset's own; None where nothing is said."""
    from models.config import preset_table

    named = {
        "epsilon": options.epsilon, "noise_multiplier": options.noise_multiplier, "delta": options.delta, "clip_norm": options.clip_norm,
        "clipping": options.clipping, "mode": options.private_mode,
    }  # fmt: skip
    named = {key: value for key, value in named.items() if value is not None}
    if not named:
        return None
    training = preset_table(options.preset)["training"]
    if training["learner"] != "net":
        raise TrainingError(f"preset {options.preset} trains trees, and DP-SGD needs a net", "leave out the options of private training")
    own = training.get("private", {})
    given = {"epsilon", "noise_multiplier"} & set(named)
    return {key: value for key, value in own.items() if not given or key not in ("epsilon", "noise_multiplier")} | named


def _file(options: argparse.Namespace) -> dict[str, Any]:
    return {} if options.data is None else {"file": options.data}


def _data(options: argparse.Namespace) -> dict[str, Any]:
    """What the command line says of the data, over the preset's table; a preset whose columns are known takes no other roles."""
    from models.config import preset_table

    named = {"target": options.target, "sensitive": options.sensitive and {name.strip(): {} for name in options.sensitive.split(",")}}
    named = {key: value for key, value in named.items() if value is not None}
    fixed = preset_table(options.preset)["data"]
    if named and fixed["target"]:
        raise TrainingError(
            f"preset {options.preset} knows its columns, and takes no --{next(iter(named))}", "leave it out, or train the preset tabular"
        )
    if not fixed["target"] and options.data is not None and options.target is None:
        raise TrainingError(f"preset {options.preset} needs the name of the outcome column", "name it with --target")
    return _file(options) | named


def _checkpoint(preset: Any, options: argparse.Namespace) -> Any:
    """Where this training is kept; None for trees, which are trained in seconds."""
    from pathlib import Path

    from models.checkpoints import Checkpoint, default_folder, fingerprint

    if preset.training.learner != "net":
        return None
    named = [Path(part) for part in (preset.data.file or "").split(",") if part]
    files = sorted(f for path in named for f in (path.rglob("*") if path.is_dir() else [path]) if f.is_file())
    stamp = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    key = fingerprint(preset, file=stamp, device=options.device)
    path = Path(options.checkpoint) if options.checkpoint else default_folder() / f"{preset.name}-{key[:16]}.pt"
    if options.fresh:
        path.unlink(missing_ok=True)
    if path.exists():
        print(f"going on with the training in {path} (--fresh starts anew)", file=sys.stderr)
    return Checkpoint(path, key, options.checkpoint_every)


def _fit(preset: Any, device: str, world: Any, checkpoint: Any, references: int) -> Any:
    """Load the rows, train, and keep what each epoch measured."""
    from models import data
    from models.learners import net, trees
    from models.loop import Around
    from models.progress import progress
    from models.tracking import Training, now_ms

    dataset = data.load(preset.data)
    for note in dataset.notes if world.first else ():
        print(f"note: {note}", file=sys.stderr)
    history: list[tuple[int, int, dict[str, float]]] = []
    started = time.perf_counter()
    with progress(preset.name, preset.epochs, quiet=not world.first) as show:

        def on_epoch(epoch: int, measured: dict[str, float]) -> None:
            history.append((epoch, now_ms(), measured))
            show(epoch, measured)

        if preset.training.learner == "net":
            fitted = net.train(preset, dataset, device=device, around=Around(on_epoch, world, checkpoint), references=references)
        else:
            fitted = trees.train(preset, dataset, on_epoch=on_epoch)
    return Training(preset, dataset, fitted, history, time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())
