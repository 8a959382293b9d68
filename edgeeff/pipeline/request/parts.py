"""The parts of a request, and every option of a build: each is declared here and nowhere else.

To add an option: one field with its :func:`option`, and ``make options``, which writes what is made from the
declarations (the types of the Python keywords, the tables of docs/options.md). The first words of a part's
docstring, up to the colon, are the title of its group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeeff.pipeline.request.declaring import Option, Part, declared, option
from edgeeff.pipeline.request.held import Held
from edgeeff.pipeline.request.kinds import (
    BATCH,
    CHANNELS,
    CHECKPOINT,
    FILE_OR_NAME,
    FLAG,
    FRAME,
    IMAGES,
    LABELS,
    LETTERBOX,
    MAYBE,
    MEASURE,
    NAMES,
    NUMBER,
    PATH,
    RATIOS,
    SIZE,
    TAPS,
    TARGETS,
    WHOLE,
    WORD,
)

if TYPE_CHECKING:
    from edgeeff.target import Target

#: The verbs that have an option: :func:`option`'s own are build and diagnose.
BUILD = ("build",)
EMIT = ("build", "emit")
ALL = ("build", "diagnose", "emit")


@dataclass(frozen=True)
class Source(Part):
    """Network: where it comes from, and what its source leaves open."""

    model: str | None = option(
        WORD,
        "A network of `edgeeff models`, by our name or another library's. Default: the checkpoint says it.",
        example="b0",
        short="-m",
    )
    checkpoint: str | Held | None = option(
        CHECKPOINT,
        "Trained weights: a file (.pt .safetensors .h5 .keras …) or a folder, a .onnx, or module:callable.",
        example="best.pt",
    )
    weights: str | None = option(
        WORD,
        "Instead of --checkpoint: imagenet, or a repository of the Hugging Face hub. Default: ImageNet's, "
        "those of an installed package first.",
        example="imagenet",
    )
    trust_checkpoint: bool = option(
        FLAG,
        "Run a checkpoint that is code: TorchScript, torch.export, module:callable.",
        default=False,
    )
    prefix: str | None = option(
        WORD,
        "Of a checkpoint with several networks, take the tensors whose names begin so.",
        example="student",
    )
    head: str | None = option(
        WORD,
        "What the head computes, where no name says it: linear,bn,relu,linear or fc2:linear.",
        example="linear,bn,relu,linear",
    )
    channels: str | None = option(
        WORD,
        "Order in which the network takes three colours, and in which mean and std are given: rgb, or bgr "
        "(OpenCV's). A bundle always takes RGB. Default: rgb.",
        example="rgb",
        verbs=EMIT,
    )
    padding: str | None = option(
        WORD,
        "same (TensorFlow's), symmetric, static:SIZE (SAME as for images of SIZE, whatever the input) or "
        "edgetpu (the authors'). Default: that of the checkpoint's origin.",
        example="same",
    )
    bn_epsilon: float | None = option(
        NUMBER,
        "Epsilon of batch normalisation. Default: that of the checkpoint's origin.",
        example=1e-3,
    )
    origin: str | None = option(
        WORD,
        "Whose detector it computes as, where its tensors have another library's names: effdet, automl, "
        "zylo117 or xuannianz (padding, epsilon, anchors, letterbox). Default: whose names they are.",
        example="effdet",
    )


@dataclass(frozen=True)
class Output(Part):
    """Bundles: what is built, for which targets, and where it goes."""

    targets: tuple[str | Target, ...] = option(
        TARGETS,
        "A target of `edgeeff targets`, or a TOML file of your own. On the command line repeatable.",
        default=(),
        example=["cpu-int8"],
        flag="--target",
        short="-t",
        shown="<str>",
    )
    output: Path = option(
        PATH,
        "Folder that bundles are written to; a bundle is its NAME-TARGET.",
        default=Path("dist"),
        short="-o",
        verbs=EMIT,
    )
    name: str | None = option(WORD, "Name of the bundles. Default: the model's.", example="doors", verbs=EMIT)
    io: str | None = option(
        WORD,
        "What the artifact takes: float32, uint8 or int8 values of RGB; or a camera's frames, uint8: nv12 "
        "(two planes), bgr, or rgb. Default: the target's type, RGB.",
        example="uint8",
    )
    resize_in_model: tuple[int, int] | None = option(
        FRAME,
        "Frames of this size, width x height, go into the artifact, which resizes and crops them itself. "
        "Default: it takes images of the network's size.",
        example="1280x720",
    )
    yuv: str | None = option(
        WORD,
        "Matrix and range of NV12: bt601 or bt709, with -full behind it where Y is 0 to 255. Default: bt601.",
        example="bt709",
    )
    batch: int | str | None = option(
        BATCH,
        "Images in one run of the artifact: a number; dynamic for 1 to 8, dynamic:16 for 1 to 16. "
        "Default: 1; for emit the graph's own.",
        example=4,
        verbs=EMIT,
    )
    arena: str | None = option(
        WORD,
        "Of a microcontroller's target: the memory that its interpreter may take at most: 512K, 2M. What "
        "takes more is refused. Default: no limit; what it takes is measured.",
        example="512K",
        verbs=BUILD,
    )
    golden: int = option(
        WHOLE,
        "How many golden inputs a bundle carries; as many as a run takes, if those are more.",
        default=8,
        least=0,
        verbs=EMIT,
    )


@dataclass(frozen=True)
class Images(Part):
    """Images: what calibrates, and what the result is judged by."""

    calibration: Path | Held | None = option(
        IMAGES,
        "Images of your domain, without labels: a folder, a list file, an .npz or a recipe .toml. Default: "
        "photos of installed packages, with a warning.",
        example="photos/",
    )
    validation: Path | Held | None = option(
        IMAGES,
        "Images to judge by. Default: every fifth calibration image is held out.",
        example="held-out/",
    )
    count: int | None = option(
        WHOLE,
        "How many images to use at most, a fifth of them to judge by. Default: 256, or the recipe's.",
        example=256,
        least=1,
    )
    seed: int | None = option(WHOLE, "Seed of the choice of images. Default: 0, or the recipe's.", example=0)
    force_calibration: bool = option(
        FLAG, "Calibrate even with images that are mostly blank or noise.", default=False
    )


@dataclass(frozen=True)
class Preprocessing(Part):
    """Preprocessing: how images were prepared in training, where the checkpoint's origin is not right."""

    size: tuple[int, int] | None = option(
        SIZE,
        "Input size in pixels: 224, or 192x256 (height x width). Default: the model's own.",
        example="192x256",
    )
    mean: tuple[float, ...] | None = option(
        CHANNELS,
        "Mean of each RGB channel on pixels of 0…255, or one value for all: 127 or 124,116,104. Default: "
        "the model's own.",
        example=[124, 116, 104],
        verbs=ALL,
    )
    std: tuple[float, ...] | None = option(
        CHANNELS,
        "Standard deviation of each RGB channel on pixels of 0…255, or one for all: 128 or 58,57,57. "
        "Default: the model's own.",
        example=[58, 57, 57],
        verbs=ALL,
    )
    crop: float | None = option(
        NUMBER,
        "Share of the resized photo that the centre crop keeps, 0.1 to 1. Default: that of the "
        "checkpoint's origin.",
        example=0.875,
    )
    interpolation: str | None = option(
        WORD,
        "Filter of the resize: bicubic or bilinear. Default: that of the checkpoint's origin.",
        example="bicubic",
    )
    squash: bool | None = option(
        MAYBE,
        "Whether the resize may change a photo's ratio of sides. Default: that of the checkpoint's origin.",
        example=False,
        off="--keep-ratio",
    )
    letterbox: tuple[float, ...] | None = option(
        LETTERBOX,
        "Keep a photo's ratio of sides, put it at the top left and fill the rest with this colour, on "
        "channels of 0…255: 127 or 124,116,104; none squashes the photo. Default: what a detector's origin "
        "does, and none for other networks.",
        example=[124, 116, 104],
        verbs=ALL,
    )
    exif: bool | None = option(
        MAYBE,
        "Turn photos as their EXIF orientation says. Default: no, as in timm, torchvision and Keras.",
        example=False,
        off="--no-exif",
    )
    white: float | None = option(
        NUMBER,
        "Value that is white in 16-bit, 32-bit or float images: 4095, 65535, 1. Default: what the file "
        "declares, else a guess with a warning.",
        example=4095,
    )


