"""Texts and pictures that are alike and on which the model is wrong: clusters learnt on one half of the rows and measured on the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Measurement, Message, Slice, Table
    from audit.mistakes import Rows, Suspect
    from audit.perceived import Kept, Pictures, Texts

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]


@check(
    "performance.error_clusters",
    title="Similar mistakes: texts or pictures on which the model is wrong",
    meaning=(
        "Texts are grouped by the words they have, pictures by their colours in a few squares, without regard to the model. Groups that have more errors than all other rows on one half of the rows are tested on the other half, which had no "
        "part in making or choosing them; p values are adjusted for all groups that were tested. A group of texts is named by words that many of them have and others seldom have, a group of pictures by its mean brightness, contrast and colour. "
        "The error is a wrong prediction for classes and the squared error for quantities, unless the plan names the log loss."
    ),
    limits=(
        "The grouping is a simple one: texts that mean the same in other words, and pictures that show the same in another place, can fall apart. How many groups are made is a choice. Which half a row falls into depends on the seed. No text and no "
        "picture is shown. What is found is a place to look, not a cause: this is a screen, reported and judged only where the plan sets a limit."
    ),
    unit="error, against everybody else",
    direction="target",
    needs=["labels", "perceived"],
    references=[
        "Spärck Jones 1972 (TF-IDF)",
        "Deerwester et al. 1990",
        "MacQueen 1967 (k-means)",
        "Newcombe 1998",
        "Holm 1979",
        "Cox 1975",
    ],
)
def error_clusters(
    ctx: Context,
    *,
    kinds: Annotated[int, Field(ge=2, le=200)] = 12,
    rows: Annotated[int, Field(ge=100, le=200_000)] = 20_000,
    most: Annotated[int, Field(ge=1, le=50)] = 5,
    error: Literal["auto", "zero_one", "log_loss", "squared"] = "auto",
) -> Iterable[Measurement | Message]:
    """`kinds` groups of at most `rows` rows drawn at random; the `most` with the plainest errors are tested. `error` as for the slices."""
    import numpy as np

    from audit import mistakes
    from audit.mistakes import WORDS
    from audit.perceived import keep, perceived
    from audit.text import message

    spec = perceived(ctx)
    assert spec is not None, "a check that needs texts or pictures declares it"
    smallest = ctx.plan.disclosure.min_group_size
    held = mistakes.read(ctx, [], error, rows)
    if min(held.second.sum(), (~held.second).sum()) < 4 * smallest:
        yield message("A half of the rows with known errors has fewer than {n:count} rows, too few to divide.", n=4 * smallest)
        return
    kept = keep(ctx, spec, held.row)
    learnt = _learnt(kept.where(~held.second), smallest)
    if learnt is None:
        yield message(
            "The texts in {column} have no words that {n:count} of them share, so none were grouped.", column=spec.name, n=smallest
        )
        return
    place = _grouped(ctx, learnt, kept, held.second, min(kinds, int((~held.second).sum()) // (2 * smallest)))
    suspects = _suspects(held, place, kept, learnt, smallest, most)
    second = held.half(True)
    found = mistakes.compare(ctx, [s for s, _ in suspects], second)
    caption = message(
        "The groups of {column} with the plainest errors ({what}), as they ranked on the searched half",
        column=spec.name,
        what=message(WORDS[held.metric]),
    )
    for i, m in enumerate(mistakes.measured(found, held.metric, caption)):
        shown = kept.squares is not None and i == 0
        yield m.model_copy(update={"evidence": [*m.evidence, _looks(kept, held.second, place, [g for _, g in suspects])]}) if shown else m
    numbers = {"kinds": len(np.unique(place)), "n": len(held.errors), "column": spec.name, "tests": len(found)}
    told = mistakes.said(ctx, found, held.metric)
    if not found:
        said = message("Of {kinds:count} groups of {column} ({n:count} rows) none has more errors on the searched half.", **numbers)
    elif told is None:
        said = message(
            "Of {kinds:count} groups of {column} ({n:count} rows), the {tests:count} with the plainest errors on one half were tested on the other: for none is a higher error established there (smallest adjusted p {p:p}).",
            p=min(c.held for c in found), **numbers,
        )  # fmt: skip
    else:
        said = message(
            "Of {kinds:count} groups of {column} ({n:count} rows), the {tests:count} with the plainest errors on one half were tested on the other. For {held:count} of them a higher error is established there, the plainest being: {named}",
            held=sum(c.held <= ctx.plan.judge.alpha_fail for c in found), named=told, **numbers,
        )  # fmt: skip
    yield said


def _learnt(kept: Kept, smallest: int) -> Texts | Pictures | None:
    """What the first half has; None where its texts share no words."""
    from audit.perceived import Pictures, Texts

    if kept.squares is not None:
        return Pictures(kept)
    try:
        return Texts(kept, smallest)
    except ValueError:  # what scikit-learn raises where no word is left
        return None


def _grouped(ctx: Context, learnt: Texts | Pictures, kept: Kept, second: Bools, kinds: int) -> Ints:
    """The group of each row, (n,): k-means of the first half, to which the second is assigned."""
    import numpy as np
    from sklearn.cluster import KMeans

    seed = int(ctx.rng("clusters").integers(2**31))
    place = np.zeros(len(second), np.int64)
    points = learnt.learn(seed)
    distinct = len(np.unique(points.round(6), axis=0))
    if distinct < 2:
        return place
    means = KMeans(min(kinds, distinct), n_init=3, random_state=seed).fit(points)
    place[~second] = means.labels_
    place[second] = means.predict(learnt.of(kept.where(second)))
    return place


def _suspects(held: Rows, place: Ints, kept: Kept, learnt: Texts | Pictures, smallest: int, most: int) -> list[tuple[Suspect, int]]:
    """The groups whose errors lie furthest above all others', in standard errors on the first half, each with its number; large enough on both."""
    import numpy as np

    from audit.mistakes import Suspect
    from audit.stats.compare import mean_difference
    from audit.stats.sums import moments

    second = held.second
    ranked = []
    for group in np.unique(place).tolist():
        inside = place == group
        sizes = [int((inside & half).sum()) for half in (~second, second)]
        if min(*sizes, *(int(half.sum()) - n for half, n in zip((~second, second), sizes, strict=True))) < smallest:
            continue
        own, rest = moments(held.errors[inside & ~second]), moments(held.errors[~inside & ~second])
        assert own is not None, "the group has rows on the first half"
        assert rest is not None, "and so have the others"
        apart = mean_difference(own, rest, level=0.95)
        if apart is not None and apart.value > 0:
            ranked.append((-1.96 * apart.value / (apart.value - apart.low), group, own))
    found: list[tuple[Suspect, int]] = []
    taken: set[str] = set()
    for score, group, own in sorted(ranked)[:most]:
        name = _name(kept, learnt, place[second] == group, second, group, smallest, taken)
        found.append((Suspect(name, place[second] == group, own.n, own.mean, -score), group))
    return found


