"""What the acceptance tests share: a user, and a store in which others logged models."""

import subprocess
import sys
from pathlib import Path

import pytest
from at_terminal import User


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    """One to a module: what one writes into its folder is not in the way of another, in whatever order they run."""
    return User(tmp_path_factory.mktemp("user"))


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> str:
    """The tracking URI of a store in which another team's script logged its models."""
    user = User(tmp_path_factory.mktemp("team"))
    uri = f"sqlite:///{user.folder / 'foreign.db'}"
    script = Path(__file__).with_name("log_foreign_models.py")
    done = subprocess.run(
        [sys.executable, str(script), str(data_folder), uri],
        cwd=user.folder,
        env=user.environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return uri