@dataclass(frozen=True)
class Meaning(Part):
    """Outputs: what they mean and what they are called."""

    task: str | None = option(
        WORD,
        "classification (one class an image), multilabel (any number of labels, each by its sigmoid), "
        "features (--taps), or detection (boxes). Default: what the network says; one logit is multilabel.",
        example="classification",
        verbs=ALL,
    )
    taps: tuple[str, ...] | None = option(
        TAPS,
        "Features that are put out instead of logits: strides of maps (4, 8, 16, 32) and embedding, the "
        "pooled vector; of an ONNX file names of its tensors. A vector with :l2 behind it (embedding:l2) is "
        "divided by its length. Default: with --task features the file's outputs.",
        example="8,16,32",
    )
    labels: Path | str | Sequence[str] | Mapping[Any, Any] | None = option(
        LABELS,
        "Names of the classes: a text (one a line), CSV or JSON file, imagenet, or coco (80 names, or 90 "
        "with the gaps of COCO's numbers). Default: the checkpoint's.",
        example="labels.txt",
        verbs=EMIT,
    )
    threshold: float | None = option(
        NUMBER,
        "Of a label's probability, for multilabel, or of a box's score, for detection: what is there. "
        "Default: 0.5, and 0.3 for boxes.",
        example=0.5,
        verbs=EMIT,
    )
    softmax: bool = option(
        FLAG, "End in probabilities instead of logits, by softmax.", default=False, verbs=BUILD
    )
    probabilities: bool = option(
        FLAG,
        "End in probabilities by softmax, or by sigmoid where the task is multilabel.",
        default=False,
        verbs=BUILD,
    )


