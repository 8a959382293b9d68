"""What each TensorRT of a board builds of a bundle, and whether it keeps that version's rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeeff.backends.tensorrt.device.onboard import recipes
from edgeeff.backends.tensorrt.device.onboard.sealed import RefusedError
from edgeeff.board import Board, Software
from edgeeff.errors import BundleError, OptionError, VerificationError


@dataclass(frozen=True)
class Build:
    """One engine that a board builds.

    Args:
        software: The JetPack and TensorRT.
        precision: ``int8``, or ``fp16``: the bundle's own, or an INT8 bundle's control.
        file: The bundle's file that it is built from.
        strongly_typed: Whether the types are those of the file.
        flags: trtexec's words for the types; none from TensorRT 11 on, whose networks are all strongly typed.
    """

    software: Software
    precision: str
    file: str
    strongly_typed: bool
    flags: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        found = asdict(self)
        software = found.pop("software")
        return {"jetpack": software["jetpack"], "tensorrt": software["tensorrt"], **found}


def builds(board: Board, files: Iterable[str] | None = None) -> list[Build]:
    """The engines of each TensorRT of a board: of a bundle's ``files``, or of all that a bundle can have.

    Raises:
        OptionError: The board's file names a TensorRT that bundles are not for.
    """
    there = None if files is None else set(files)
    found = []
    for software in board.software:
        version = _version(board, software.tensorrt)
        for precision in board.precisions:
            chosen = recipes.recipe(version, precision, there or ())
            if there is not None and chosen.onnx not in there:
                continue
            flags = [f"--{flag.lower()}" for flag in chosen.flags]
            if chosen.strongly_typed and version < (11, 0):
                flags = ["--stronglyTyped"]
            found.append(Build(software, precision, chosen.onnx, chosen.strongly_typed, tuple(flags)))
    return found


@dataclass(frozen=True)
class Held:
    """What the linter found: the versions that it was asked about, and how many warnings each rule had."""

    versions: tuple[str, ...]
    warnings: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"tensorrt": list(self.versions), "errors": 0, "warnings": dict(self.warnings)}


def hold(folder: Path, board: Board, planned: Sequence[Build]) -> Held:
    """Hold each graph against the rules of just the TensorRT versions that build it on this board.

    Raises:
        BundleError: A graph is missing or damaged.
        VerificationError: A graph breaks a rule.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    from edgeeff.backends.tensorrt.lint import lint, parse_version

    warnings: dict[str, int] = {}
    for file in dict.fromkeys(build.file for build in planned):
        versions = [parse_version(b.software.tensorrt) for b in planned if b.file == file]
        try:
            model = onnx.load(folder / file)
        except (OSError, DecodeError) as error:
            raise BundleError(
                f"{folder / file} cannot be read: {error}", mend="build the bundle again"
            ) from None
        for finding in lint(model, versions):
            named = f"{finding.rule} {finding.name}"
            if finding.severity == "error":
                raise VerificationError(
                    f"{board.name}: TensorRT {', '.join(map(str, finding.versions))} does not take {file}: "
                    f"{named}: {finding.node}: {finding.message}",
                    mend=finding.mend,
                )
            warnings[named] = warnings.get(named, 0) + 1
    return Held(tuple(dict.fromkeys(b.software.tensorrt for b in planned)), warnings)


def _version(board: Board, text: str) -> tuple[int, int]:
    try:
        return recipes.parse_version(text)
    except RefusedError as error:
        raise OptionError(
            f"board {board.name}: {error}", mend="leave that TensorRT out of the board's file"
        ) from None
