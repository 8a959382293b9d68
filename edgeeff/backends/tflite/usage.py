"""What a product writes to run the .tflite file without edgeeff."""

from __future__ import annotations

from collections.abc import Mapping

from edgeeff.backends import Emission
from edgeeff.backends.tflite.boxes import NAMES
from edgeeff.batch import ONE
from edgeeff.detection import RUNTIME, Detection
from edgeeff.framing import Framing
from edgeeff.preprocess import CHANNELS
from edgeeff.target import InputType
from edgeeff.tasks import EMBEDDING

_PYTHON = """\
```python
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter("model.tflite", num_threads=1)
interpreter.allocate_tensors()
source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

{image}{resize}interpreter.set_tensor(source["index"], image)
interpreter.invoke()
{result} = interpreter.get_tensor(target["index"])
{dequantise}```
"""

_MEDIAPIPE = """
## With MediaPipe Tasks

Labels and normalisation are in the file's metadata, so that MediaPipe's image classifier takes it as it is:

    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path="model.tflite"))
    with vision.ImageClassifier.create_from_options(options) as classifier:
        found = classifier.classify(image)  # a mediapipe.Image

Its scores are what the file puts out: {scores}. MediaPipe resizes a photo otherwise: it stretches the whole
of it to the input's size, bilinearly, unless a region of interest is given. For the answers of `edgeeff run`
give it an image that was resized and cropped as said above.
"""

_REFUSED = (
    "MediaPipe Tasks refuses an int8 input (it takes uint8 or float32): for MediaPipe build with --io uint8 "
    "or --io float32"
)

_COLOURS = "MediaPipe Tasks takes photos in RGB alone, and this network takes {colours}"

_ONE_IMAGE = "MediaPipe Tasks takes files of one image in a run: for MediaPipe build with --batch 1"

_EMBEDDER = """
## With MediaPipe Tasks

Normalisation and the output's name are in the file's metadata, so that MediaPipe's image embedder takes it as
it is:

    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageEmbedderOptions(base_options=BaseOptions(model_asset_path="model.tflite"))
    with vision.ImageEmbedder.create_from_options(options) as embedder:
        found = embedder.embed(image).embeddings[0].embedding  # image: a mediapipe.Image

MediaPipe resizes a photo otherwise: it stretches the whole of it to the input's size, bilinearly. For the
features of `edgeeff run` give it an image that was resized and cropped as said above.
"""

_DETECTOR = """
## With MediaPipe Tasks

Labels, normalisation and {outputs} are in the file's metadata, so that MediaPipe's object detector takes it
as it is, in Python and on Android (the file goes into the app's assets):

    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ObjectDetectorOptions(
        base_options=BaseOptions(model_asset_path="model.tflite"), score_threshold={threshold:g}
    )
    with vision.ObjectDetector.create_from_options(options) as detector:
        found = detector.detect(image)  # a mediapipe.Image

{suppression}MediaPipe stretches the whole photo to the input's size{apart}.
For the boxes of `edgeeff run` give it an image that was resized{padded} as said above.
"""

#: What a product makes of the four outputs of a file that makes boxes.
_BOXES = """\
from pathlib import Path

labels = Path("labels.txt").read_text(encoding="utf-8").split("\\n")
sides = np.float32([{sides}] * 2)  # {of} pixels
for i in range(int(found["{number}"][0])):
    score = found["{scores}"][0, i]
    if score >= {threshold:g}:
        top, left, bottom, right = np.clip(found["{corners}"][0, i] * sides, 0, {most})
        print(labels[int(found["{classes}"][0, i])], score, left, top, right, bottom)
"""

_FEATURES = """\
```python
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter("model.tflite", num_threads=1)
runner = interpreter.get_signature_runner()

{image}found = runner(input=image)
{read}```
"""

_INTEGERS = """\
for name, output in runner.get_output_details().items():
    scale, zero_point = output["quantization"]
    if scale:  # none of a float output
        found[name] = (found[name].astype(np.float32) - zero_point) * np.float32(scale)
"""

#: Of a file of open batch, whenever the number of images changes.
_RESIZE = """\
interpreter.resize_tensor_input(source["index"], image.shape, strict=True)
interpreter.allocate_tensors()
"""

_DEQUANTISE = """\
scale, zero_point = target["quantization"]
{result} = ({result}.astype(np.float32) - zero_point) * np.float32(scale)
"""


def channels_first(input_type: InputType) -> bool:
    """TFLite's tensors are NHWC."""
    del input_type
    return False


def text(emission: Emission, image: str) -> str:
    """Markdown: the lines in Python.

    Args:
        emission: What the artifact was written from.
        image: Lines of Python that make the input, ``image``.
    """
    if emission.detection is not None:
        return _detector(emission, emission.detection, image)
    if not emission.meaning.decides or emission.meaning.by_pixel:
        text = f"{_own_choice(emission)}{_FEATURES.format(image=image, read=_read(emission))}"
        return text + (_EMBEDDER if _embeds(emission) else "")
    result = "probabilities" if emission.softmax else "logits"
    resize = _RESIZE if emission.batch.dynamic else ""
    dequantise = "" if emission.target.input == "float32" else _DEQUANTISE.format(result=result)
    return (
        _own_choice(emission)
        + _PYTHON.format(image=image, resize=resize, result=result, dequantise=dequantise)
        + "".join(f"\n{sentence}.\n" for sentence in cautions(emission))
        + ("" if cautions(emission) else _mediapipe(emission))
    )


