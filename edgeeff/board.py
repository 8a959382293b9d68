"""Boards: what an NVIDIA device brings, as data.

A board is one file of ``boards/``. It says which TensorRT there can be, so that a build can be held against
just those versions; nothing in it says that a bundle was run there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeeff import regular, toml
from edgeeff.errors import OptionError
from edgeeff.plugins import Files, blamed
from edgeeff.target import TARGETS, Target, load_target, resources, target_names

BoardPrecision = Literal["int8", "fp16"]


@dataclass(frozen=True)
class Software:
    """One TensorRT that the board can have.

    Args:
        jetpack: The releases of JetPack that bring it, ``6.1, 6.2``; empty where there is no JetPack.
        tensorrt: Major and minor, ``10.3``.
        cuda: The CUDA that comes with it, where it is known.
        verified: Whether NVIDIA's own documents say so, of this JetPack.
        source: Who says so.
    """

    jetpack: str
    tensorrt: str
    cuda: str
    verified: bool
    source: str


@dataclass(frozen=True)
class Board:
    """An NVIDIA device, or a family of them that TensorRT treats alike.

    Args:
        name: The file's.
        summary: What it is.
        compute_capability: Of its GPU, ``8.7``: an engine belongs to one of them.
        memory_gb: The sizes it comes in, GB; on a Jetson the processor and the GPU share them.
        precisions: What its tensor cores compute, of what bundles hold.
        targets: The targets that are meant for it.
        dla_cores: How many DLA cores it has at most.
        dla: Why nothing is promised for DLA.
        software: The TensorRT that it can have, oldest first.
    """

    name: str
    summary: str
    compute_capability: str
    memory_gb: tuple[int, ...]
    precisions: tuple[BoardPrecision, ...]
    targets: tuple[str, ...]
    dla_cores: int
    dla: str
    software: tuple[Software, ...]

    @property
    def tensorrt(self) -> tuple[str, ...]:
        """The versions of TensorRT, oldest first, each once."""
        return tuple(dict.fromkeys(s.tensorrt for s in self.software))

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


class _SoftwareFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    jetpack: str = ""
    tensorrt: Annotated[str, Field(pattern=r"^\d{1,2}\.\d{1,2}$")]
    cuda: str = ""
    verified: bool
    source: Annotated[str, Field(min_length=1)]


class _BoardFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    summary: Annotated[str, Field(min_length=1)]
    compute_capability: Annotated[str, Field(pattern=r"^\d{1,2}\.\d$")]
    memory_gb: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=1)]
    precisions: Annotated[list[BoardPrecision], Field(min_length=1)]
    targets: Annotated[list[str], Field(min_length=1)]
    dla_cores: Annotated[int, Field(ge=0)]
    dla: Annotated[str, Field(min_length=1)]
    software: Annotated[list[_SoftwareFile], Field(min_length=1)]


#: Where boards are found.
BOARDS = Files("boards", lambda: resources("boards"))


def board_names() -> list[str]:
    """The names of all boards, sorted: ours, and those of plug-ins."""
    return list(BOARDS.paths())


def load_board(name: str) -> Board:
    """Read a board by its name, or from a file of the user's own when the name ends in ``.toml``.

    Raises:
        OptionError: No such board, or its file cannot be understood.
    """
    path = Path(name) if name.endswith(".toml") else BOARDS.paths().get(name)
    if path is None or not regular.is_file(path):
        raise BOARDS.refusal(name) or OptionError(
            f"no board named {name!r}",
            mend=f"choose one of {', '.join(board_names())}, or pass the path of a board's TOML file",
        )
    with blamed(None if name.endswith(".toml") else BOARDS.plugin(name)):
        content = toml.read(path, _BoardFile, OptionError)
    return Board(
        name=path.stem,
        summary=content.summary,
        compute_capability=content.compute_capability,
        memory_gb=tuple(content.memory_gb),
        precisions=tuple(content.precisions),
        targets=tuple(content.targets),
        dla_cores=content.dla_cores,
        dla=content.dla,
        software=tuple(Software(**s.model_dump()) for s in content.software),
    )


def require_suited(board: Board, target: Target) -> None:
    """Refuse a target whose bundles the board cannot run.

    A target of the user's own, or of a plug-in, suits if it has the runtime and the precision of one that the
    board names. One whose engines are compiled beforehand must name the board's compute capability.

    Raises:
        OptionError: It does not suit.
    """
    suited = target.name in board.targets
    if not suited and target.name not in TARGETS.ours():
        named = [load_target(name) for name in board.targets if name in target_names()]
        suited = any((t.runtime, t.precision) == (target.runtime, target.precision) for t in named)
    if not suited:
        raise OptionError(
            f"target {target.name} ({target.runtime}, {target.precision}) is not for the board {board.name}",
            mend=f"build {' or '.join(board.targets)} for it, or leave out --board",
        )
    compiled = target.runtime_properties.get("compute_capabilities")
    capability = board.compute_capability.replace(".", "")
    if compiled is not None and capability not in [part.strip() for part in compiled.split(",")]:
        raise OptionError(
            f"target {target.name} compiles for {compiled}, and the board {board.name} is {capability}",
            mend="add it to compute_capabilities in a target file of your own, or leave out --board",
        )
