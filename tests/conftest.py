"""What all tests share: the folder of real data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "WITNESSMARK_TEST_DATA"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real data that are not shipped with the package; missing is a failure where CI is set, else a skip."""
    folder = Path(os.environ.get(VARIABLE) or Path(__file__).parents[1] / ".." / "shared" / "data")
    if folder.is_dir():
        return folder
    text = f"no real data at {folder}: name their folder with {VARIABLE}"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)
