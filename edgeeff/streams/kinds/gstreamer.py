"""Pipelines of GStreamer: ``gst-launch-1.0`` runs them, and writes frames with their times into a pipe.

Python's bindings of GStreamer belong to the system's Python and are not in a virtual environment; the program
is wherever GStreamer is. Frames come as Matroska: it has their size, format, colours and times.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from edgeeff.errors import MissingRuntimeError, OptionError, StreamError
from edgeeff.streams import container
from edgeeff.streams.frame import Frame
from edgeeff.streams.kinds import Connection, Kind, LostError, Settings
from edgeeff.streams.naming import called
from edgeeff.streams.pipe import Pipe
from edgeeff.streams.tally import Tally

PREFIX = "gst:"
_PROGRAM = "gst-launch-1.0"
#: What is added behind a pipeline: no conversion where it gives one of these formats.
_ENDING = (
    "! videoconvert ! video/x-raw,format=(string){{I420,RGB,BGR,YUY2,GRAY8}} "
    "! matroskamux streamable=true ! fdsink sync=false fd={number}"
)
#: What gst-launch says of a pipeline whose source does not wait.
_LIVE = "Pipeline is live"
#: Seconds that it may take to end when it is asked to, and to say why it ended.
_ENDS = 2.0
#: Characters of its complaint that are told.
_SAID = 300
_COMPLAINT = re.compile(
    r"(?:ERROR|erroneous pipeline): (?:from element \S+: )?(.+)"
    r"(?:\nAdditional debug info:\n.+\n(?!ERROR|Execution|Setting)(.+))?"
)


def _connect(text: str, settings: Settings, tally: Tally) -> Connection:
    av, name = container.library(), called(text)
    program = shutil.which(_PROGRAM)
    if program is None:
        raise MissingRuntimeError(
            f"{_PROGRAM} is not installed, which runs pipelines of GStreamer",
            mend="sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-good",
        )
    try:
        words = shlex.split(text[len(PREFIX) :])
    except ValueError as error:
        raise OptionError(f"{name} cannot be split into words: {error}", mend="close its quotes") from None
    if not words:
        raise OptionError("gst: names no pipeline", mend="write one: gst:videotestsrc")
    run = _Run(program, words, settings.patience)
    try:
        opened = av.open(run.pipe, format="matroska")
    except (av.FFmpegError, LostError) as error:
        said = run.complaint()
        run.end()
        if said is None and isinstance(error, LostError):
            raise StreamError(f"{name}: {error}", mend="wait longer: --timeout") from None
        raise StreamError(
            f"{name}: {said or 'it gave no frames'}",
            mend=f"it is to end in raw video: try {_PROGRAM} on it, with ! fakesink behind",
        ) from None
    live = run.is_live
    return Connection(_read(opened, run, name, tally, live), live=live, again=live, abort=run.end)


def _read(opened: Any, run: _Run, name: str, tally: Tally, live: bool) -> Iterator[Frame]:
    try:
        with opened:
            yield from container.read(opened, name, tally, live=True)
        if not run.ended_well() and not run.pipe.stopped:
            raise LostError(run.complaint() or "GStreamer ended with an error")
    finally:
        run.end()


class _Run:
    """A running pipeline."""

    def __init__(self, program: str, words: list[str], patience: float | None) -> None:
        reading, writing = os.pipe()
        self.pipe = Pipe(reading, patience)
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by end()
        try:
            self._process = subprocess.Popen(
                [program, *words, *_ENDING.format(number=writing).split()],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                pass_fds=(writing,),
                start_new_session=True,  # a Ctrl-C is for us: what came before it is still answered
                env={**os.environ, "LC_ALL": "C"},
            )
        finally:
            os.close(writing)

    @property
    def is_live(self) -> bool:
        """Whether its source does not wait, as far as it has said."""
        return _LIVE in self._text()

    def complaint(self) -> str | None:
        """What it says that is wrong; None: nothing."""
        self.ended_well()
        found = _COMPLAINT.search(self._text())
        if found is None:
            return None
        return " ".join(part.strip() for part in found.groups() if part)[:_SAID]

    def ended_well(self) -> bool:
        """Whether it ended by itself, with status 0."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(_ENDS) == 0
        return False

    def end(self) -> None:
        """Have it end."""
        self.pipe.stop()
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDS)
            self._process.kill()
        self._process.wait()
        self._said.close()

    def _text(self) -> str:
        """What it has said so far."""
        if self._said.closed:
            return ""
        length = os.fstat(self._said.fileno()).st_size
        return os.pread(self._said.fileno(), min(length, 1 << 16), 0).decode("utf-8", "replace")


KIND = Kind(
    "GStreamer",
    "gst:videotestsrc",
    lambda text, settings: settings.raw is None and text.startswith(PREFIX),
    _connect,
)
