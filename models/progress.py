"""What a person sees on stderr while a model trains: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Show = Callable[[int, dict[str, float]], None]


@contextmanager
def progress(title: str, epochs: int, *, quiet: bool = False) -> Iterator[Show]:
    """Give a function to call after each epoch with its number from 1 on and its losses; `quiet` shows nothing."""
    if quiet:
        yield lambda *_: None
    elif sys.stderr.isatty():
        with _bar(title, epochs) as show:
            yield show
    else:
        yield _lines(title, epochs)


def _lines(title: str, epochs: int) -> Show:
    def show(epoch: int, measured: dict[str, float]) -> None:
        if epoch == 1 or epoch == epochs or epoch % max(1, epochs // 20) == 0:
            print(f"{title}: epoch {epoch}/{epochs} {_figures(measured)}", file=sys.stderr, flush=True)

    return show


@contextmanager
def _bar(title: str, epochs: int) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} {task.fields[figures]}")
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=epochs, figures="")
        yield lambda epoch, measured: bar.update(task, completed=epoch, figures=_figures(measured))


def _figures(measured: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4f}" for name, value in measured.items())
