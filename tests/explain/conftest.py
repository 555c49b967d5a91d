"""Explanations are tested on the scenes of the core's tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "core"))
