"""Options that several verbs share: of the network, its images and its recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer


def at_least(least: int) -> Callable[[int | None], int | None]:
    """A callback that refuses smaller numbers.

    Where a verb has many options, typer's own ``min=`` makes the column of types so wide that at 80 columns
    the options' names are cut.
    """

    def check(value: int | None) -> int | None:
        if value is not None and value < least:
            raise typer.BadParameter(f"{value} is less than {least}.")
        return value

    return check


Model = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A network of `edgeeff models`. Default: the checkpoint says it."),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(help="Trained weights (.pt .safetensors .h5 .keras …), a .onnx, or module:callable."),
]
Weights = Annotated[
    str | None,
    typer.Option(help="Instead of --checkpoint: imagenet, or a repository of the Hugging Face hub."),
]
Calibration = Annotated[
    Path | None, typer.Option(help="Images of your domain: folder, list file, .npz or recipe .toml.")
]
Validation = Annotated[
    Path | None, typer.Option(help="Images to judge by. Default: a fifth of the calibration images.")
]
Size = Annotated[str | None, typer.Option(help="Input size, 224 or 192x256 (height x width).")]
Mean = Annotated[
    str | None,
    typer.Option(help="Of the training, on pixels 0…255, if not the model's own: 127 or 124,116,104."),
]
Std = Annotated[str | None, typer.Option(help="Likewise: 128 or 58,57,57.")]
Crop = Annotated[float | None, typer.Option(help="Share of the resized photo that the centre crop keeps.")]
Interpolation = Annotated[str | None, typer.Option(help="Of the resize: bicubic or bilinear.")]
Squash = Annotated[
    bool | None, typer.Option("--squash/--keep-ratio", help="Whether the resize may change the ratio.")
]
Exif = Annotated[
    bool | None,
    typer.Option("--exif/--no-exif", help="Turn photos as their EXIF orientation says. Default: no."),
]
White = Annotated[
    float | None,
    typer.Option(help="Value that is white in 16-bit, 32-bit or float images: 4095, 65535, 1."),
]
Channels = Annotated[
    str | None,
    typer.Option(help="Order in which the network takes colours: rgb, or bgr (OpenCV's). Default: rgb."),
]
Padding = Annotated[
    str | None,
    typer.Option(
        help="same (TensorFlow's), symmetric, static:SIZE (SAME as for images of SIZE, whatever the input) "
        "or edgetpu (the authors'). Default: the checkpoint's origin's."
    ),
]
BnEpsilon = Annotated[float | None, typer.Option(help="Of batch normalisation. Default: likewise.")]
Prefix = Annotated[
    str | None,
    typer.Option(
        help="Take what lies under this name in the checkpoint alone, of several networks: student."
    ),
]
Head = Annotated[
    str | None,
    typer.Option(help="What the head computes, if no name says it: linear,bn,linear or fc2:linear."),
]
TrustCheckpoint = Annotated[
    bool,
    typer.Option(
        "--trust-checkpoint",
        help="Run a checkpoint that is code: TorchScript, torch.export, module:callable.",
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        help="classification, or multilabel (sigmoid). Default: the network's; one logit: multilabel."
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(help="Names of the classes: a text (one a line), CSV or JSON file, or imagenet."),
]
Io = Annotated[str | None, typer.Option(help="Input type: float32, uint8 or int8. Default: the target's.")]
Count = Annotated[
    int | None,
    typer.Option(
        callback=at_least(1), help="Images to use at most, a fifth of them to judge by. Default: 256."
    ),
]
Seed = Annotated[int | None, typer.Option(help="Of the choice of calibration images.")]
Effort = Annotated[
    str, typer.Option(help="Recipe of quantisation: fast, balanced, max, or a TOML file of your own.")
]
Ranges = Annotated[
    str | None,
    typer.Option(help="Instead of the recipe's: minmax, percentile, mse, weighted or entropy."),
]
KeepFloat = Annotated[
    str | None, typer.Option(help="Layers that stay float, by name or pattern: stem*,blocks.0.")
]
Plan = Annotated[
    Path | None,
    typer.Option(help="Ranges of another tool: AIMET encodings, a TensorRT cache, or a Q/DQ .onnx."),
]
CpuClass = Annotated[str, typer.Option(help="auto, avx2, vnni, bf16 or arm.")]
ForceCalibration = Annotated[
    bool,
    typer.Option("--force-calibration", help="Calibrate even with images that are mostly blank or noise."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with status 1 if there was a warning.")]
Board = Annotated[
    str | None,
    typer.Option(help="An NVIDIA board: orin-nano, agx-orin, thor …, or a TOML file of your own."),
]
