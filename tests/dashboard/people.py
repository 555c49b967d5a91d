"""An audit of made-up people with hostile names, with its scored rows in the private cache, as the dashboard finds them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parent.parent / "core"))
sys.path.append(str(Path(__file__).parent.parent / "reports"))

from pieces import IMG, SCRIPT
from scene import set_scene

from audit.registry import checks
from audit.result import AuditResult, document_digest

#: A column, and a value of it, that would be markup if a page let them.
COLUMN, VALUE = f"group'\"{IMG}", f"b'; DROP TABLE x; {SCRIPT}"
RAN = ("performance.overall", "performance.slices", "performance.error_tree", "performance.groups", "fairness.group")


@dataclass
class People:
    """Rows: outcome and decision as codes, the score, a group, and two inputs."""

    y: NDArray[np.int16]
    pred: NDArray[np.int16]
    score: NDArray[np.float64]
    group: NDArray[np.str_]
    age: NDArray[np.float64]
    town: NDArray[np.str_]

    @classmethod
    def drawn(cls, n: int = 1200, seed: int = 3) -> People:
        """Errors are far more frequent above the age of 60; five people of 70 live in a hamlet; four have no age."""
        rng = np.random.default_rng(seed)
        age = rng.integers(20, 80, n).astype(float)
        y = rng.integers(0, 2, n).astype(np.int16)
        wrong = rng.random(n) < np.where(age >= 60, 0.45, 0.08)
        pred = np.where(wrong, 1 - y, y).astype(np.int16)
        town = np.where(rng.random(n) < 0.3, "port", "hill").astype("<U8")
        town[:5], age[:5] = "hamlet", 70
        age[5:9] = np.nan
        return cls(pred=pred, y=y, score=np.where(pred == 1, 0.8, 0.2), group=np.where(rng.random(n) < 0.4, VALUE, "a"), age=age, town=town)


def audited(
    home: Path, name: str, people: People, *, started: str = "2026-10-01T00:00:00Z", plan: Any = None, ran: Sequence[str] = RAN, **more: Any
) -> AuditResult:
    """The audit as a folder under `audits`, its table and sample in the cache below `state`; of model version `name`."""
    options: dict[str, Any] = {
        "y": people.y, "score": people.score, "groups": {COLUMN: people.group}, "features": {"age": people.age, "town": people.town}, "decision": "score>=0.5",
    }  # fmt: skip
    scene = set_scene(home / "made", pred=more.pop("pred", people.pred), plan=plan, **(options | more))
    document = scene.document(skip=[id_ for id_ in checks() if id_ not in ran]).model_dump(mode="json")
    cache = home / "state" / "witnessmark" / "scored"
    cache.mkdir(parents=True, exist_ok=True)
    shutil.copy(scene.scoring.table, cache / f"{name}.parquet")
    shutil.copy(scene.scoring.sample, cache / f"{name}.sample.parquet")
    document["environment"]["scored"] = name
    for feature in document["model"]["features"]:  # the scene's texts are single words
        feature["kind"] = {"text": "category"}.get(feature["kind"], feature["kind"])
    document["model"] |= {"sha256": name.ljust(64, "0"), "name": "scene", "version": name}
    document |= {"id": name, "started": started}
    document["digest"] = document_digest(document)
    folder = home / "audits" / name
    folder.mkdir(parents=True)
    (folder / "audit.json").write_text(json.dumps(document), "utf-8")
    return AuditResult.model_validate(document)