@dataclass(frozen=True)
class Detector(Part):
    """Detection: which boxes are kept, who makes them, and where a detector's anchors lie."""

    nms: str | None = option(
        WORD,
        "Who turns the network's values into boxes: runtime (the artifact gives boxes) or host (it gives "
        "values for each anchor, and edgeeff or your product decodes them). Default: the runtime where it "
        "can.",
        example="host",
        verbs=EMIT,
    )
    score: float | None = option(
        NUMBER,
        "Boxes of a lower score are dropped; mean average precision wants it low. What is shown goes by "
        "--threshold. Default: 0.01.",
        example=0.01,
        verbs=EMIT,
    )
    iou: float | None = option(
        NUMBER,
        "A box that overlaps a better one by a larger intersection over union is dropped. Default: 0.5.",
        example=0.5,
        verbs=EMIT,
    )
    max_boxes: int | None = option(
        WHOLE, "Boxes of an image at most. Default: 100.", example=100, least=1, verbs=EMIT
    )
    nms_across: bool = option(
        FLAG, "Boxes of all classes drop one another, not only those of one class.", default=False, verbs=EMIT
    )
    anchor_scale: float | None = option(
        NUMBER,
        "Of the smallest anchor the side, in strides of its level. Default: the network's own, mostly 4.",
        example=4.0,
        verbs=ALL,
    )
    anchor_ratios: tuple[tuple[float, float], ...] | None = option(
        RATIOS,
        "Shapes of anchors as width:height, relative to a square's side. Default: those of the "
        "checkpoint's origin.",
        example="1:1,1.4:0.7,0.7:1.4",
        verbs=ALL,
    )


