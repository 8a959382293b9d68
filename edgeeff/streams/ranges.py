"""A file behind http as a file object: read piece by piece, and from where it broke off."""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Callable
from typing import Any

from edgeeff.streams.kinds import LostError, Settings
from edgeeff.streams.tally import Tally

#: Seconds before a request that failed is sent again.
_SOON, _LATE = 0.25, 5.0


class Ranges:
    """A file that a server sends.

    Args:
        send: Sends the request again, with more headers.
        response: The first answer, of the whole file.
        settings: For how long a lost connection is tried again.
        tally: Gets the number of reconnections.
    """

    def __init__(self, send: Callable[..., Any], response: Any, settings: Settings, tally: Tally) -> None:
        self._send, self._response, self._settings, self._tally = send, response, settings, tally
        said = response.headers.get("Content-Length") or ""
        self._length = int(said) if said.isdigit() else None
        self._whole = response.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
        self._same = response.headers.get("ETag") or response.headers.get("Last-Modified")
        self._at = 0

    def close(self) -> None:
        """Let go of the connection."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def seekable(self) -> bool:
        """Whether the server sends parts of the file."""
        return self._whole and self._length is not None

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go on reading elsewhere."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length or 0}.get(whence)
        if base is None:
            raise OSError(f"whence {whence}")
        if base + offset != self._at:
            self.close()
            self._at = base + offset
        return self._at

    def read(self, size: int) -> bytes:
        """Some bytes, none at the end.

        Raises:
            LostError: The connection broke off, and could not be taken up again in time.
        """
        if self._length is not None and self._at >= self._length:
            return b""
        begun, delay = time.monotonic(), _SOON
        while True:
            try:
                if self._response is None:
                    self._response = self._again()
                found: bytes = self._response.read1(size)
                if found or self._length is None:
                    self._at += len(found)
                    return found
                reason = "the connection was cut"
            except TimeoutError:
                reason = "nothing came any more"
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
            self.close()
            if not self.seekable() or time.monotonic() - begun >= self._settings.reconnect:
                raise LostError(
                    f"{reason}, after {self._at} of its {self._length or 'unknown number of'} bytes"
                )
            time.sleep(delay)
            delay = min(2 * delay, _LATE)
            self._tally.reconnections += 1

    def _again(self) -> Any:
        """The file from here on."""
        headers = {"Range": f"bytes={self._at}-", **({"If-Range": self._same} if self._same else {})}
        response = self._send(**headers)
        if response.status != 206:
            response.close()
            raise LostError("the file was replaced while it was read")
        return response
