"""What libraries that count blocks by stage have in common."""

from __future__ import annotations

from edgeeff.zoo.architecture import Architecture, Block

#: Says nothing: batch normalisation's count of training steps.
UNNEEDED = "num_batches_tracked"
#: What follows the classifier's name: nothing but a variable, or the layers of a head that replaced it.
HEAD = rf"(?P<head>(?:\.\w+)*)\.(?P<head_part>weight|bias|running_mean|running_var|{UNNEEDED})"


def block_at(architecture: Architecture, stage: int, place: int) -> tuple[int, Block] | None:
    """The index of a stage's block, both counted from 0, and the block; None if there is none."""
    if not (0 <= stage < len(architecture.stages) and 0 <= place < len(architecture.stages[stage])):
        return None
    index = architecture.stages[stage][place]
    return index, architecture.blocks[index]


def layers(block: Block) -> tuple[str, ...]:
    """A block's parts in our names, in the order in which they run."""
    if block.kind == "conv":
        return ("project",)
    parts: tuple[str, ...] = ("expand",) if block.expands else ()
    parts += () if block.kind == "fused" else ("depthwise",)
    parts += ("squeeze",) if block.squeezed else ()
    return (*parts, "project")


def in_head(layers: str, part: str) -> str:
    """Our name of a head's tensor, matched by :data:`HEAD`."""
    return "" if part == UNNEEDED else f"classifier{layers}.{part}"


def nowhere(key: str) -> str:
    """Our name of a tensor that is one of the library's, but of no block that the architecture has."""
    return f"blocks.nowhere.{key}"
