"""Cameras and servers that speak RTSP, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgeeff.errors import StreamError
from edgeeff.streams import container, network
from edgeeff.streams.frame import Frame
from edgeeff.streams.kinds import Connection, Kind, Settings
from edgeeff.streams.naming import shown
from edgeeff.streams.tally import Tally

_PORTS = {"rtsp": 554, "rtsps": 322}
#: Frames come within the connection that asks for them: nothing is lost, and no firewall is in the way. A
#: server that refuses this gets UDP. The rate is not wanted, and measuring it holds the first frame back.
_OPTIONS = {"rtsp_flags": "prefer_tcp", "fpsprobesize": "2"}


def _connect(text: str, settings: Settings, tally: Tally) -> Connection:
    av, name = container.library(), shown(text)
    _, host, port = network.parts(text, _PORTS)
    network.refuse_unreachable(name, host, port, settings.patience)
    try:
        opened = av.open(text, options=_OPTIONS, timeout=settings.patience)
    except av.error.HTTPUnauthorizedError:
        raise StreamError(
            f"{name} wants another user name or password",
            mend="write both into the address: rtsp://USER:PASSWORD@HOST/PATH",
        ) from None
    except av.error.HTTPNotFoundError:
        raise StreamError(
            f"{name}: the server has no such stream (404)", mend="check the path of the address"
        ) from None
    except av.error.ExitError:
        raise StreamError(
            f"{name}: the server answers, and no stream began within {settings.timeout:g} s",
            mend="is it a server of RTSP? A slow one needs a larger --timeout",
        ) from None
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise StreamError(
            f"{name} cannot be played: {getattr(error, 'strerror', None) or error}",
            mend="check the address; ffprobe on it says more",
        ) from None
    return Connection(_read(opened, name, tally), live=True, again=True)


def _read(opened: Any, name: str, tally: Tally) -> Iterator[Frame]:
    with opened:
        yield from container.read(opened, name, tally, live=True)


KIND = Kind(
    "RTSP",
    "rtsp://camera/stream",
    lambda text, settings: settings.raw is None and text.partition("://")[0].lower() in _PORTS,
    _connect,
)
