"""From a photo to the network's input: the one source of preprocessing.

Calibration, evaluation, golden vectors, TFLite metadata and OpenVINO model_info are all written from the
same :class:`Preprocess`, because a mean or a resize that differs between training and device costs up to
10 points of accuracy without a word (pytorch/vision#5958).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeeff import depth
from edgeeff.errors import ImageError, OptionError
from edgeeff.onboard import camera as cameras
from edgeeff.onboard import pixels as onboard
from edgeeff.onboard.camera import Camera

Pixels = npt.NDArray[np.uint8]
Interpolation = Literal["bicubic", "bilinear"]
#: One value for each channel.
Channels = tuple[float, ...]

#: What photos become for a network of so many channels: Pillow's modes.
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
#: Pixels of a side of the largest input.
LARGEST = 1 << 14
#: How they are called where a line tells what a network takes.
CHANNELS = {1: "grey", 3: "RGB", 4: "RGBA"}
#: Four channels that are no colours and transparency: none of them is weighed by another when resized.
FOUR = "CMYK"


@dataclass(frozen=True)
class Fit:
    """Where a photo's pixels lie in the network's input, and the way back.

    Args:
        size: Height and width of the input, pixels.
        box: What of the photo it shows: left, top, right and bottom, in the photo's pixels. Of a letterbox it
            reaches beyond the photo.
        photo: The photo's width and height, pixels; None: those of the box.
    """

    size: tuple[int, int]
    box: tuple[float, float, float, float]
    photo: tuple[int, int] | None = None

    def to_photo(self, points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Points [N, 2] (x, y) of the input as points of the photo."""
        scale, origin = self._scale()
        return np.asarray(points, np.float64) * scale + origin

    def to_input(self, points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Points [N, 2] (x, y) of the photo as points of the input; those outside of the box lie outside."""
        scale, origin = self._scale()
        return (np.asarray(points, np.float64) - origin) / scale

    def corners_to_photo(self, corners: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Boxes [K, 4] (left, top, right, bottom) of the input as boxes of the photo, clipped to it."""
        points = self.to_photo(np.asarray(corners, np.float64).reshape(-1, 2))
        low = (0.0, 0.0) if self.photo is not None else self.box[:2]
        return np.clip(points, low, self.photo or self.box[2:]).reshape(-1, 4).astype(np.float32)

    def corners_to_input(self, corners: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Boxes [K, 4] of the photo as boxes of the input; they may reach out of it."""
        return self.to_input(np.asarray(corners, np.float64).reshape(-1, 2)).reshape(-1, 4)

    def _scale(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        left, top, right, bottom = self.box
        height, width = self.size
        return np.array([(right - left) / width, (bottom - top) / height]), np.array([left, top])


@dataclass(frozen=True)
class Preprocess:
    """How a network wants its images.

    The photo is resized to cover ``size / crop`` (or, with ``squash``, to be just that, whatever its ratio of
    sides), the centre ``size`` is cut out, and each channel becomes ``(x - mean) / std``. An image that
    already has the network's size is taken whole. With ``letterbox`` nothing is cut off and the ratio of
    sides is kept: the photo is resized until it just fits, put at the top left, and the rest is filled with
    a colour. Channels are R, G, B; grey for a network of one; R, G, B and transparency for one of four.

    Args:
        size: Height and width of the network's input, pixels.
        mean: Per channel, on pixels of 0…255; their number is that of the network's input channels.
        std: Per channel, on the same scale.
        crop: Fraction of the resized photo that the centre crop keeps, 0…1.
        interpolation: Filter of the resize (Pillow's, with antialiasing).
        squash: The sides are resized each on its own, so that nothing but ``crop`` is cut off.
        exif: Photos are turned as their EXIF orientation says. timm, torchvision and Keras do not.
        white: The value that is white in images of more than 8 bits which do not say it (:mod:`depth`).
        letterbox: The colour that fills what the photo leaves free, a value of 0…255 for each channel; None:
            no letterbox. With one, ``crop`` is 1 and nothing is squashed.
        camera: How the artifact takes its frames, where they are not RGB pixels of ``size``. With a
            ``frame`` of its own the artifact resizes and crops frames as a photo would be; one that is given
            another photo shows of it what the network would see. None: RGB pixels of ``size``.
    """

    size: tuple[int, int]
    mean: Channels
    std: Channels
    crop: float = 0.875
    interpolation: Interpolation = "bicubic"
    squash: bool = False
    exif: bool = False
    white: float | None = None
    letterbox: Channels | None = None
    camera: Camera | None = None

    @property
    def taken(self) -> tuple[int, int]:
        """Height and width of what :meth:`fit` gives and a session takes."""
        found: tuple[int, int] = (self.camera and self.camera.frame) or self.size
        return found

    @property
    def of_network(self) -> Preprocess:
        """The same from a photo to the network's own input, whatever the artifact takes."""
        return self if self.camera is None else replace(self, camera=None)

    @property
    def channels(self) -> int:
        """Of the network's input."""
        return len(self.mean)

    def coloured(self, image: Image.Image) -> Image.Image:
        """An image with 8 bits in each of the network's channels.

        Raises:
            ImageError: Which of its values is white cannot be told, or it has other channels.
        """
        image, _ = depth.eight_bits(image, self.white)
        return image.convert(MODES[self.channels])

    def fit(self, image: Image.Image) -> Pixels:
        """Resize and centre-crop a photo to uint8 [H, W, C], or make it a frame as the artifact takes it.

        Raises:
            ImageError: As :meth:`coloured`.
        """
        height, width = self.taken
        if 0 in image.size:
            raise ImageError("it has no pixels", mend="replace the image or take it out")
        # What is no file any more and has these channels has been brought to 8 bits: it is not copied again.
        loaded = type(image) is Image.Image and self.channels != 4 and image.mode == MODES[self.channels]
        if not loaded and (image.mode != FOUR or self.channels != 4):
            image = self.coloured(image)
        if self.taken != self.size and image.size != (width, height):
            return self._framed(image)
        if self.letterbox is not None and image.size != (width, height):
            image = self._boxed(image, self.letterbox)
        elif image.size != (width, height):
            # The crop is taken from the source in one resampling step, so no pixel is filtered twice.
            method = getattr(Image.Resampling, self.interpolation.upper())
            image = image.resize((width, height), method, self.place(image.size).box)
        return np.asarray(image, dtype=np.uint8).reshape(height, width, self.channels)

    def fitted(self, image: Image.Image) -> tuple[Pixels, Fit]:
        """The same, and where the photo lies in it.

        Raises:
            ImageError: As :meth:`coloured`.
        """
        return self.fit(image), self.place(image.size)

    @property
    def whole(self) -> Fit:
        """Where an image of the network's size lies."""
        return self.place((self.taken[1], self.taken[0]))

    def _framed(self, image: Image.Image) -> Pixels:
        """A photo in a frame, so that the artifact sees of it what the network would be shown of the photo.

        What of the frame the photo does not reach repeats its edge; the network sees nothing of that.
        """
        height, width = self.taken
        whole, shown = self.place(image.size).box, self.place((width, height)).box
        # Pixels of the photo in one of the frame, across and down, and where the frame begins in it.
        steps = [(whole[i + 2] - whole[i]) / (shown[i + 2] - shown[i]) for i in (0, 1)]
        begin = [whole[i] - shown[i] * steps[i] for i in (0, 1)]
        first = [max(0, math.ceil(-begin[i] / steps[i] - 1e-6)) for i in (0, 1)]
        last = [
            min(side, math.floor((image.size[i] - begin[i]) / steps[i] + 1e-6))
            for i, side in enumerate((width, height))
        ]
        box = [begin[i] + at[i] * steps[i] for at in (first, last) for i in (0, 1)]
        box = [min(max(value, 0.0), image.size[i % 2]) for i, value in enumerate(box)]
        method = getattr(Image.Resampling, self.interpolation.upper())
        reach = (box[0], box[1], box[2], box[3])
        inner = image.resize((last[0] - first[0], last[1] - first[1]), method, reach)
        around = [(first[i], side - last[i]) for i, side in enumerate((width, height))]
        return np.pad(np.asarray(inner, dtype=np.uint8), (around[1], around[0], (0, 0)), "edge")

    def _boxed(self, image: Image.Image, colour: Channels) -> Image.Image:
        """A photo in its letterbox."""
        resized = image.resize(self.inner(image.size), getattr(Image.Resampling, self.interpolation.upper()))
        values = tuple(round(value) for value in colour)
        boxed = Image.new(image.mode, self.size[::-1], values[0] if len(values) == 1 else values)
        boxed.paste(resized)
        return boxed

    def inner(self, photo: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the photo in its letterbox; rounded down as effdet and automl do."""
        scale = min(self.size[1] / photo[0], self.size[0] / photo[1])
        # A side that fits exactly must not be a pixel short because of the quotient's rounding.
        width, height = (max(math.floor(side * scale + 1e-6), 1) for side in photo)
        return width, height

    def place(self, photo: tuple[int, int]) -> Fit:
        """Which part of a photo becomes the input, and where its pixels come to lie.

        Args:
            photo: Width and height, turned as :meth:`fit` gets it.
        """
        (height, width), (photo_width, photo_height) = self.size, photo
        if photo == (width, height):
            return Fit(self.size, (0.0, 0.0, float(width), float(height)), photo)
        if self.letterbox is not None:
            inner_width, inner_height = self.inner(photo)
            # What shows in one pixel of the input, across and down, and so all of it.
            shown = width * photo_width / inner_width, height * photo_height / inner_height
            return Fit(self.size, (0.0, 0.0, *shown), photo)
        across, down = width / self.crop / photo_width, height / self.crop / photo_height
        if not self.squash:
            across = down = max(across, down)
        box_width, box_height = width / across, height / down
        # Where nothing is cut off, rounding must not put the box a hair outside: Pillow refuses.
        left, top = max((photo_width - box_width) / 2, 0.0), max((photo_height - box_height) / 2, 0.0)
        right, bottom = min(left + box_width, photo_width), min(top + box_height, photo_height)
        return Fit(self.size, (left, top, right, bottom), photo)

    def normalise(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Raw pixels uint8 [N, H, W, C] to the float input [N, C, H, W]."""
        return np.ascontiguousarray(self.normalise_channels_last(pixels).transpose(0, 3, 1, 2))

    def normalise_channels_last(
        self, pixels: Pixels, out: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """The same values as [N, H, W, C].

        Args:
            pixels: Raw, uint8 [N, H, W, C].
            out: Written into and returned, contiguous; None: a new array.
        """
        found: npt.NDArray[np.float32] = onboard.normalised(pixels, self.mean, self.std, out)
        return found

    @staticmethod
    def raw(pixels: Pixels) -> npt.NDArray[np.float32]:
        """Raw pixels uint8 [N, H, W, C] as the input of a graph that normalises itself, [N, C, H, W]."""
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).astype(np.float32))

    def with_white(self, white: float | None) -> Preprocess:
        """The same with another white; None leaves it.

        Raises:
            OptionError: No image has such a value.
        """
        if white is not None and not 0 < white < 2**32:
            raise OptionError(
                f"--white {white:g}", mend="give the value that is white, such as 4095 or 65535"
            )
        return self if white is None else replace(self, white=white)

    def resized(self, size: tuple[int, int] | None) -> Preprocess:
        """The same for another ``size`` (height, width); None leaves it.

        The border that the crop cuts off keeps its pixels: 32 of 256 become 32 of 416, as the networks'
        authors do when they scale a resolution.
        """
        if size is None or size == self.size:
            return self
        border = min(self.size) / self.crop - min(self.size)
        return replace(self, size=size, crop=min(size) / (min(size) + border))

    @property
    def per_channel(self) -> bool:
        """Whether the channels differ in mean or standard deviation."""
        return len({*self.mean}) > 1 or len({*self.std}) > 1

    def with_whole_mean(self) -> Preprocess:
        """The same with a mean that a zero point can be: one of all channels is rounded down.

        Means that differ from channel to channel are left as they are.
        """
        if len({*self.mean}) > 1:
            return self
        return replace(self, mean=(float(math.floor(self.mean[0])),) * self.channels)

    def unnormalised(self) -> Preprocess:
        """The same photo, and its pixels as they are: mean 0, standard deviation 1."""
        return replace(self, mean=(0.0,) * self.channels, std=(1.0,) * self.channels)

    @property
    def is_unnormalised(self) -> bool:
        """Whether pixels stay as they are."""
        return {*self.mean} == {0.0} and {*self.std} == {1.0}

    def to_json(self) -> dict[str, Any]:
        """As plain data, for a manifest."""
        found = {k: v for k, v in asdict(self).items() if k not in ("letterbox", "camera") or v is not None}
        if self.camera is not None:
            found["camera"] = {k: v for k, v in self.camera._asdict().items() if v is not None}
        return found

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Preprocess:
        """The reverse of :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError: The data is no such thing.
        """
        height, width = data["size"]
        if any(type(side) is not int or not 0 < side <= LARGEST for side in (height, width)):
            raise ValueError(f"size {data['size']!r:.80}")
        mean, std = (tuple(map(_number, data[key])) for key in ("mean", "std"))
        if len(mean) not in MODES or len(mean) != len(std) or min(std) <= 0:
            raise ValueError(f"mean {mean} and std {std}")
        crop = _number(data["crop"])
        if not 0 < crop <= 1:
            raise ValueError(f"crop {crop}")
        if data["interpolation"] not in get_args(Interpolation):
            raise ValueError(f"interpolation {data['interpolation']!r}")
        white, letterbox = data.get("white"), _colour(data.get("letterbox"), len(mean))
        if letterbox is not None and (crop != 1 or data.get("squash", False)):
            raise ValueError(f"letterbox {letterbox} with crop {crop} and squash {data.get('squash')!r:.20}")
        camera = _camera(data.get("camera"), (height, width), len(mean))
        if camera is not None and camera.frame is not None and letterbox is not None:
            raise ValueError(f"a letterbox with frames of {camera.frame}")
        return cls(
            size=(height, width),
            mean=mean,
            std=std,
            crop=crop,
            interpolation=data["interpolation"],
            squash=bool(data.get("squash", False)),
            exif=bool(data.get("exif", False)),
            white=None if white is None else _positive(white),
            letterbox=letterbox,
            camera=camera,
        )


def described(preprocess: Preprocess) -> str:
    """What an artifact takes, as a line tells it: ``NV12 frames of 1280×720``, width first as cameras do."""
    camera, (height, width) = preprocess.camera, preprocess.taken
    if camera is None:
        return f"images of {width}×{height}"
    colours = camera.colours.upper()
    if camera.planar:
        colours += f" ({camera.matrix.upper()}, {camera.range} range)"
    return f"{colours} frames of {width}×{height}"


def converted(preprocess: Preprocess) -> str | None:
    """What photos lose before an artifact of NV12 sees them; None: nothing."""
    if preprocess.camera is None or not preprocess.camera.planar:
        return None
    return (
        f"photos become {described(preprocess)}: their colours have half the resolution then, as a camera's"
    )


def _number(value: object) -> float:
    """A number as it stands in JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise ValueError(f"{value!r:.80} is no number that pixels can have")
    return float(value)


def _camera(value: object, size: tuple[int, int], channels: int) -> Camera | None:
    """How frames come."""
    if value is None:
        return None
    if not isinstance(value, dict) or channels != 3:
        raise ValueError(f"camera {value!r:.80} for {channels} channels")
    frame = value.get("frame")
    if frame is not None:
        if not isinstance(frame, list | tuple) or len(frame) != 2:
            raise ValueError(f"frame {frame!r:.80}")
        if any(type(side) is not int or not 0 < side <= LARGEST for side in frame):
            raise ValueError(f"frame {frame!r:.80}")
        frame = (frame[0], frame[1])
    found = Camera(**{**value, "frame": frame})
    known = (cameras.COLOURS, tuple(cameras.MATRICES), cameras.RANGES)
    for said, choices in zip((found.colours, found.matrix, found.range), known, strict=True):
        if said not in choices:
            raise ValueError(f"camera {said!r:.80}")
    if found.planar and any(side % 2 for side in frame or size):
        raise ValueError(f"NV12 of {frame or size}")
    return found


def _colour(value: object, channels: int) -> Channels | None:
    """The colour of a letterbox."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != channels:
        raise ValueError(f"letterbox {value!r:.80} for {channels} channels")
    found = tuple(map(_number, value))
    if not all(0 <= each <= 255 for each in found):
        raise ValueError(f"letterbox {found}; its values are 0 to 255")
    return found


def _positive(value: object) -> float:
    if (number := _number(value)) <= 0:
        raise ValueError(f"white {number}")
    return number
