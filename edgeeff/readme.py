"""The README of a bundle: how to run it, and what a product that goes without edgeeff has to write."""

from __future__ import annotations

from dataclasses import replace

from edgeeff import backends
from edgeeff.backends import Emission
from edgeeff.batch import ONE, Batch
from edgeeff.detection import RUNTIME, Detection
from edgeeff.detection.facts import CODES, DETECTIONS, LOGITS
from edgeeff.detection.settings import CANDIDATES
from edgeeff.framing import framing
from edgeeff.preprocess import CHANNELS, Preprocess, described
from edgeeff.target import InputType
from edgeeff.tasks import EMBEDDING
from edgeeff.text import in_markdown

_PREDICTOR = """
From Python, loaded once and asked for each frame (a file, a Pillow image, pixels, or a list of them):

    import edgeeff

    with edgeeff.Bundle.load(".").open() as predict:
        print(predict("photo.jpg"))
"""


_PLANES = """
A camera's planes go in as they are, without RGB in Python: `predict.planes(y, uv)`.
"""


def readme(emission: Emission) -> str:
    """The text of a bundle's ``README.md``.

    The lines for a product are those of the runtime's ``usage.py``, where it has one.
    """
    target = emission.target
    runtime = backends.runtime(target.runtime)
    text = (
        f"# {in_markdown(emission.name)}\n\n{in_markdown(target.summary)}. Made by edgeeff; "
        "`manifest.json` says from what.\n\n"
        f"    {runtime.run}\n\n"
        "What was verified, and what was NOT RUN: `measured/verification.json`.\n"
    )
    usage = runtime.usage()
    if usage is None:
        return text
    if emission.preprocess.camera is not None:
        planes = _PLANES if emission.preprocess.camera.planar else ""
        return (
            f"{text}{_PREDICTOR}{planes}\n## In a product\n\n{_frames(emission)} {_output(emission)}\n\n"
            f"{usage.frames(emission, framing(emission.preprocess))}"
        )
    channels_first = usage.channels_first(target.input)
    emission = replace(emission, preprocess=backends.input_preprocess(target, emission.preprocess))
    made = python_input(emission.preprocess, target.input, channels_first, emission.batch)
    return (
        f"{text}{_PREDICTOR}\n## In a product\n\n{_input(emission, channels_first)} {_output(emission)}\n\n"
        f"{usage.text(emission, made)}"
    )


def python_input(
    preprocess: Preprocess, input_type: InputType, channels_first: bool, batch: Batch = ONE
) -> str:
    """Lines of Python that make ``image``, the input, of raw pixels, uint8 [N, H, W, C].

    Where one colour photo goes into a letterbox they make the pixels too: of a detector a product needs to
    know where the photo lies, so ``photo`` and ``shown``, the photo as it was resized, stay at hand.
    """
    height, width = preprocess.size
    called = CHANNELS[preprocess.channels]
    number = "" if batch == ONE else f"{batch} images, "
    pixels = (
        f"np.zeros(({batch.example}, {height}, {width}, {preprocess.channels}), np.uint8)"
        f"  # {number}{called}, resized and {'padded' if preprocess.letterbox is not None else 'cropped'}"
    )
    boxed = preprocess.letterbox is not None and preprocess.channels == 3 and batch == ONE
    lines = _boxed(preprocess) if boxed else [f"pixels = {pixels}"]
    if input_type == "uint8":
        lines[-1] = lines[-1].replace("pixels = ", "image = ")
    if input_type == "int8":
        lines.append("image = (pixels.astype(np.int16) - 128).astype(np.int8)")
    elif input_type == "float32" and preprocess.is_unnormalised:
        lines.append("image = pixels.astype(np.float32)")
    elif input_type == "float32":
        mean, std = list(preprocess.mean), list(preprocess.std)
        lines.append(f"image = (pixels - np.float32({mean})) / np.float32({std})")
    if channels_first:
        lines.append("image = np.ascontiguousarray(image.transpose(0, 3, 1, 2))")
    return "\n".join(lines) + "\n"


