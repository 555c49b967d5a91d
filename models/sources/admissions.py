"""Hospital stays of people with diabetes (UCI 296), with what admission and discharge were in words, from the file of codes beside it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import TrainingError
from models.settings import DataSettings
from models.sources.table import frame_of, path_of

if TYPE_CHECKING:
    import pandas as pd

#: Column of codes → how its words are introduced in the text.
TEXTS = {"admission_type_id": "admitted as", "admission_source_id": "came from", "discharge_disposition_id": "discharge"}
#: Discharged as dead or to a hospice: nobody of these comes back (B. Strack et al. 2014, doi:10.1155/2014/781670).
NEVER_BACK = (11, 13, 14, 19, 20, 21)
#: First and last whole ICD-9 code of each group of diagnoses, with single codes that belong there (Strack et al. 2014, table 2).
DIAGNOSES = {
    "circulatory": (390, 459, 785), "respiratory": (460, 519, 786), "digestive": (520, 579, 787), "injury": (800, 999, None),
    "musculoskeletal": (710, 739, None), "genitourinary": (580, 629, 788), "neoplasms": (140, 239, None),
}  # fmt: skip


def read(settings: DataSettings) -> pd.DataFrame:
    """One row a stay that a person may come back from: the columns of the file, `?` as missing, diagnoses in groups, `text`, and
    `back_within_30_days`, "yes" or "no"."""
    path, codes = _paths(settings)
    rows = frame_of(path)
    needed = [*TEXTS, "readmitted", "diag_1", "diag_2", "diag_3"]
    if absent := [name for name in needed if name not in rows.columns]:
        raise TrainingError(f"{path} has no columns {', '.join(absent)}", f"give the file of {settings.public}")
    rows = rows[~rows["discharge_disposition_id"].isin(NEVER_BACK)].reset_index(drop=True)
    text = rows.select_dtypes(exclude="number").columns
    rows[text] = rows[text].mask(rows[text].isin(["?", "Unknown/Invalid"]))
    for name in ("diag_1", "diag_2", "diag_3"):
        rows[name] = rows[name].map(diagnosis, na_action="ignore")
    words = descriptions(codes)
    if absent := [name for name in TEXTS if name not in words]:
        raise TrainingError(f"{codes} does not describe {', '.join(absent)}", "give the file IDs_mapping.csv of the data set")
    said = [rows[name].map(lambda code, name=name: words[name].get(str(code), "unknown")) for name in TEXTS]
    rows["text"] = [
        "; ".join(f"{start} {part}" for start, part in zip(TEXTS.values(), parts, strict=True)) for parts in zip(*said, strict=True)
    ]
    rows["back_within_30_days"] = rows["readmitted"].eq("<30").map({True: "yes", False: "no"}).where(rows["readmitted"].notna())
    return rows


def diagnosis(code: str) -> str:
    """The group of an ICD-9 code.

    >>> [diagnosis(code) for code in ("428", "250.83", "786", "V57", "008")]
    ['circulatory', 'diabetes', 'respiratory', 'other', 'other']
    """
    whole = code.partition(".")[0]
    if not whole.isdigit():
        return "other"
    if whole == "250":
        return "diabetes"
    inside = [name for name, (first, last, more) in DIAGNOSES.items() if first <= int(whole) <= last or int(whole) == more]
    return inside[0] if inside else "other"


def descriptions(path: Path) -> dict[str, dict[str, str]]:
    """Column → code → words: tables below each other in one file, each with its own head, blank lines between. What no words describe is "unknown"."""
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                if len(row) < 2 or not row[0].strip():
                    continue
                if row[1].strip() == "description":
                    current = found.setdefault(row[0].strip(), {})
                else:
                    words = " ".join(row[1].split())
                    current[row[0].strip()] = "unknown" if words in ("NULL", "Not Available", "Not Mapped", "Unknown/Invalid") else words
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot read {path}: {str(error).splitlines()[0][:200]}", "check that the file is whole") from error
    return found


def _paths(settings: DataSettings) -> tuple[Path, Path]:
    """The file of stays and that of the codes, from `--data`: the folder of both, or the former with the latter beside it."""
    given = path_of(settings)
    folder = given if given.is_dir() else given.parent
    mapping = sorted(folder.glob("*IDs_mapping.csv"))
    stays = [given]
    if given.is_dir():
        stays = sorted(
            p for p in folder.iterdir() if p.stem.startswith(("diabetic_data", "diabetes130")) and p.suffix in (".csv", ".parquet")
        )
        stays = [p for p in stays if p not in mapping]
    if len(stays) != 1 or len(mapping) != 1:
        raise TrainingError(
            f"expected one file of stays and one IDs_mapping.csv in {folder}, found {len(stays)} and {len(mapping)}",
            f"name the file of stays with --data, and put the other beside it: {settings.public}",
        )
    return stays[0], mapping[0]
