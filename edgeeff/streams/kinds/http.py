"""What is fetched by http: a camera's MJPEG, a video file, or one photo; the server says which it is."""

from __future__ import annotations

import contextlib
import http.client
import io
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlunsplit

from PIL import Image

from edgeeff.errors import ImageError, StreamError
from edgeeff.streams import container, multipart, network
from edgeeff.streams.frame import Frame, Still
from edgeeff.streams.kinds import Connection, Kind, LostError, Settings
from edgeeff.streams.kinds.video import varies
from edgeeff.streams.naming import shown
from edgeeff.streams.ranges import Ranges
from edgeeff.streams.tally import Tally

_PORTS = {"http": 80, "https": 443}
#: Pixels of the largest picture, as of a video.
_LARGEST = 4 * 7680 * 4320
#: Bytes of a photo at most.
_PHOTO = 1 << 28
#: Why a request for a stream was refused, and what to do, by the status of the answer.
_STATUS = {
    401: (
        "wants another user name or password",
        "write both into the address: http://USER:PASSWORD@HOST/PATH",
    ),
    403: ("may not be read by this user (403)", "write a user name and password into the address"),
    404: ("is not there (404)", "check the path of the address"),
}
#: Where a server sends no parts of a file, which then is read from its beginning alone.
_AT_THE_END = (
    "fetch the file and run it here: this server sends no parts of files, and an MP4 may have its index at "
    "the end (ffmpeg -i VIDEO -c copy -movflags +faststart OTHER puts it first)"
)


@dataclass(frozen=True)
class Request:
    """How something is fetched.

    Args:
        address: Without user name and password.
        name: For messages.
        opener: Knows them.
        patience: Seconds that an answer may take; None: it is waited for.
    """

    address: str
    name: str
    opener: urllib.request.OpenerDirector
    patience: float | None

    def send(self, **headers: str) -> Any:
        """Fetch it, from a byte on where a header says so.

        Raises:
            OSError, http.client.HTTPException: Of the network, or what the server refuses.
        """
        said = {"User-Agent": "edgeeff", **headers}
        return self.opener.open(urllib.request.Request(self.address, headers=said), timeout=self.patience)


def _connect(text: str, settings: Settings, tally: Tally) -> Connection:
    name = shown(text)
    parts, host, port = network.parts(text, _PORTS)
    request = Request(_bare(parts), name, _opener(parts), settings.patience)
    try:
        response = request.send()
    except urllib.error.HTTPError as error:
        error.close()
        what, mend = _STATUS.get(error.code, (f"is answered with status {error.code}", "ask again later"))
        raise StreamError(f"{name} {what}", mend=mend) from None
    except urllib.error.URLError as error:
        reason = error.reason
        raise network.unreachable(name, host, port, _as_error(reason)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise network.unreachable(name, host, port, error) from None
    kind = response.headers.get_content_type()
    if kind.startswith("multipart/"):
        return Connection(_mjpeg(response, name, tally), live=True, again=True)
    if kind.startswith("image/"):
        return Connection(_photo(response, name))
    if kind.startswith("video/") or kind in ("application/octet-stream", "application/mp4"):
        return Connection(_video(response, request, name, settings, tally))
    response.close()
    page = "a web page" if kind == "text/html" else f"of type {kind}"
    raise StreamError(
        f"{name} is {page}, and no video, MJPEG or photo",
        mend="pass the address of the stream itself: the camera's manual names it",
    )


def _as_error(reason: object) -> Exception:
    return reason if isinstance(reason, Exception) else OSError(str(reason))


def _bare(parts: SplitResult) -> str:
    """The address as it is sent: without user name and password, and nothing that is for the browser."""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path or "/", parts.query, ""))


def _opener(parts: SplitResult) -> urllib.request.OpenerDirector:
    """It sends the address's user name and password when it is asked for them."""
    if parts.username is None:
        return urllib.request.build_opener()
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, _bare(parts), unquote(parts.username), unquote(parts.password or ""))
    return urllib.request.build_opener(
        urllib.request.HTTPDigestAuthHandler(passwords), urllib.request.HTTPBasicAuthHandler(passwords)
    )


def _mjpeg(response: Any, name: str, tally: Tally) -> Iterator[Frame]:
    """Each part of a multipart answer is a photo; one that cannot be decoded is skipped, with its number."""
    number, begun = 0, None
    boundary = response.headers.get_param("boundary") or ""
    with response:
        try:
            for part in multipart.parts(response.read1, str(boundary)):
                came = time.perf_counter()
                try:
                    picture = _decoded(part)
                except ImageError:
                    tally.skipped += 1
                else:
                    begun = came if begun is None else begun
                    seconds = time.perf_counter() - came
                    yield Frame(number, round(came - begun, 6), Still(picture), came=came, decoding=seconds)
                number += 1
        except TimeoutError:
            raise LostError("nothing came any more") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LostError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None


def _photo(response: Any, name: str) -> Iterator[Frame]:
    with response:
        try:
            content = response.read(_PHOTO)
        except (OSError, http.client.HTTPException) as error:
            raise LostError(str(error) or type(error).__name__) from None
    came = time.perf_counter()
    try:
        picture = _decoded(content)
    except ImageError as error:
        raise ImageError(f"{name}: {error.what}", mend=error.mend) from None
    yield Frame(0, None, Still(picture), came=came, decoding=time.perf_counter() - came)


def _decoded(content: bytes) -> Image.Image:
    """A photo.

    Raises:
        ImageError: It cannot be decoded, or it is too large.
    """
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.width * picture.height > _LARGEST:
                raise ImageError(
                    f"{picture.width} x {picture.height} pixels are too many", mend="scale it down"
                )
            picture.load()
            return picture.convert("RGB") if picture.mode not in ("L", "RGB") else picture.copy()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"it cannot be decoded: {error}", mend="look at it in a browser") from None


def _video(response: Any, request: Request, name: str, settings: Settings, tally: Tally) -> Iterator[Frame]:
    """A video file, read piece by piece, from where it broke off where the server can do that."""
    av = container.library()
    with contextlib.closing(Ranges(request.send, response, settings, tally)) as file:
        try:
            if file.seekable():
                tally.varies = varies(av, file)
                file.seek(0)
            with av.open(file, metadata_errors="replace") as opened:
                yield from container.read(opened, name, tally, turn=settings.turn)
        except (av.FFmpegError, UnicodeDecodeError) as error:
            raise container.undecodable(name, error) from None
        except ImageError as error:
            if file.seekable() or not tally.skipped:
                raise
            raise ImageError(error.what, mend=_AT_THE_END) from None


KIND = Kind(
    "http",
    "http://camera/video.mjpg",
    lambda text, settings: settings.raw is None and text.partition("://")[0].lower() in _PORTS,
    _connect,
)
