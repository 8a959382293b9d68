"""A bundle on its way to a board: file by file, in pieces, each checked at both ends."""

from __future__ import annotations

import hashlib
from collections import deque
from pathlib import Path

from edgeeff.devices.link import Link
from edgeeff.errors import BundleError
from edgeeff.manifest import MANIFEST, read_manifest

#: Bytes of a piece, and pieces that are on their way at once: what memory it takes at either end.
PIECE, WINDOW = 1 << 18, 16
#: Seconds that the board may take for a piece: a slow card, or a slow line.
_WITHIN = 300.0


def send(link: Link, bundle: Path, digest: str) -> None:
    """Send a bundle's manifest and all that it seals.

    Args:
        link: To the board.
        bundle: Its folder.
        digest: SHA-256 of its manifest.

    Raises:
        BrokenError: The connection broke; the board has nothing of it.
        DeviceError: The board cannot hold it; it has nothing of it.
        BundleError: A file cannot be read, or is not what was sealed.
    """
    seals = {MANIFEST: digest, **read_manifest(bundle).files}
    try:
        size = sum((bundle / name).stat().st_size for name in seals)
        link.ask({"op": "push", "digest": digest, "size": size}, within=_WITHIN)
        waiting: deque[int] = deque()
        for name, seal in seals.items():
            waiting.append(link.say({"op": "file", "name": name}))
            sums = hashlib.sha256()
            with (bundle / name).open("rb") as file:
                while piece := file.read(PIECE):
                    sums.update(piece)
                    waiting.append(link.say({"op": "data"}, [piece]))
                    while len(waiting) > WINDOW:
                        link.answer(waiting.popleft(), _WITHIN)
            if sums.hexdigest() != seal:
                raise BundleError(
                    f"{bundle}: {name} does not have the manifest's SHA-256",
                    mend="copy the bundle again, or build it again",
                )
        while waiting:
            link.answer(waiting.popleft(), _WITHIN)
    except OSError as error:
        raise BundleError(
            f"{bundle} cannot be read: {error.strerror or error}", mend="build it again"
        ) from None
    link.ask({"op": "pushed"}, within=_WITHIN)