def _boxed(preprocess: Preprocess) -> list[str]:
    """Lines of Python that put a photo into its letterbox."""
    height, width = preprocess.size
    colour = tuple(round(value) for value in preprocess.letterbox or ())
    turned = ["photo = ImageOps.exif_transpose(photo)"] if preprocess.exif else []
    return [
        f"from PIL import Image{', ImageOps' if turned else ''}",
        "",
        'photo = Image.open("photo.jpg").convert("RGB")',
        *turned,
        f"share = min({width} / photo.width, {height} / photo.height)",
        "inner = int(photo.width * share + 1e-6), int(photo.height * share + 1e-6)",
        f"shown = photo.resize(inner, Image.Resampling.{preprocess.interpolation.upper()})",
        f'boxed = Image.new("RGB", ({width}, {height}), {colour})',
        "boxed.paste(shown)",
        "pixels = np.asarray(boxed)[None]",
    ]


def _frames(emission: Emission) -> str:
    """What an artifact takes of a camera, and what it does with it."""
    preprocess, camera = emission.preprocess, emission.preprocess.camera
    assert camera is not None
    shapes = ", ".join(
        f"`{plane.name}` uint8 [{emission.batch}, {', '.join(map(str, plane.shape))}]"
        for plane in framing(preprocess).planes
    )
    (height, width), frame = preprocess.size, camera.frame
    text = f"Input: {described(preprocess)}, width × height: {shapes}."
    if camera.planar:
        text += (
            f" Colours are {camera.matrix.upper()} of {camera.range} range, and have half the resolution of "
            "the brightness: set the camera to that matrix and range."
        )
    if frame is None:
        how = "as a photo is: `edgeeff inspect .` says how"
        text += f" A frame of another size is resized and cropped to {width}×{height} first, {how}."
    else:
        left, top, right, bottom = preprocess.place((frame[1], frame[0])).box
        text += (
            f" The artifact shows the network the part ({left:g}, {top:g}) to ({right:g}, {bottom:g}), "
            f"resized to {width}×{height} by {preprocess.interpolation} interpolation with antialiasing."
        )
    return f"{text} What normalises the pixels is inside."


def _input(emission: Emission, channels_first: bool) -> str:
    preprocess, kind = emission.preprocess, emission.target.input
    height, width = preprocess.size
    count, images = preprocess.channels, emission.batch
    shape = (
        f"[{images}, {count}, {height}, {width}] (NCHW)"
        if channels_first
        else f"[{images}, {height}, {width}, {count}] (NHWC)"
    )
    called = CHANNELS[count]
    holds = {
        "uint8": f"{called} pixels of 0…255; what normalises them is inside",
        "int8": f"{called} pixels minus 128; what normalises them is inside",
        "float32": f"{called} pixels less {list(preprocess.mean)}, divided by {list(preprocess.std)}",
    }[kind]
    if kind == "float32" and preprocess.is_unnormalised:
        holds = f"{called} pixels of 0…255 as they are; what normalises them is inside"
    made = " Grey is 0.299 R + 0.587 G + 0.114 B." if count == 1 else ""
    turned = " It is turned by its EXIF orientation first." if preprocess.exif else ""
    how = "resized, whatever the ratio of its sides," if preprocess.squash else "resized"
    shown = f"so that the input is the middle {preprocess.crop:.3f} of it."
    if preprocess.letterbox is not None:
        colour = ", ".join(f"{value:g}" for value in preprocess.letterbox)
        shown = (
            "until it just fits, the ratio of its sides kept; it stands at the top left, and what it leaves "
            f"free is filled with ({colour})."
        )
    if images.dynamic:
        many = f" A run takes 1 to {images.size} images."
    else:
        many = "" if images == ONE else f" A run takes {images} images, no more and no fewer."
    return (
        f"Input: {kind} {shape}, {holds}. A photo is {how} by {preprocess.interpolation} interpolation with "
        f"antialiasing {shown}{made}{turned}{many}"
    )


