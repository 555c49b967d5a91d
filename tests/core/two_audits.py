"""Two audits of the same made-up people, in folders as `audit.run` leaves them, with their scored tables in a cache."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scene import set_scene

from audit.compared import Comparison
from audit.result import document_digest
from audit.versions.comparison import compare


@dataclass
class People:
    """Rows with an outcome and two groups, and a score that says something of the outcome."""

    y: NDArray[np.int16]
    group: NDArray[np.str_]
    score: NDArray[np.float64]

    @classmethod
    def drawn(cls, n: int, seed: int, minority: float = 0.3) -> People:
        rng = np.random.default_rng(seed)
        truth = rng.beta(1, 1, n)
        y = (rng.random(n) < truth).astype(np.int16)
        score = np.clip(truth + rng.normal(0, 0.05, n), 0.001, 0.999)
        return cls(y, np.where(rng.random(n) < minority, "b", "a"), score)


def write(folder: Path, document: dict[str, Any]) -> Path:
    """The document as an audit folder, with the digest that follows from it."""
    folder.mkdir(parents=True, exist_ok=True)
    document["digest"] = document_digest(document)
    (folder / "audit.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def audited(place: Path, name: str, people: People, *, score: Any = None, pred: Any = None, sha: str | None = None, **more: Any) -> Path:
    """An audit of a model that gives these people `score` (the people's own by default) and decides at one half, or as `pred` says."""
    score = people.score if score is None else np.asarray(score)
    pred = (score >= 0.5).astype(np.int16) if pred is None else pred
    options = {"y": people.y, "score": score, "groups": {"sex": people.group}, "decision": "score>=0.5"} | more
    scene = set_scene(place, pred=pred, **options)
    document = scene.document().model_dump(mode="json")
    cache = place / "cache"
    cache.mkdir(exist_ok=True)
    shutil.copy(scene.scoring.table, cache / f"{name}.parquet")
    document["environment"]["scored"] = name
    document["model"] |= {"sha256": sha or name.ljust(64, "0"), "name": name}
    document["id"] = name
    return write(place / name, document)


def compared(place: Path, old: Path, new: Path, **more: Any) -> Comparison:
    return compare(old, new, more.get("scored_dir", place / "cache"))


def change(found: Comparison, metric: str, compare_: str = "value", **slice_: str) -> Any:
    """The one change of this metric, comparison and slice."""
    (one,) = [c for c in found.changes if (c.metric, c.compare, c.slice) == (metric, compare_, slice_)]
    return one


def requirement(found: Comparison, metric: str, kind: str = "level", **slice_: str) -> Any:
    """The one requirement of this metric, kind and slice."""
    (one,) = [r for r in found.gate.requirements if (r.metric, r.kind, r.slice) == (metric, kind, slice_)]
    return one
