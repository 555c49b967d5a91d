"""What the commands of this core share: options refused in one line, and one line of stdout at the end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import NoReturn

from models.errors import TrainingError


class Parser(argparse.ArgumentParser):
    """argparse, but a bad option is one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        raise TrainingError(message, f"see {self.prog} --help")


def answered(work: Callable[[], str | None]) -> int:
    """Do the work and print what it returns, alone, on stdout. Exit status: 0 done, 2 refused (one line on stderr), 130 interrupted."""
    try:
        with redirect_stdout(sys.stderr):  # MLflow's and LightGBM's own lines must not come after the answer
            answer = work()
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was registered", file=sys.stderr)
        return 130
    if answer is not None:
        print(answer)
    return 0
