"""Whether a model places the words of two groups nearer to different attributes (WEAT, SEAT)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from audit.registry import check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message

SETS = ("x", "y", "a", "b")


@check(
    "language.association",
    title="Groups placed nearer to different attributes",
    meaning=(
        "Four sets of words or sentences of a file of yours: targets x and y, attributes a and b. How much nearer x lies to a than to b, compared with y, by the cosine of the model's vectors, in "
        "standard deviations (effect size), with the share of all ways to divide the targets that give as large an effect."
    ),
    limits=(
        "Reported and never judged: distances between vectors foretell poorly what a model does (May et al. 2019), and the effect depends on the words chosen. There is no interval: the p value by "
        "permutation says how unusual the division is, not how large the effect would be with other words."
    ),
    unit="standard deviations",
    direction="target",
    needs=["model", "embeds"],
    files=["file"],
    references=["Caliskan, Bryson and Narayanan 2017", "May et al. 2019"],
    probing=True,
    reported_only=["association"],
)
def association(ctx: Context, *, file: str | None = None) -> Iterable[Measurement | Message]:
    """Effect size of `file`, with the columns set (x, y, a or b) and text."""
    from audit.benchmarks.bank import read
    from audit.language import embeddings
    from audit.measure import exact
    from audit.measurement import Measurement, Test
    from audit.stats.association_of_sets import effect, permutation_p
    from audit.text import message

    assert file is not None
    bank = read(file, ("set", "text"))
    rows = [r for r in bank.rows if r["set"].strip().lower() in SETS]
    places = {name: [i for i, r in enumerate(rows) if r["set"].strip().lower() == name] for name in SETS}
    if min(map(len, places.values())) < 2:
        yield message("The file {name} needs two texts or more in each of the sets x, y, a and b.", name=bank.name)
        return
    vectors = embeddings(ctx, [r["text"] for r in rows])
    sets = [vectors[places[name]] for name in SETS]
    found = effect(*sets)
    if found is None:
        yield message("All targets lie equally near to both attributes: no effect is defined.")
        return
    p_value = permutation_p(*sets, rng=ctx.rng("permutations"))
    estimate = exact(found, len(sets[0]) + len(sets[1]))
    yield Measurement(metric="association", estimate=estimate, test=Test(null="equality", method="permutation", p_value=p_value))
    yield message(
        "The targets x lie by {d:signed} standard deviations nearer to a than the targets y do (p {p:p}; {n:count} targets; below 0: nearer to b). Read from {name} (SHA-256 {digest}…).",
        d=found, p=p_value, n=estimate.n, name=bank.name, digest=bank.digest,
    )  # fmt: skip
