"""A tree of parts of the rows as a picture: an outline with a row for each part, and its value with its interval beside it."""

from __future__ import annotations

from collections.abc import Sequence

from audit.measurement import Tree, TreeNode
from reports import charts
from reports.charts import Chart, Dot, shortened
from reports.metrics import kind_of, metric_name
from reports.sentences import capital, method_name
from reports.speaker import Speaker, clean, interval, number

#: Levels of a column that are named, and letters of a row's name.
NAMED, LETTERS = 4, 80
INDENT, BRANCH, ARM = "\u00a0" * 4, "└", "──"  # renderers cut spaces that a text begins with, so a picture has arms


def depths(nodes: Sequence[TreeNode]) -> list[int]:
    """How many divisions lead to each part."""
    found: list[int] = []
    for node in nodes:
        found.append(0 if node.parent is None else found[node.parent] + 1)
    return found


def part_name(nodes: Sequence[TreeNode], i: int, say: Speaker) -> str:
    """What divides a part from its sibling: the column and its levels; of many levels those that the sibling has, if they are fewer."""
    node = nodes[i]
    if node.column is None:
        return capital(say.t("everybody"))
    sibling = next((n for k, n in enumerate(nodes) if k != i and n.parent == node.parent), None)
    if sibling is not None and len(node.levels) > 2 and 0 < len(sibling.levels) < len(node.levels):
        return say.t("{column}: all but {levels}", column=clean(node.column, 40), levels=_levels(sibling.levels, say))
    return say.pair(clean(node.column, 40), _levels(node.levels, say))


def _levels(levels: Sequence[str], say: Speaker) -> str:
    named = say.list(shortened(say.level(level)) for level in levels[:NAMED])
    return named + (" …" if len(levels) > NAMED else "")


def leaves(nodes: Sequence[TreeNode]) -> list[int]:
    """The parts that are not divided."""
    parents = {node.parent for node in nodes}
    return [i for i in range(len(nodes)) if i not in parents]


def tree_chart(e: Tree, path: str, say: Speaker) -> Chart | None:
    """The outline; None for a tree that divides nothing."""
    if len(e.nodes) < 2:
        return None
    kind, ends, deep = kind_of(e.metric, "value"), set(leaves(e.nodes)), depths(e.nodes)
    names = [part_name(e.nodes, i, say) for i in range(len(e.nodes))]
    dots = [
        Dot(
            (BRANCH + ARM * (deep[i] - 1) + " " if deep[i] else "") + names[i], node.value, node.value if node.low is None else node.low,
            node.value if node.high is None else node.high, f"{number(node.value, kind)}, n {number(node.n, 'count')}",
            charts.OKABE_ITO[0] if i in ends else charts.REFERENCE,
        )
        for i, node in enumerate(e.nodes)
    ]  # fmt: skip
    high = max(sorted(ends), key=lambda i: e.nodes[i].value)
    title = say.t(
        "{metric}: {high} for {part}, {all} for everybody", metric=capital(metric_name(e.metric, say)), high=number(e.nodes[high].value, kind),
        part=clean(_path(e.nodes, high, names), 120), all=number(e.nodes[0].value, kind),
    )  # fmt: skip
    parts = [
        say.t("{level:percent} intervals by {method}", level=e.level, method=method_name(e.method, say)),
        say.t("grey: parts that are divided further"), say.stored(e.caption, e.caption_msg),
    ]  # fmt: skip
    told = say.join([say.pair(_path(e.nodes, i, names), _figure(node, kind, say)) for i, node in enumerate(e.nodes)])
    spec = charts.forest(dots, kind, [], None, outline=LETTERS)
    return Chart(title, say.join(parts), say.told(title, told), spec, path, wide=True)


def _path(nodes: Sequence[TreeNode], i: int, names: Sequence[str]) -> str:
    """All that leads to a part, in words."""
    found: list[str] = []
    at: int | None = i
    while at is not None and (nodes[at].parent is not None or not found):
        found.insert(0, names[at])
        at = nodes[at].parent
    return " › ".join(found)


def _figure(node: TreeNode, kind: str, say: Speaker) -> str:
    if node.low is None or node.high is None:
        return say.t("{value} (n {n:count})", value=number(node.value, kind), n=node.n)
    return say.t("{value} ({low} to {high}; n {n:count})", **interval(node.value, node.low, node.high, kind), n=node.n)