def _name(kept: Kept, learnt: Texts | Pictures, inside: Bools, second: Bools, group: int, smallest: int, taken: set[str]) -> Slice:
    """A group of texts by its words, where it has some that no group before it was named by; else by its number."""
    from audit.perceived import Texts

    if not isinstance(learnt, Texts):
        return {"(pictures)": str(group + 1)}
    words = ", ".join(learnt.typical(kept.where(second), inside, smallest))
    if not words or words in taken:
        return {"(texts)": str(group + 1)}
    taken.add(words)
    return {"(words)": words}


def _looks(kept: Kept, second: Bools, place: Ints, groups: list[int]) -> Table:
    """How the pictures of each group look on average, on the second half, and all others."""
    from audit.measurement import Cell, Column, Table
    from audit.perceived import look
    from audit.text import message, render

    assert kept.squares is not None, "pictures are kept as squares"
    squares, place = kept.squares[second], place[second]
    coloured = squares.shape[1] == 3
    rows: list[list[Cell]] = []
    for group in [*groups, None]:
        own = squares[place == group] if group is not None else squares
        means = look(own)
        rows.append(["*" if group is None else str(group + 1), len(own), means.brightness, means.contrast, *means.colours])
    columns = [
        Column(name="(pictures)", label="kind of pictures"), Column(name="own", label="rows, tested half", kind="integer"),
        Column(name="brightness", label="mean brightness", kind="percent"), Column(name="contrast", label="contrast", kind="percent"),
    ]  # fmt: skip
    if coloured:
        columns += [
            Column(name="red", label="red", kind="percent"), Column(name="green", label="green", kind="percent"),
            Column(name="blue", label="blue", kind="percent"),
        ]  # fmt: skip
    caption = message("How the pictures of these groups look on average, as shares of white; the last row is of all pictures")
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=rows)