@dataclass(frozen=True)
class Quantise(Part):
    """Quantisation: how much is done for fidelity, and what may stay float."""

    effort: str = option(
        FILE_OR_NAME,
        "Recipe of quantisation: fast, balanced, max, or a TOML file of your own.",
        default="balanced",
    )
    ranges: str | None = option(
        WORD,
        "How activation ranges are chosen, instead of the recipe's way: minmax, percentile, mse, weighted or "
        "entropy.",
        example="mse",
    )
    plan: Path | None = option(
        PATH,
        "Ranges that another tool chose: AIMET encodings, a TensorRT calibration cache, or a Q/DQ .onnx.",
        example="ranges.encodings",
    )
    keep_float: tuple[str, ...] = option(
        NAMES,
        "Layers that stay float: names, their beginnings up to a dot, or patterns: stem*,blocks.0.",
        default=(),
        example=["stem*", "blocks.0"],
    )
    min_sqnr: float | None = option(
        NUMBER,
        "Keep the cheapest layers float that bring the logits to so many dB.",
        example=26,
        verbs=BUILD,
    )
    max_drop: float | str | None = option(
        MEASURE,
        "Keep the cheapest layers float that lose at most so many points of top-1: 0.3pt; of a detector "
        "0.3mAP, of a segmenter 0.3mIoU. Needs labelled images, boxes or masks.",
        example="0.3pt",
        verbs=BUILD,
    )
    max_latency_cost: float | str | None = option(
        MEASURE, "The latency that float layers may add at most: 3%.", example="3%", verbs=BUILD
    )
    cpu_class: str = option(
        WORD,
        "CPU to plan for: auto (this machine's), avx2, vnni, bf16 or arm. avx2 keeps weights to seven bits.",
        default="auto",
    )
    tuning: Path | None = option(
        PATH,
        "Variants that --autotune, here or on a device, found to be the fastest.",
        example="b0-tuning.json",
        verbs=BUILD,
    )
    autotune: bool = option(
        FLAG,
        "Time the targets' variants on this machine, take the fastest, and write OUTPUT/NAME-tuning.json; a "
        "TensorRT bundle carries its variants, for its device to choose.",
        default=False,
        verbs=BUILD,
    )


@dataclass(frozen=True)
class Training(Part):
    """Training: the quantised network learned from the float one, on images of its own."""

    train: Path | Held | None = option(
        IMAGES,
        "Train the quantised network on these images, labels or none: whatever --calibration takes, the more "
        "the better. Stops when --min-sqnr or --max-drop is met.",
        example="photos/",
        verbs=BUILD,
    )
    minutes: float | None = option(
        NUMBER,
        "Train so many minutes at most, by the clock; --train-steps repeats what came of it. Default: 2000 "
        "steps, or up to 20000 until a budget is met.",
        example=20,
        verbs=BUILD,
    )
    train_steps: int | None = option(
        WHOLE, "Train so many steps, of 8 images each.", example=2000, least=1, verbs=BUILD
    )
    train_loss: str | None = option(
        WORD,
        "mse of the outputs, or kl of a classifier's probabilities at a temperature: kl:2. Default: mse.",
        example="kl:2",
        verbs=BUILD,
    )
    train_labels: float | None = option(
        NUMBER,
        "How much the cross-entropy with known classes counts beside that. Default: 0.",
        example=0.01,
        verbs=BUILD,
    )
    train_device: str | None = option(
        WORD,
        "What trains: cpu, or cuda. Default: cuda where torch has it.",
        example="cpu",
        verbs=BUILD,
    )


@dataclass(frozen=True)
class Run:
    """Run: what the command line does beside the build; no part of a request."""

    board: str | None = option(
        FILE_OR_NAME,
        "An NVIDIA board to build engines for: orin-nano, agx-orin, thor …, or a TOML file of your own.",
        example="orin-nano",
        verbs=BUILD,
        python=False,
    )
    report: Path | None = option(
        PATH,
        "Also write an HTML report to this file: fidelity, and latency, measured here in a few seconds.",
        example="report.html",
        verbs=BUILD,
        python=False,
    )
    strict: bool = option(
        FLAG, "Exit with status 1 if there was a warning.", default=False, verbs=EMIT, python=False
    )


#: What the networks of two options are: of two such options only one may be given.
INSTEAD = (("checkpoint", "weights"), ("tuning", "autotune"), ("minutes", "train_steps"))
#: Options that have a meaning only where another one has this value: a file's goes where the command line
#: gives the other one another value.
ONLY_WITH = (("yuv", "io", "nv12"),)

#: The parts of a request, in the order in which help and documents show them.
PARTS = (Source, Output, Images, Preprocessing, Meaning, Detector, Quantise, Training)


def options(verb: str | None = None) -> list[Option]:
    """All options that a request holds, those of one verb if it is named."""
    return [one for part in PARTS for one in declared(part, verb)]
