"""Whether a file that was exported for one size may be taken at another.

SAME padding at stride 2 depends on whether the size is odd or even, and exporters write only what came of it.
So a convention that explains the file's padding at its own size has to explain it at the new one as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from edgeeff.errors import GraphError
from edgeeff.graph.padding import same_padding
from edgeeff.graph.writer import Padding, Writer


def translate(
    own: tuple[int, int] | None, wanted: tuple[int, int], at: Callable[[tuple[int, int]], Writer]
) -> Writer:
    """The graph for the size ``wanted``, of a file that says it is for its ``own``.

    Args:
        own: Height and width; None: the file leaves them open.
        wanted: Likewise.
        at: Translates the file for a size.

    Raises:
        GraphError: Something in the file depends on its own size.
    """
    if own is None or own == wanted:
        return at(wanted)
    before = at(own)
    as_exported = before.paddings
    try:
        written = at(wanted)
    except GraphError as error:
        _refuse(own, error.what)
    for (what, was), (_, now) in zip(before.sized, written.sized, strict=True):
        if was != now:
            _refuse(own, what)
    explaining = [explains for explains in (_is_same, _is_symmetric) if all(map(explains, as_exported))]
    for padding in written.paddings:
        if not explaining or not all(explains(padding) for explains in explaining):
            _refuse(own, f"node {padding.node!r} pads {list(padding.pads)} zeros, right at that size alone")
    return written


def _refuse(own: tuple[int, int], why: str) -> NoReturn:
    raise GraphError(
        f"it was exported for {own[0]}×{own[1]} pixels and cannot take another size: {why}",
        mend="leave out --size, or export the network again for the size wanted",
    )


def _is_symmetric(padding: Padding) -> bool:
    top, left, bottom, right = padding.pads
    return (top, left) == (bottom, right)


def _is_same(padding: Padding) -> bool:
    (top, bottom), (left, right) = (
        same_padding(padding.size[i], padding.kernel[i], padding.strides[i]) for i in range(2)
    )
    return padding.pads == (top, left, bottom, right)
