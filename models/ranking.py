"""How well each user's items are ranked: NDCG, recall and hits at the top, and how much of the catalogue the tops show.

Ranked are the items that a user has among the rows, not the whole catalogue: what a user never rated has no answer to be held against. Short lists
are easy, and groups differ in how long theirs are; so beside each figure stands the one that a random order of the same lists would reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.settings import Ranking

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

#: A group of fewer users has no figures of its own.
MIN_USERS = 10
#: A column of numbers with more values than this is cut at its quintiles.
MAX_VALUES = 20
LEVEL = 0.95


def of_list(liked: NDArray[np.bool_], score: NDArray[np.float64], at: int) -> tuple[float, float, float]:
    """NDCG, recall and hit (whether any liked item is there) in the top `at` of one user's items; in [0, 1], 1 is best.

    liked, score: (items,), at least one liked. Equal scores stand in random order: the figures are what is expected then, so equal scores
    everywhere give what chance gives. NDCG: Järvelin and Kekäläinen (2002), liked counts 1, discount 1 / log2(place + 1).

    >>> import numpy as np
    >>> of_list(np.array([True, False, True]), np.array([0.9, 0.5, 0.1]), 1)
    (1.0, 0.5, 1.0)
    """
    import numpy as np
    from scipy.stats import hypergeom
    from sklearn.metrics import ndcg_score

    ndcg = 1.0 if len(liked) == 1 else float(ndcg_score(liked[None].astype(float), score[None], k=at))
    if len(liked) <= at:
        return ndcg, 1.0, 1.0
    border = np.sort(score)[-at]
    above, tied = score > border, score == border
    free, found = at - int(above.sum()), int(liked[above].sum())
    wanted, ties = int(liked[tied].sum()), int(tied.sum())
    recall = (found + free * wanted / ties) / int(liked.sum())
    hit = 1.0 if found else 1.0 - float(hypergeom.pmf(0, ties, wanted, free))
    return ndcg, recall, hit


@dataclass(frozen=True)
class Lists:
    """Users with at least one liked item: their `values` (users, 3) as `of_list` has them, `chance` likewise for a random order, the first
    row of each, and codes of their items (`shown` in the top, `offered` all)."""

    values: NDArray[np.float64]
    chance: NDArray[np.float64]
    first: NDArray[np.int64]
    shown: list[NDArray[np.int64]]
    offered: list[NDArray[np.int64]]
    left_out: int


def lists(rows: pd.DataFrame, liked: NDArray[np.bool_], score: NDArray[np.float64], ranking: Ranking) -> Lists:
    """One list a user, over the rows; a user without a liked item has no best order and is left out, counted."""
    import numpy as np
    import pandas as pd

    items = pd.factorize(rows[ranking.item], sort=True)[0]
    users = pd.factorize(rows[ranking.user], sort=True)[0]
    order = np.lexsort((items, -score, users))
    per_user = np.split(order, np.cumsum(np.bincount(users))[:-1])
    ranked = [places for places in per_user if liked[places].any()]
    values = [of_list(liked[places], score[places], ranking.at) for places in ranked]
    chance = [of_list(liked[places], np.zeros(len(places)), ranking.at) for places in ranked]
    return Lists(
        np.array(values).reshape(-1, 3), np.array(chance).reshape(-1, 3), np.array([p[0] for p in ranked], dtype=np.int64),
        [items[p[: ranking.at]] for p in ranked], [items[p] for p in ranked], len(per_user) - len(ranked),
    )  # fmt: skip


def figures(
    rows: pd.DataFrame, liked: NDArray[np.bool_], score: NDArray[np.float64], ranking: Ranking, sensitive: list[str]
) -> dict[str, float]:
    """Means over users, of everybody and of each group of at least ten (`_of_COLUMN_VALUE`), each with the ends of its 95 % interval.

    rows: (n,) with the columns of user, item and the sensitive ones, of which a user's first row tells the group; liked, score: (n,). The catalogue's
    coverage is the share of the items offered to these users that stand in someone's top: it grows with the number of users, so groups of
    different size do not compare.
    """
    import numpy as np

    found = lists(rows, liked, score, ranking)
    out = {"ranked_users_left_out": float(found.left_out)}
    if len(found.first):
        out |= _means(found, np.arange(len(found.first)), ranking.at, "")
    for name in sensitive:
        groups = as_groups(rows[name].iloc[found.first])
        for value in sorted(set(groups) - {None}, key=str):
            members = np.flatnonzero([group == value for group in groups])
            if len(members) >= MIN_USERS:
                out |= _means(found, members, ranking.at, f"_of_{name}_{value}")
    return out


def as_groups(values: pd.Series[Any]) -> list[str | None]:
    """Each value as a label that MLflow takes in a name, numbers of many values as the fifth they are in; missing as None.

    >>> import pandas as pd
    >>> as_groups(pd.Series(range(25)))[::6]
    ['0_to_4', '5_to_9', '10_to_14', '15_to_19', '20_to_24']
    """
    import pandas as pd

    from models.encoding import as_text

    if pd.api.types.is_numeric_dtype(values.dtype) and values.nunique() > MAX_VALUES:
        fifth = pd.qcut(values, 5, labels=False, duplicates="drop")
        low, high = values.groupby(fifth).transform("min"), values.groupby(fifth).transform("max")
        names = as_text(low), as_text(high)
        return [None if a is None or b is None else f"{a}_to_{b}" for a, b in zip(*names, strict=True)]
    return [None if text is None else "".join(c if c.isalnum() or c in "_-. /" else "_" for c in text) for text in as_text(values)]


def _means(found: Lists, members: NDArray[np.int64], at: int, suffix: str) -> dict[str, float]:
    import numpy as np

    out = {f"ranked_users{suffix}": float(len(members))}
    for i, name in enumerate((f"ndcg_at_{at}", f"recall_at_{at}", f"hit_rate_at_{at}")):
        values = found.values[members, i]
        low, high = _interval(values, rate=name.startswith("hit"))
        out |= {
            f"{name}{suffix}": float(values.mean()), f"{name}_low{suffix}": low, f"{name}_high{suffix}": high,
            f"{name}_by_chance{suffix}": float(found.chance[members, i].mean()),
        }  # fmt: skip
    shown, offered = (np.unique(np.concatenate([items[m] for m in members])) for items in (found.shown, found.offered))
    return out | {f"catalogue_coverage_at_{at}{suffix}": len(shown) / len(offered)}


def _interval(values: NDArray[np.float64], *, rate: bool) -> tuple[float, float]:
    """Of a mean over users: Wilson's for a rate, Student's for what lies between, within [0, 1]; without bounds for a single user."""
    import numpy as np
    from scipy.stats import t
    from statsmodels.stats.proportion import proportion_confint

    n = len(values)
    if rate:
        low, high = proportion_confint(float(values.sum()), n, alpha=1 - LEVEL, method="wilson")
        return float(low), float(high)
    if n < 2:
        return 0.0, 1.0
    half = float(t.ppf((1 + LEVEL) / 2, n - 1)) * float(values.std(ddof=1)) / np.sqrt(n)
    return max(0.0, float(values.mean() - half)), min(1.0, float(values.mean() + half))
