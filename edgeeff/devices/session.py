"""A bundle that runs on a board, as a session: pixels go there, outputs come back."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgeeff.batch import Batch
from edgeeff.devices import answers
from edgeeff.devices.link import BrokenError, Link
from edgeeff.errors import DeviceError, EdgeeffError, OptionError
from edgeeff.manifest import read_manifest
from edgeeff.onboard import arrays
from edgeeff.onboard.camera import Planes
from edgeeff.onboard.frames import FrameError
from edgeeff.preprocess import Pixels
from edgeeff.tasks import Outputs

#: Bytes of pixels, or of the outputs that come of them, that go at once; at least one run of the artifact.
PIECE = 8 << 20
#: Pieces on their way at once: the board computes one while the next one comes.
_AHEAD = 2
#: Seconds that a runtime may take to load a bundle, or to run a piece.
_LONG = 1800.0


class Board(Protocol):
    """What a session needs of its connection: see :class:`edgeeff.devices.connection.Connection`."""

    @property
    def name(self) -> str:
        """As the user wrote it."""

    def push(self, link: Link, bundle: Path) -> str:
        """Send a bundle unless the board has it."""

    def again(self, work: Callable[[Link], None]) -> None:
        """Do something that may be done again where the connection breaks."""

    def unused(self, link: Link, number: int) -> None:
        """A session that nobody has any more."""


class RemoteSession:
    """A :class:`edgeeff.backends.Session` on a board.

    Args:
        connection: To the board.
        bundle: Its folder here.
        threads: Of the runtime.
    """

    def __init__(self, connection: Board, bundle: Path, threads: int) -> None:
        self._connection, self._bundle, self._threads = connection, bundle, threads
        self._link: Link | None = None
        self._number = -1
        self.batch = Batch()
        manifest = read_manifest(bundle)
        size = math.prod((*manifest.preprocess.taken, manifest.preprocess.channels))
        self._shapes = {output.name: output.shape[1:] for output in manifest.outputs}
        self._bytes = max(size, sum(4 * math.prod(shape) for shape in self._shapes.values()), 1)

    def opened(self, link: Link) -> int:
        """The session's number with the agent that runs now; opened where that is another one."""
        if self._link is not link:
            digest = self._connection.push(link, self._bundle)
            found = link.ask({"op": "open", "digest": digest, "threads": self._threads}, within=_LONG)
            said = answers.read(answers.Opened, found, self._connection.name)
            self._link, self._number, self.batch = link, said.session, Batch(*said.batch)
            weakref.finalize(self, self._connection.unused, link, self._number)
        return self._number

    def infer(self, pixels: Pixels) -> Outputs:
        """Raw pixels uint8 [N, H, W, C] to the artifact's outputs.

        Raises:
            DeviceError: The connection broke, more often than it is made anew.
        """
        if not len(pixels):
            raise ValueError("no image to run")
        if isinstance(pixels, Planes):
            raise OptionError(
                f"{self._bundle.name} runs on a board, and a camera's planes go to a bundle on this machine",
                mend="pass RGB frames, or run the camera on the board itself",
            )
        parts = list(self._parts(len(pixels)))
        done: list[dict[str, Any]] = []

        def rest(link: Link) -> None:
            """From the first piece that has no result."""
            number = self.opened(link)
            asked: list[int] = []
            for place in range(len(done), len(parts)):
                while len(asked) < _AHEAD and place + len(asked) < len(parts):
                    said, payloads = arrays.pack({"pixels": pixels[parts[place + len(asked)]]})
                    asked.append(link.say({"op": "infer", "session": number, "arrays": said}, payloads))
                done.append(self._answer(link, asked.pop(0), parts[place]))

        self._connection.again(rest)
        if len(done) == 1:
            return done[0]
        return {name: np.concatenate([one[name] for one in done]) for name in done[0]}

    def _answer(self, link: Link, number: int, part: slice) -> dict[str, Any]:
        """The outputs of a piece.

        Raises:
            BrokenError: The connection broke.
            DeviceError: The runtime failed there; it is loaded anew for what comes next.
        """
        try:
            answer = link.answer(number, _LONG)
        except EdgeeffError:
            self._link = None
            raise
        try:
            said = answers.read(answers.Inferred, answer, self._connection.name, payloads=None)
            found = arrays.unpack(said.arrays, answer.payloads)
            self._hold(found, part.stop - part.start)
        except FrameError as error:
            link.kill()
            raise BrokenError(answers.wrong(self._connection.name, str(error))) from None
        except DeviceError as error:
            link.kill()
            raise BrokenError(error) from None
        return found

    def _hold(self, found: Mapping[str, Any], images: int) -> None:
        """Hold outputs against what the manifest says of them; of a bundle of schema 1 it says nothing.

        Raises:
            FrameError: They are others.
        """
        if len(found) != 1 if not self._shapes else found.keys() != self._shapes.keys():
            raise FrameError(f"the outputs {', '.join(found) or 'none'}")
        for name, values in found.items():
            expected = (images, *self._shapes.get(name, values.shape[1:]))
            if values.shape != expected:
                raise FrameError(f"output {name} is {list(values.shape)} instead of {list(expected)}")

    def _parts(self, count: int) -> Iterator[slice]:
        """Pieces of whole runs."""
        runs = max(1, PIECE // (self._bytes * self.batch.size))
        step = runs * self.batch.size
        for start in range(0, count, step):
            yield slice(start, min(start + step, count))

    def prepare(self, pixels: Pixels) -> Any:
        """What :meth:`execute` takes: the pixels, since the board prepares them itself."""
        return np.ascontiguousarray(pixels)

    def execute(self, prepared: Any) -> Any:
        """One inference, its way there and back included."""
        return self.infer(prepared)
