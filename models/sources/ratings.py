"""Ratings of films: who rated what, the films' genres and the users' own words about themselves, from three files.

As GroupLens publishes MovieLens 100k (u.data, u.item, u.user, without a head line), or as tables with a head line (csv, tsv, parquet, RecBole's
atomic files), whose columns may carry their type behind a colon.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import TrainingError
from models.settings import DataSettings
from models.sources.table import frame_of

if TYPE_CHECKING:
    import pandas as pd

#: Of each file: the endings of its name (before a table's suffix), and the columns that it must have.
FILES = {
    "ratings": (("inter", "ratings", "u.data"), ("user_id", "item_id", "rating", "timestamp")),
    "items": (("item", "items", "movies"), ("item_id", "release_year", "class")),
    "users": (("user", "users"), ("user_id", "age", "gender", "occupation")),
}
#: Genres of u.item, in the order of its last columns (MovieLens 100k README).
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror",
    "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


def read(settings: DataSettings) -> pd.DataFrame:
    """One row a rating: user, item, year of release, a flag for each genre, gender, age and occupation of the user, rating (1 to 5), when it was
    given (seconds since 1970), and `liked`, "yes" from `options.liked_from` on."""
    import pandas as pd

    tables = {what: _columns(what, path) for what, path in zip(FILES, _paths(settings), strict=True)}
    ratings, items, users = (tables[what].drop_duplicates() for what in FILES)
    if items["item_id"].duplicated().any() or users["user_id"].duplicated().any():
        raise TrainingError("a film or a user is described twice, differently", "give one row for each in their files")
    genres = items["class"].fillna("").str.get_dummies(" ").rename(columns=lambda name: f"genre_{name}")
    films = pd.concat([items[["item_id"]], pd.to_numeric(items["release_year"], errors="coerce").rename("year"), genres], axis=1)
    rows = ratings.merge(films, on="item_id", how="left").merge(users, on="user_id", how="left")
    rows = rows.rename(columns={"user_id": "user", "item_id": "item"})
    liked = pd.to_numeric(rows["rating"], errors="coerce")
    rows["liked"] = pd.Series(pd.NA, index=rows.index, dtype="str").mask(liked.notna(), "no")
    rows["liked"] = rows["liked"].mask(liked >= settings.options.get("liked_from", 4), "yes")
    return rows


def _paths(settings: DataSettings) -> list[Path]:
    """The files of ratings, items and users, in this order: named by `--data` with commas between, or found in its folder by their names."""
    where = f": {settings.public}" if settings.public else ""
    if settings.file is None:
        raise TrainingError("this preset comes without data", f"name a folder, or three files with commas between, with --data{where}")
    named = [Path(part.strip()) for part in settings.file.split(",")]
    if absent := [path for path in named if not path.exists()]:
        raise TrainingError(f"there is no {absent[0]}", "name a folder, or three files with commas between, with --data")
    if len(named) == 1 and not named[0].is_dir():
        raise TrainingError(
            f"{named[0]} is one file, and ratings, items and users are three", "name their folder, or all three with commas between"
        )
    inside = sorted(named[0].iterdir()) if len(named) == 1 else named
    found = []
    for what, (ends, _) in FILES.items():
        fits = [path for path in inside if path.is_file() and _fits(path, ends)]
        if len(fits) != 1:
            have = "none" if not fits else f"{len(fits)}: {', '.join(path.name for path in fits[:4])}"
            raise TrainingError(
                f"expected one file of {what} (its name ends in {' or '.join(ends)}) in {settings.file}, found {have}",
                "name all three files with --data, with commas between",
            )
        found.append(fits[0])
    return found


def _fits(path: Path, ends: tuple[str, ...]) -> bool:
    stem = path.stem if path.suffix in (".csv", ".tsv", ".parquet") else path.name
    return stem.lower().endswith(ends)


def _columns(what: str, path: Path) -> pd.DataFrame:
    """The columns of one file that are used, under their names without type; ids as they are."""
    table = _published(what, path) if path.name in ("u.data", "u.item", "u.user") else _headed(path)
    wanted = FILES[what][1]
    if absent := [name for name in wanted if name not in table.columns]:
        raise TrainingError(f"{path} has no columns {', '.join(absent)}", "give files with the columns of MovieLens 100k")
    return table[list(wanted)]


def _headed(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path, sep="\t") if path.suffix in (".inter", ".item", ".user") else frame_of(path)
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot read {path}: {str(error).splitlines()[0][:200]}", "check that the file is whole") from error
    return table.rename(columns=lambda name: str(name).partition(":")[0])


def _published(what: str, path: Path) -> pd.DataFrame:
    """A file as GroupLens publishes it."""
    import pandas as pd

    names = {
        "ratings": ["user_id", "item_id", "rating", "timestamp"],
        "items": ["item_id", "title", "release", "video", "address", *GENRES],
        "users": ["user_id", "age", "gender", "occupation", "zip"],
    }[what]
    try:
        table = pd.read_csv(path, sep="\t" if what == "ratings" else "|", names=names, encoding="latin-1", index_col=False)
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot read {path}: {str(error).splitlines()[0][:200]}", "check that the file is whole") from error
    if what == "items":
        table["release_year"] = table["release"].str[-4:]
        table["class"] = [" ".join(genre for genre in GENRES if row[genre] == 1) for row in table.to_dict("records")]
    return table
