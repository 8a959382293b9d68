"""A camera's frames as an artifact is to take them, and what no artifact can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgeeff import backends
from edgeeff.batch import Batch
from edgeeff.errors import OptionError
from edgeeff.onboard.camera import COLOURS, MATRICES, RANGES, Camera
from edgeeff.pipeline.request.parts import Output
from edgeeff.preprocess import CHANNELS, Preprocess
from edgeeff.target import InputType, Target

#: What ``--yuv`` may be, by matrix and range.
_YUV = {
    f"{matrix}{'' if range_ == RANGES[0] else f'-{range_}'}": (matrix, range_)
    for matrix in MATRICES
    for range_ in RANGES
}


def resolve_frames(asked: Output) -> Camera | None:
    """How artifacts are to take frames; None: RGB of the network's size, of the target's own type.

    Raises:
        OptionError: Options that do not go together, or no such matrix.
    """
    colours = asked.io if asked.io in COLOURS else "rgb"
    if asked.resize_in_model is not None and asked.io not in (None, "uint8", *COLOURS):
        raise OptionError(
            f"--resize-in-model with --io {asked.io}",
            mend=f"frames are uint8: leave out --io, or pass one of {', '.join(COLOURS)}",
        )
    if asked.yuv is not None and colours != "nv12":
        raise OptionError("--yuv is of NV12 alone", mend="pass --io nv12 too, or leave --yuv out")
    if asked.yuv is not None and asked.yuv not in _YUV:
        raise OptionError(f"--yuv {asked.yuv!r:.80}", mend=f"choose one of {', '.join(_YUV)}")
    if colours == "rgb" and asked.resize_in_model is None:
        return None
    frame = None if asked.resize_in_model is None else asked.resize_in_model[::-1]
    return Camera(colours, frame, *_YUV[asked.yuv or "bt601"])


def taking(target: Target, camera: Camera) -> Target:
    """A target whose artifact takes frames so.

    Raises:
        OptionError: Its runtime puts nothing before the network that makes pixels of frames.
    """
    runtime = backends.runtime(target.runtime)
    if not runtime.frames:
        able = [n for n in backends.runtime_names() if backends.runtime(n).frames]
        asked = "--resize-in-model" if camera.colours == "rgb" else f"--io {camera.colours}"
        how = {
            "nv12": "convert NV12 before the artifact: DeepStream and nvvidconv do so for TensorRT, "
            "in Python edgeeff.onboard.camera.rgb_of_nv12 does",
            "bgr": "turn the channels around before the artifact (pixels[..., ::-1]; DeepStream's "
            "model-color-format does it)",
            "rgb": "resize before the artifact, as manifest.preprocess.fit does",
        }[camera.colours]
        raise OptionError(
            f"{target.name}: {asked}, and artifacts of {target.runtime} take RGB of the network's size alone",
            mend=f"{how}; or build that target on its own, without the option. {' and '.join(able)} "
            "artifacts take frames",
        )
    own: InputType = "uint8" if runtime.normalises_input else "float32"
    return replace(target, input=own, camera=camera)


def refuse_frames(targets: Sequence[Target], preprocess: Preprocess, batch: Batch) -> None:
    """Refuse frames that the network cannot be shown.

    Raises:
        OptionError: It has not three channels, a letterbox or the frame's own size; NV12 of odd sides; a
            batch that changes, where the runtime fixes every shape.
    """
    for target in targets:
        camera = target.camera
        if camera is None:
            continue
        (height, width), frame = preprocess.size, camera.frame
        if preprocess.channels != 3:
            raise OptionError(
                f"a camera's frames for a network of {CHANNELS[preprocess.channels]} images",
                mend="build without --io nv12, bgr and --resize-in-model",
            )
        if frame is not None and preprocess.letterbox is not None:
            raise OptionError(
                "--resize-in-model for a network whose photos stand in a letterbox",
                mend="leave it out, and resize frames as manifest.preprocess.fit does; or build with "
                "--letterbox none, if the network was trained on squashed photos",
            )
        if frame == preprocess.size:
            raise OptionError(
                f"--resize-in-model {width}x{height} is the network's own size", mend="leave it out"
            )
        if camera.planar and any(side % 2 for side in frame or preprocess.size):
            odd = "x".join(map(str, reversed(frame or preprocess.size)))
            raise OptionError(
                f"NV12 of {odd}, width x height: it has a value of colour for each 2×2 pixels",
                mend="choose a --resize-in-model (or a --size) of even sides",
            )
        if batch.dynamic and target.runtime == "tflite":
            raise OptionError(
                f"{target.name}: frames with --batch {batch.to_json()}", mend="build with a fixed --batch"
            )
