"""How one cell of a feature pyramid fuses its features, as data. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """One fusion of a cell: features of neighbouring levels, resized to one of them, become one.

    Args:
        name: The level and the path that the node is of: ``p5_td``.
        level: Of what it gives, counted from the pyramid's first.
        inputs: What it fuses, in this order: numbers below the number of levels are the cell's inputs, level
            by level; behind them come the cell's own nodes, in their order.
    """

    name: str
    level: int
    inputs: tuple[int, ...]


class _Cell:
    """A cell while its nodes are put down."""

    def __init__(self, first: int, count: int) -> None:
        self.first, self.count = first, count
        self.nodes: list[Node] = []

    def add(self, level: int, path: str, *inputs: int) -> int:
        """Put a node down; gives its number among the cell's features."""
        self.nodes.append(Node(f"p{self.first + level}_{path}", level, inputs))
        return self.count + len(self.nodes) - 1


def bifpn(first: int, count: int) -> tuple[Node, ...]:
    """Down from the coarsest level to the finest (``td``), and up again (``out``).

    Tan et al. 2020, section 3.2 and figure 3. On the way up a level also reads what the cell was given for
    it. The last ``count`` nodes are the cell's outputs, level by level.

    Args:
        first: The pyramid's first level, for the names.
        count: Its levels.
    """
    cell, top = _Cell(first, count), count - 1
    down = {top: top}
    for level in range(top - 1, -1, -1):
        down[level] = cell.add(level, "td" if level else "out", level, down[level + 1])
    up = down[0]
    for level in range(1, count):
        own = (level, down[level]) if level < top else (level,)
        up = cell.add(level, "out", *own, up)
    return tuple(cell.nodes)


def quad(first: int, count: int) -> tuple[Node, ...]:
    """Four paths, two begun downwards and two upwards, and a node for each level that adds their ends.

    google/automl, efficientdet/keras/fpn_configs.py (quad FPN), in the order that effdet gives it. The last
    ``count`` nodes are the cell's outputs, level by level.
    """
    cell, top = _Cell(first, count), count - 1
    down = {top: top}
    for level in range(top - 1, -1, -1):
        down[level] = cell.add(level, "td", level, down[level + 1])
    up = {0: down[0]}
    for level in range(1, count):
        own = (level, down[level]) if level < top else (level,)
        up[level] = cell.add(level, "td_up", *own, up[level - 1])
    first_up = {0: 0}
    for level in range(1, count):
        first_up[level] = cell.add(level, "up", level, first_up[level - 1])
    back = {top: first_up[top]}
    for level in range(top - 1, -1, -1):
        own = (level, first_up[level]) if level else (level,)
        back[level] = cell.add(level, "up_td", *own, back[level + 1])
    for level in range(count):
        cell.add(level, "out", up[level], back[level])
    return tuple(cell.nodes)