def _output(emission: Emission) -> str:
    integers = backends.runtime(emission.target.runtime).integer_outputs
    kind = emission.target.input if integers else "float32"
    if not emission.meaning.decides or emission.meaning.by_pixel:
        return _features(emission, kind)
    if emission.detection is not None:
        return _boxes(emission, emission.detection)
    exclusive, of = emission.meaning.exclusive, "class" if emission.meaning.exclusive else "label"
    output = f"Output: {kind} [{emission.batch}, {len(emission.labels)}], a"
    if emission.softmax:
        output = f"{output} probability for each {of}"
    else:
        makes = (
            "softmax makes probabilities of them" if exclusive else "its sigmoid is the label's probability"
        )
        output = f"{output} logit for each {of}: {makes}"
    if exclusive:
        return f"{output}."
    return f"{output}; a label is there from {emission.threshold:g} on (labels do not exclude each other)."


def _features(emission: Emission, kind: str) -> str:
    """Each output by its name; maps as the runtime has them."""
    last = backends.runtime(emission.target.runtime).channels_last
    shown = []
    for output in emission.outputs:
        _, *rest = output.shape
        sides = [*rest[1:], rest[0]] if last and len(rest) == 3 else rest
        shown.append(f"`{output.name}` [{', '.join(map(str, (emission.batch, *sides)))}]")
    layout = " Maps are NHWC." if last else " Maps are NCHW."
    layout = layout if any(len(output.shape) == 4 for output in emission.outputs) else ""
    compared = ""
    if embeddings := [output for output in emission.outputs if output.meaning == EMBEDDING]:
        compared = " Embeddings are compared by cosine: divide each by its length."
        if all(output.divided for output in embeddings):
            compared = " Embeddings have the length 1 (L2 norm): their scalar products are cosines."
        elif divided := [f"`{output.name}`" for output in embeddings if output.divided]:
            compared = f"{compared[:-1]}; {', '.join(divided)} has the length 1 (L2 norm) already."
    return f"Outputs, {kind}: {', '.join(shown)}.{layout}{compared}"


def _boxes(emission: Emission, detection: Detection) -> str:
    """What a detector's artifact gives, and what a product makes of it."""
    threshold = f"Boxes with a score from {emission.threshold:g} on are there."
    back = "Pixels of the input divided by the photo's scale are pixels of the photo."
    nms, geometry = detection.nms, detection.geometry
    if detection.where == RUNTIME:
        usage = backends.runtime(emission.target.runtime).usage()
        told = getattr(usage, "boxes", None)
        return f"Output: {told(emission) if told else f'`{DETECTIONS}`.'} {threshold} {back}"
    number = emission.batch.example
    shapes = ", ".join(f"({wide:g}, {high:g})" for wide, high in geometry.ratios)
    among = "" if nms.across else " of its class"
    first, last = geometry.levels
    return (
        f"Outputs, float32: `{LOGITS}` [{number}, {geometry.count}, {len(emission.labels)}] and `{CODES}` "
        f"[{number}, {geometry.count}, 4]. A score is the sigmoid of its logit. The codes (ty, tx, th, tw) "
        "of an anchor with the centre (y, x), height h and width w make a box with the centre (y + ty·h, "
        "x + tx·w), height h·exp(th) and width w·exp(tw). Anchors stand level by level "
        f"({first} to {last}, each map half of the one before, rounded up), row by row; s being the input's "
        "side divided by the map's, the centres are at ((row + 0.5)·s, (column + 0.5)·s). At each place are "
        f"{geometry.at_a_place}: for each i of 0…{geometry.octaves - 1} those of the shapes (across, down) "
        f"{shapes}, times {geometry.scale:g}·s·2^(i/{geometry.octaves}). Of the best {CANDIDATES} with a "
        f"score from {nms.score:g} on a box is dropped where it overlaps a better one{among} by an IoU over "
        f"{nms.iou:g}; {nms.max_boxes} stay at most. {threshold} {back}"
    )
