"""Secondary suppression: what must go with the cells that are too small, because it could be computed back from what stays.

A published table is a set of sums: everybody is the sum of a column's groups, a group is the sum of its intersections. A withheld cell is safe where
no combination of these sums gives it, and where the cells that are withheld from one sum are together large enough to be printed
(Cox 1980; Hundepool et al. 2012, Statistical Disclosure Control, chapter 4: linear sensitivity and the singleton problem).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from audit.named_slices import KEY

Cell = tuple[tuple[str, str], ...]
Counts = tuple[int, int | None]  # rows, and those counted among them where the metric counts
Sum = tuple[Cell, list[Cell]]  # a cell, and those that add up to it
EVERYBODY: Cell = ()
#: What divides rows into parts that share some, and so add up to nothing: named slices, and everybody outside a slice.
OVERLAPPING = {KEY, "(rows)"}


def relations(cells: Iterable[Cell]) -> list[Sum]:
    """Each cell with the cells that add up to it: everybody by each column, and each group by the columns that divide it further."""
    by_columns: dict[frozenset[str], list[Cell]] = defaultdict(list)
    for cell in sorted(cells):
        if cell and not any(column in OVERLAPPING for column, _ in cell):
            by_columns[frozenset(column for column, _ in cell)].append(cell)
    sums = [(EVERYBODY, members) for members in by_columns.values()]
    for columns, members in by_columns.items():
        for finer, finer_members in by_columns.items():
            if columns < finer:
                parts: dict[Cell, list[Cell]] = defaultdict(list)
                for cell in finer_members:
                    parts[tuple(pair for pair in cell if pair[0] in columns)].append(cell)
                sums += [(cell, parts[cell]) for cell in members if cell in parts]
    return sums


def common_sums(tables: Iterable[Iterable[Cell]], rows: Mapping[Cell, int]) -> list[Sum]:
    """The sums that hold between cells of several tables: each table's cells, and all together, against everything that they may add up to.

    `rows` has every cell with its number of rows, and everybody. What does not add up to the row, such as slices that overlap, is no sum.
    """
    coarse: dict[frozenset[str], list[Cell]] = defaultdict(list)
    for cell in rows:
        coarse[frozenset(column for column, _ in cell)].append(cell)
    found: dict[tuple[Cell, frozenset[Cell]], Sum] = {}
    for table in (*tables, rows):
        by_columns: dict[frozenset[str], list[Cell]] = defaultdict(list)
        for cell in sorted(set(table)):
            by_columns[frozenset(column for column, _ in cell)].append(cell)
        for columns, members in by_columns.items():
            for fewer in (c for c in coarse if c < columns):
                parts: dict[Cell, list[Cell]] = defaultdict(list)
                for cell in members:
                    parts[tuple(pair for pair in cell if pair[0] in fewer)].append(cell)
                for whole, some in parts.items():
                    if whole in rows and sum(rows[c] for c in some) == rows[whole]:
                        found[whole, frozenset(some)] = (whole, some)
    return list(found.values())


def protect(
    cells: Mapping[Cell, Counts], gone: set[Cell], small: Callable[[int, int | None], bool], sums: list[Sum] | None = None
) -> set[Cell]:
    """`gone` with what must go too; `cells` are the (rows, counted) of one metric, `small` says what may not be printed.

    `sums` are what is known to add up; by default everybody by each column, and each group by the columns that divide it further.
    """
    sums = relations(cells) if sums is None else sums
    gone = gone & set(cells)
    while True:
        opened = _too_thin(cells, sums, gone, small) or _computable(sums, gone)
        if opened is None:
            return gone
        whole, members = opened
        left = sorted((c for c in members if c not in gone), key=lambda c: (cells[c][0], c))
        if left:
            gone = gone | {left[0]}
        elif whole not in gone and whole != EVERYBODY:
            gone = gone | {whole}
        else:
            return gone | {c for c in cells if set(whole) <= set(c) and c}


def _too_thin(cells: Mapping[Cell, Counts], sums: list[Sum], gone: set[Cell], small: Callable[[int, int | None], bool]) -> Sum | None:
    """A sum of which the withheld cells, which anyone gets together by subtraction, are still too small to be printed."""
    for whole, members in sums:
        hidden = [cells[c] for c in members if c in gone]
        if not hidden or whole in gone or len(hidden) == len(members):
            continue
        counted = [k for _, k in hidden if k is not None]
        if small(sum(n for n, _ in hidden), sum(counted) if len(counted) == len(hidden) else None):
            return whole, members
    return None


def _computable(sums: list[Sum], gone: set[Cell]) -> Sum | None:
    """Of the sums with a withheld cell that some combination of all sums determines, the one with the fewest withheld cells."""
    import numpy as np

    unknown = {cell: i for i, cell in enumerate(sorted(gone))}
    rows = [(whole, members) for whole, members in sums if whole in gone or any(c in gone for c in members)]
    if not unknown or not rows:
        return None
    system = np.zeros((len(rows), len(unknown)))
    for row, (whole, members) in zip(system, rows, strict=True):
        for cell in members:
            if cell in unknown:
                row[unknown[cell]] += 1
        if whole in unknown:
            row[unknown[whole]] -= 1
    # A cell is determined where its unit vector lies in the row space: the projection onto that space leaves it as it is.
    determined = np.flatnonzero(np.isclose(np.diag(np.linalg.pinv(system) @ system), 1.0))
    if not len(determined):
        return None
    exposed = {sorted(gone)[i] for i in determined}
    opened = [pair for pair in rows if exposed & {pair[0], *pair[1]}]
    spare = [pair for pair in opened if any(c not in gone for c in pair[1])]
    return min(spare or opened, key=lambda pair: sum(c in gone for c in pair[1]))
