"""What all tests share: the folder of real data, and that no test is timed: a busy machine is no failure."""

from __future__ import annotations

import os
from pathlib import Path

# Two runners on two cores: more threads than that wait for each other. Said before any test imports a numeric library, and inherited by what tests start.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

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
