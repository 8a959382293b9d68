"""What a video says of its frames that the network's input does not show: HDR, fields, transparency."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

#: FFmpeg's numbers of transfer functions of HDR (SMPTE ST 2084, ARIB STD-B67).
_HDR = {16: "PQ", 18: "HLG"}
#: How much wider than high a pixel may be: encoders round the ratio.
_SQUARE = 0.02
_TONE_MAPPING = "zscale=t=linear:npl=100,tonemap=hable,zscale=t=bt709:m=bt709:r=tv,format=yuv420p"


class Turn(NamedTuple):
    """How a stored picture is to be shown: first mirrored, then turned.

    Args:
        degrees: To the left.
        mirrored: Left and right are exchanged.
    """

    degrees: float = 0.0
    mirrored: bool = False

    def __str__(self) -> str:
        turned = [f"turned left by {round(self.degrees) % 360}°"] if self.degrees else []
        return " and ".join([*(["mirrored"] if self.mirrored else []), *turned])


UPRIGHT = Turn()


def turn(frame: Any) -> Turn:
    """How a frame of PyAV's is to be shown, by its display matrix (ISO 14496-12, 8.2.2.3).

    A mirrored picture has a negative determinant: without its mirror image the rest is a rotation.
    """
    found = frame.side_data.get("DISPLAYMATRIX")
    if found is None:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", bytes(found))
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return Turn(math.degrees(math.atan2(-b, a)) % 360, mirrored)


class Traits:
    """Collects sentences on a video, each once; they go on behind the source's name.

    Args:
        stream: PyAV's.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._known: object = None
        self.sentences: tuple[str, ...] = ()

    def look(self, frame: Any) -> tuple[str, ...]:
        """The sentences up to this frame."""
        seen = frame.format.name, frame.color_trc, frame.interlaced_frame
        if seen != self._known:
            self._known = seen
            self.sentences = tuple(dict.fromkeys([*self.sentences, *_sentences(self._stream, frame)]))
        return self.sentences


def _sentences(stream: Any, frame: Any) -> Iterator[str]:
    if form := _HDR.get(frame.color_trc):
        yield (
            f"is HDR ({form}), and its frames are taken without tone mapping: paler than the photos that "
            f"networks are trained on. Convert it: ffmpeg -i HDR -vf {_TONE_MAPPING} SDR.mp4"
        )
    if frame.interlaced_frame:
        yield (
            "is interlaced, and what moves has combed edges in its frames: convert it with "
            "ffmpeg -vf yadif, or set the camera to progressive"
        )
    if (ratio := stream.sample_aspect_ratio) and abs(ratio - 1) > _SQUARE:
        yield (
            f"has pixels of {ratio.numerator}:{ratio.denominator}, width to height, and its frames are taken "
            "as they are stored, as of square ones: convert it with ffmpeg -vf scale=iw*sar:ih,setsar=1"
        )
    if any(part.is_alpha for part in frame.format.components):
        yield "has transparency: it is dropped, and what lies beneath is shown"
