"""What can go wrong, one kind for each cause.

Every message says what was wrong, where, and how to mend it. The command line prints it without a
traceback and exits with the kind's status: 2 for bad input, 1 for a check that did not hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgeeff.onboard.refusal import Refused


class EdgeeffError(Exception):
    """The base of every error this package raises on purpose.

    Args:
        what: What was wrong and where, one sentence.
        mend: What the reader can do about it, one sentence.

    ``warnings`` holds what a build had warned of before it failed.
    """

    exit_status = 2

    def __init__(self, what: str, *, mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend
        self.warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.what}\n  → {self.mend}"


class EdgeeffWarning(UserWarning):
    """What a Python caller must not miss, where no progress listener hears it."""


class UnknownModelError(EdgeeffError):
    """No network of that name is in the zoo."""


class UnknownTargetError(EdgeeffError):
    """No target of that name, or a target file that cannot be understood."""


class MissingFileError(EdgeeffError):
    """A file or folder that was named does not exist or cannot be read."""


class ChangedFileError(EdgeeffError):
    """A file changed while it was read, so that nothing made from it is of one state of it."""


class CheckpointError(EdgeeffError):
    """A checkpoint is truncated, unsafe to load, or of another architecture."""


class GraphError(EdgeeffError):
    """A graph is not a valid ONNX model, or holds an operator that is not supported."""


class ImageError(EdgeeffError):
    """An image cannot be decoded."""


class StreamError(EdgeeffError):
    """A source of frames cannot be opened, or ended, stalled or failed before it was to."""


class CalibrationError(EdgeeffError):
    """The calibration images are missing, too few or too often broken."""


class TrainingError(EdgeeffError):
    """Training cannot begin with these photos, or went wrong and no state of it can be kept."""


class LabelsError(EdgeeffError):
    """Labels are missing, or do not fit the network's classes."""


class OptionError(EdgeeffError):
    """An option's value makes no sense, alone or with the others."""


class MissingRuntimeError(EdgeeffError):
    """A runtime or library that this work needs is not installed."""


class PluginError(MissingRuntimeError):
    """What an installed distribution adds to edgeeff cannot be used: it is as if it were not installed."""


class PluginFailedError(EdgeeffError):
    """Code that an installed distribution adds to edgeeff failed while it was at work."""


class OutOfMemoryError(EdgeeffError):
    """Memory ran out: no input is to blame, and no file is damaged."""


class OutputError(EdgeeffError):
    """The output cannot be written, or is a folder that is not ours."""


class BusyError(EdgeeffError):
    """Another measurement has this machine: nothing is wrong with what was to be measured."""


class DeviceError(EdgeeffError):
    """A board cannot be reached, or lacks what is to run there; nothing is wrong with the bundle."""


class BundleError(EdgeeffError):
    """A bundle is incomplete, altered, or of a schema this version does not read."""


class ReportError(EdgeeffError):
    """A report, suite or baseline is malformed, of another kind, or of a newer schema."""


class MatrixError(EdgeeffError):
    """A matrix is malformed, its folder of results is not one, or another run is at work there."""


class ClusterError(EdgeeffError):
    """A Dask scheduler is unreachable, not secured or of other versions, or its workers see other files."""


class HistoryError(EdgeeffError):
    """The database of results is locked, unreachable, of another program, or of another schema."""


class VerificationError(EdgeeffError):
    """An artifact was built, and does not do what the hub graph does."""

    exit_status = 1


def named(kind: str, what: str, mend: str) -> EdgeeffError:
    """The error of a kind by its name, as another process told it; of an unknown name the base of all."""
    found = globals().get(kind)
    if isinstance(found, type) and issubclass(found, EdgeeffError):
        return found(what, mend=mend)
    return EdgeeffError(what, mend=mend)


@contextmanager
def as_told() -> Iterator[None]:
    """Have what the parts that boards run too refuse raised as the error of its kind.

    Raises:
        EdgeeffError: Something was refused.
    """
    try:
        yield
    except Refused as refused:
        raise named(refused.kind, refused.what, refused.mend) from None