_FRAMES = """\
```python
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter("model.tflite", num_threads=1)
runner = interpreter.get_signature_runner()

{zeros}found = runner({named})
{read}```

MediaPipe Tasks gives a model images of RGB at the network's own size: for MediaPipe build without
`--io nv12`, `bgr` and `--resize-in-model`.
"""


def frames(emission: Emission, made: Framing) -> str:
    """Markdown: the lines in Python where the artifact takes a camera's frames."""
    shapes = {plane.name: (emission.batch.example, *plane.shape) for plane in made.planes}
    zeros = "".join(f"{name} = np.zeros({shape}, np.uint8)\n" for name, shape in shapes.items())
    if emission.meaning.decides and not emission.meaning.by_pixel and emission.detection is None:
        read = f"{'probabilities' if emission.softmax else 'logits'} = next(iter(found.values()))\n"
    else:
        read = (
            _read(emission)
            if emission.detection is None
            else "print({k: v.shape for k, v in found.items()})\n"
        )
    named = ", ".join(f"{name}={name}" for name in shapes)
    return _own_choice(emission) + _FRAMES.format(zeros=zeros, named=named, read=read)


def _read(emission: Emission) -> str:
    """Lines that read the outputs by their names, as float32."""
    read = "".join(f'{output.name} = found["{output.name}"]\n' for output in emission.outputs)
    return read if emission.target.input == "float32" else _INTEGERS + read


def _detector(emission: Emission, detection: Detection, image: str) -> str:
    """Boxes that the file makes are printed; scores and codes of anchors are read."""
    height, width = emission.preprocess.size
    corners, classes, scores, number = NAMES
    sides, of, most = f"{height}, {width}", "the input's", f"[{height}, {width}] * 2"
    if "shown" in image:  # the photo lies in a part of the input
        sides = f"photo.height * {height} / shown.height, photo.width * {width} / shown.width"
        of, most = "the photo's", "[photo.height, photo.width] * 2"
    read = _read(emission)
    if detection.where == RUNTIME:
        read = _BOXES.format(
            **{"number": number, "scores": scores, "corners": corners, "classes": classes},
            threshold=emission.threshold,
            sides=sides,
            of=of,
            most=most,
        )
    return (
        _own_choice(emission)
        + _FEATURES.format(image=image, read=read)
        + "".join(f"\n{sentence}.\n" for sentence in cautions(emission))
        + ("" if cautions(emission) else _object_detector(emission, detection))
    )


def _object_detector(emission: Emission, detection: Detection) -> str:
    """What MediaPipe makes of the file."""
    made = detection.where == RUNTIME
    boxed = emission.preprocess.letterbox is not None
    suppression = (
        "MediaPipe makes the boxes itself, by the anchors in the metadata: boxes of all classes drop\n"
        "one another. "
    )
    return _DETECTOR.format(
        outputs="the meaning of the outputs" if made else "the anchors",
        threshold=emission.threshold,
        suppression="" if made else suppression,
        apart=", and this network knows photos whose ratio of sides is kept" if boxed else "",
        padded=" and padded" if boxed else "",
    )


def boxes(emission: Emission) -> str:
    """One sentence: what an artifact that makes boxes gives."""
    most = 0 if emission.detection is None else emission.detection.nms.max_boxes
    corners, classes, scores, number = NAMES
    return (
        f"`{corners}` [1, {most}, 4], each top, left, bottom and right as shares of the input's height and "
        f"width; `{classes}` and `{scores}` [1, {most}]; `{number}` [1]: behind so many boxes stands nothing."
    )


def _own_choice(emission: Emission) -> str:
    return (
        f"XNNPACK is the interpreter's own choice: {lost(emission.target.runtime_properties)} "
        "Threads are the product's to choose: `num_threads`, else one.\n\n"
    )


def cautions(emission: Emission) -> tuple[str, ...]:
    """What whoever builds this must know beforehand, a sentence each."""
    if (
        not emission.meaning.decides or emission.meaning.by_pixel
    ):  # who wants features seldom wants them from MediaPipe
        return ()
    if emission.preprocess.camera is not None:  # frames are not for MediaPipe: the README says so
        return ()
    return _refusals(emission)


def _refusals(emission: Emission) -> tuple[str, ...]:
    """Why MediaPipe would not take the file."""
    channels = emission.preprocess.channels
    input_type = (_REFUSED,) if emission.target.input == "int8" else ()
    # A file of open batch says 1 until someone resizes it, and MediaPipe does not.
    batch = () if emission.batch == ONE or emission.batch.dynamic else (_ONE_IMAGE,)
    colours = () if channels == 3 else (_COLOURS.format(colours=CHANNELS[channels]),)
    return (*input_type, *batch, *colours)


def _embeds(emission: Emission) -> bool:
    """Whether MediaPipe's image embedder takes the file: it knows one vector, of one photo."""
    one = [output.meaning for output in emission.outputs] == [EMBEDDING]
    return one and emission.preprocess.camera is None and not _refusals(emission)


def _mediapipe(emission: Emission) -> str:
    option = "--softmax" if emission.meaning.exclusive else "--probabilities"
    scores = (
        "probabilities"
        if emission.softmax
        else f"logits, where its `score_threshold` and scores want probabilities (build with `{option}`)"
    )
    return _MEDIAPIPE.format(scores=scores)


def lost(properties: Mapping[str, str]) -> str:
    """One sentence: what becomes of the artifact where it is run in another way than the runner's."""
    if properties.get("delegate") == "none":
        return "the figures of this bundle are those of the builtin kernels; with XNNPACK it is faster."
    return "nothing is to be set; without XNNPACK (BUILTIN_WITHOUT_DEFAULT_DELEGATES) it is slower."
