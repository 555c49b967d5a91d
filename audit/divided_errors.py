"""A tree of errors in the words of the document: grown on the first half of the rows, its figures from the second."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from audit.bins import joined, start
from audit.dataset import MISSING
from audit.measurement import Attribution, Estimate, Slice, Tree, TreeNode
from audit.mistakes import WORDS, Suspect, mean_of
from audit.scored import sample_rows
from audit.stats.error_tree import Node, grow, leaves, members
from audit.stats.skill import explained
from audit.text import message, render

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.mistakes import Rows
    from audit.slicing import Attribute

#: A level that stands for all values of a column that are too few to name a slice.
OTHERS = "(others)"
#: So many columns are shown, those that tell most of the errors; and so many levels of a column are named.
SHOWN, NAMED = 15, 6


class Divided:
    """The tree that the first half grew; a part has at least `least` rows of those that grew it, and `smallest` of the second half."""

    def __init__(
        self, ctx: Context, divided: Sequence[Attribute], first: Rows, second: Rows, *, depth: int, least: int, smallest: int
    ) -> None:
        self.ctx, self.divided, self.first, self.second = ctx, divided, first, second
        self.sizes = [a.size for a in divided]
        self.orders = [_order(ctx, a) for a in divided]
        grown = grow(first.levels, self.sizes, self.orders, first.errors, _third(first, ctx.seed), depth=depth, least=least)
        self.nodes = self._large(grown, smallest)

    def _large(self, nodes: list[Node], smallest: int) -> list[Node]:
        """The tree without divisions of which a part is too small to be printed; only sizes are looked at."""
        inside = members(nodes, self.second.levels, self.sizes, len(self.second.errors))
        undivided = {node.parent for node, rows in zip(nodes, inside, strict=True) if rows.sum() < smallest and node.parent is not None}
        place: dict[int, int] = {}
        kept: list[Node] = []
        for i, node in enumerate(nodes):
            if node.parent is None or (node.parent in place and node.parent not in undivided):
                place[i] = len(kept)
                kept.append(node if node.parent is None else node._replace(parent=place[node.parent]))
        return kept

    @property
    def used(self) -> list[str]:
        """The columns that divide, in the order of the tree."""
        return list(dict.fromkeys(self.divided[node.column].name for node in self.nodes if node.column is not None))

    @cached_property
    def inside(self) -> list[NDArray[np.bool_]]:
        """The rows of the second half in each node."""
        return members(self.nodes, self.second.levels, self.sizes, len(self.second.errors))

    @cached_property
    def _before(self) -> list[NDArray[np.bool_]]:
        return members(self.nodes, self.first.levels, self.sizes, len(self.first.errors))

    def foretold(self) -> Estimate | None:
        """The share of the variation of the second half's errors that the means of the first half's leaves foretell; None where errors do not vary."""
        out = np.zeros(len(self.second.errors))
        for leaf in leaves(self.nodes):
            out[self.inside[leaf]] = _mean(self.first.errors[self._before[leaf]], self.first)
        return self._explained(out)

    def _explained(self, foretold: NDArray[np.float64]) -> Estimate | None:
        errors, place = self.second.errors, np.zeros(len(self.second.errors), np.int64)
        scale = float(errors.max(initial=0.0)) or 1.0  # so that squares of any errors are in range
        (found,) = explained(lambda: iter([(place, foretold / scale, errors / scale)]), 1, level=self.ctx.level("error_explained_share"))
        return found

    def drawn(self) -> Tree:
        """The tree for the document."""
        level, written = self.ctx.level(self.second.metric), []
        for node, rows in zip(self.nodes, self.inside, strict=True):
            mean, estimate = mean_of(self.second, rows, level)
            low, high = (estimate.low, estimate.high) if estimate else (None, None)
            column = None if node.column is None else self.divided[node.column].name
            written.append(
                TreeNode(parent=node.parent, column=column, levels=self._texts(node), n=int(rows.sum()), value=mean, low=low, high=high)
            )
        method = "sandwich_clusters" if self.second.clustered else "wilson" if self.second.metric == "zero_one_loss" else "student_t"
        caption = message(
            "The tree of errors ({what}), on the half of the rows that had no part in it", what=message(WORDS[self.second.metric])
        )
        return Tree(caption=render(caption), caption_msg=caption, metric=self.second.metric, level=level, method=method, nodes=written)

    def _texts(self, node: Node) -> list[str]:
        """The levels that rows have, of a node: numbers in rising order and neighbouring intervals as one."""
        if node.column is None:
            return []
        attribute, order = self.divided[node.column], self.orders[node.column]
        present = set(np.unique(self.first.levels[node.column]).tolist())
        levels = [level for level in node.levels if level in present]
        if order is not None:
            levels.sort(key=lambda level: int(order[level]))
        texts = [attribute.levels[level] if level < len(attribute.levels) else OTHERS for level in levels]
        return texts if order is None else joined(texts)

    def worst(self) -> Suspect:
        """The leaf with the highest error on the first half."""
        means = {leaf: _mean(self.first.errors[self._before[leaf]], self.first) for leaf in leaves(self.nodes)}
        leaf = max(means, key=lambda i: (means[i], -i))
        return Suspect(self._slice(leaf), self.inside[leaf], int(self._before[leaf].sum()), means[leaf], means[leaf])

    def _slice(self, place: int) -> Slice:
        """All that leads to a node: of each column the narrowest levels."""
        path: list[Node] = []
        at: int | None = place
        while at is not None:
            path.insert(0, self.nodes[at])
            at = self.nodes[at].parent
        said = {node.column: self._texts(node) for node in path if node.column is not None}
        return {self.divided[i].name: ", ".join(texts[:NAMED]) + (" …" if len(texts) > NAMED else "") for i, texts in said.items()}

    def alone(self) -> Attribution:
        """How much of the variation of the error each column alone foretells, the most telling first."""
        found = []
        for i, attribute in enumerate(self.divided):
            level = self.first.levels[i]
            n, sums = np.bincount(level, minlength=attribute.size), np.bincount(level, weights=self.first.errors, minlength=attribute.size)
            means = np.where(n > 0, sums / np.maximum(n, 1), self.first.errors.mean())
            share = self._explained(means[self.second.levels[i]])
            if share is not None:
                found.append((-share.value, i, attribute.name, share))
        shown = [(name, share) for _, _, name, share in sorted(found)[:SHOWN]]
        caption = message(
            "How much of the variation of the error each column alone foretells, on the half of the rows that had no part in it (n {n:count}, {level:percent} intervals; at or below 0: nothing)",
            n=len(self.second.errors), level=self.ctx.level("error_explained_share"),
        )  # fmt: skip
        return Attribution(
            caption=render(caption), caption_msg=caption, unit="share of the variation of the error", of="error", features=[name for name, _ in shown],
            values=[s.value for _, s in shown], low=[s.low for _, s in shown], high=[s.high for _, s in shown],
        )  # fmt: skip


def _mean(errors: NDArray[np.float64], otherwise: Rows) -> float:
    """The mean error, that of all rows where there is none."""
    return float(errors.mean() if len(errors) else otherwise.errors.mean())


def _third(first: Rows, seed: int) -> NDArray[np.bool_]:
    """The rows of the first half that cut the tree back: a third, whole clusters where rows belong together."""
    numbers, place = np.unique(first.number, return_inverse=True)
    chosen = np.zeros(len(numbers), np.bool_)
    chosen[sample_rows(len(numbers), len(numbers) // 3, seed + 1)] = True
    return np.asarray(chosen[place])


def _order(ctx: Context, attribute: Attribute) -> NDArray[np.int64] | None:
    """The ranks of a number column's levels, unknown and pooled ones last; None for other columns."""
    if attribute.name not in ctx.dataset.types or not ctx.dataset.is_number(attribute.name):
        return None
    keys = [*(np.inf if level == MISSING else start(level) for level in attribute.levels), np.inf]
    place = np.empty(attribute.size, np.int64)
    place[np.argsort(keys, kind="stable")] = np.arange(attribute.size)
    return place
