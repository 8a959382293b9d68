"""A frame of GStreamer as a photo of Pillow.

GStreamer's own conversion to RGB (videoconvert 1.22) is off by one step of 255 in the mean, and its fast
inverse DCT of JPEG by half a step more: together enough to change the best class of one photo in 25. So
frames are taken as the decoder gives them, in planes, and Pillow makes RGB of them: chroma is interpolated
as libjpeg does it, and the matrix is computed in float.
"""

from typing import Any

import gi

gi.require_version("GstVideo", "1.0")
from gi.repository import GstVideo  # noqa: E402
from PIL import Image  # noqa: E402

#: What the decoder's frames may be brought into, without a loss: planes of Y, Cb and Cr, of grey, or RGB.
FORMATS = "{ (string)I420, (string)Y42B, (string)Y444, (string)GRAY8, (string)RGB }"
#: Kr and Kb of a matrix; others, and none said, are those of photos and of video of standard definition.
_WEIGHTS = {
    GstVideo.VideoColorMatrix.BT709: (0.2126, 0.0722),
    GstVideo.VideoColorMatrix.BT2020: (0.2627, 0.0593),
    GstVideo.VideoColorMatrix.SMPTE240M: (0.212, 0.087),
}


def accurate(_pipeline: Any, _bin: Any, element: Any) -> None:
    """For ``deep-element-added``: decoders of JPEG take the accurate inverse DCT, as Pillow does."""
    if element.find_property("idct-method") is not None:
        element.set_property("idct-method", 0)


def photo(sample: Any) -> Image.Image:
    """A sample as an RGB or grey image."""
    info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
    buffer = sample.get_buffer()
    content = buffer.extract_dup(0, buffer.get_size())
    meta = GstVideo.buffer_get_video_meta(buffer)  # says where rows lie, if not as the format says
    offsets, strides = (meta.offset, meta.stride) if meta else (info.offset, info.stride)

    def plane(number: int, width: int, height: int, mode: str = "L") -> Image.Image:
        start, stride = offsets[number], strides[number]
        return Image.frombuffer(
            mode, (width, height), content[start : start + stride * height], "raw", mode, stride, 1
        )

    size, name = (info.width, info.height), info.finfo.name
    if name == "RGB":
        return plane(0, *size, "RGB").copy()
    if name == "GRAY8":
        return plane(0, *size)
    across, down = {"I420": (2, 2), "Y42B": (2, 1), "Y444": (1, 1)}[name]
    chroma = -(-info.width // across), -(-info.height // down)
    whole = chroma[0] * across, chroma[1] * down
    parts = [plane(0, *size)]
    for number in (1, 2):
        small = plane(number, *chroma)
        parts.append(
            small.resize(whole, Image.Resampling.BILINEAR).crop((0, 0, *size))
            if small.size != size
            else small
        )
    return Image.merge("YCbCr", parts).convert("RGB", matrix(info.colorimetry))


def matrix(colorimetry: Any) -> tuple[float, ...]:
    """From Y, Cb and Cr of 0...255 to R, G and B: three rows of three factors and an offset."""
    red, blue = _WEIGHTS.get(colorimetry.matrix, (0.299, 0.114))
    whole = int(colorimetry.range) == 1  # GST_VIDEO_COLOR_RANGE_0_255
    light, colour, black = (1, 1, 0) if whole else (255 / 219, 255 / 224, 16)
    green = 1 - red - blue
    rows = (
        (0, 2 * (1 - red) * colour),
        (-2 * (1 - blue) * blue / green * colour, -2 * (1 - red) * red / green * colour),
        (2 * (1 - blue) * colour, 0),
    )
    return tuple(value for cb, cr in rows for value in (light, cb, cr, -light * black - 128 * (cb + cr)))
