"""What a product writes to run the IR without edgeeff, and what it loses without the bundle's properties."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from edgeeff.backends import Emission
from edgeeff.detection import RUNTIME
from edgeeff.detection.facts import DETECTIONS
from edgeeff.framing import Framing
from edgeeff.target import InputType

_PYTHON = """\
```python
import numpy as np
import openvino as ov

properties = {properties}
model = ov.Core().compile_model("model.xml", "CPU", properties)

{image}{python}
```
"""

_CPP = """\
```cpp
#include <openvino/openvino.hpp>
#include <vector>

ov::AnyMap properties;
{settings}ov::CompiledModel model = ov::Core().compile_model("model.xml", "CPU", properties);
ov::InferRequest request = model.create_infer_request();

std::vector<{type}> image({size});  // as the input is described above
request.set_input_tensor(ov::Tensor(ov::element::{element}, {{{shape}}}, image.data()));
request.infer();
{cpp}
```
"""

_C = """\
```c
#include <openvino/c/openvino.h>

ov_core_t* core = NULL;
ov_compiled_model_t* model = NULL;
ov_infer_request_t* request = NULL;
ov_core_create(&core);
ov_core_compile_model_from_file(core, "model.xml", "CPU", {count}, &model{settings});
ov_compiled_model_create_infer_request(model, &request);

static {ctype} image[{size}];  // as the input is described above
int64_t sides[] = {{{shape}}};
ov_shape_t shape;
ov_tensor_t *input = NULL, *output = NULL;
ov_shape_create(4, sides, &shape);
ov_tensor_create_from_host_ptr({celement}, shape, image, &input);
ov_infer_request_set_input_tensor(request, input);
ov_infer_request_infer(request);
{c}
```
Each function of C returns `OK` or why not; what is made is given back with `ov_core_free` and its like.
"""

#: Of an input type: the C++ type, OpenVINO's element, and the same in C.
_TYPES = {
    "uint8": ("uint8_t", "u8", "uint8_t", "U8"),
    "int8": ("int8_t", "i8", "int8_t", "I8"),
    "float32": ("float", "f32", "float", "F32"),
}


def channels_first(input_type: InputType) -> bool:
    """Whether the input is NCHW: float inputs are, as in the graph; pixels come as a camera gives them."""
    return input_type == "float32"


def text(emission: Emission, image: str) -> str:
    """Markdown: the lines in Python, C++ and C.

    Args:
        emission: What the artifact was written from.
        image: Lines of Python that make the input, ``image``.
    """
    target, (height, width) = emission.target, emission.preprocess.size
    properties = {name: json.dumps(value) for name, value in target.runtime_properties.items()}
    channels, images = emission.preprocess.channels, emission.batch.example
    shape = [channels, height, width] if channels_first(target.input) else [height, width, channels]
    type_, element, ctype, celement = _TYPES[target.input]
    common = {
        "size": f"{images} * " * (images > 1) + f"{height} * {width} * {channels}",
        "shape": ", ".join(map(str, (images, *shape))),
        **_read(emission),
    }
    cpp = "".join(f'properties["{name}"] = {value};\n' for name, value in properties.items())
    c = "".join(f',\n                                "{name}", {value}' for name, value in properties.items())
    return (
        f"The properties belong to the bundle: {lost(target.runtime_properties)} "
        f"Threads are the product's to choose: INFERENCE_NUM_THREADS, else all cores.{_open(emission)}\n\n"
        + _PYTHON.format(properties=json.dumps(dict(target.runtime_properties)), image=image, **common)
        + "\n"
        + _CPP.format(settings=cpp, type=type_, element=element, **common)
        + "\n"
        + _C.format(settings=c, count=2 * len(properties), ctype=ctype, celement=celement, **common)
    )


_FRAMES = """\
```python
import numpy as np
import openvino as ov

properties = {properties}
model = ov.Core().compile_model("model.xml", "CPU", properties)

{zeros}image = {{{named}}}
{python}
```

```cpp
#include <openvino/openvino.hpp>

ov::AnyMap properties;
{settings}ov::CompiledModel model = ov::Core().compile_model("model.xml", "CPU", properties);
ov::InferRequest request = model.create_infer_request();

// Each pointer leads to a plane of the camera's frame without padding behind its rows.
{tensors}request.infer();
{cpp}
```
"""


def frames(emission: Emission, made: Framing) -> str:
    """The same lines where the artifact takes a camera's frames."""
    given, number = emission.target.runtime_properties, emission.batch.example
    settings = "".join(f'properties["{name}"] = {json.dumps(value)};\n' for name, value in given.items())
    shapes = {plane.name: (number, *plane.shape) for plane in made.planes}
    zeros = "".join(f"{name} = np.zeros({shape}, np.uint8)\n" for name, shape in shapes.items())
    tensors = "".join(
        f'request.set_tensor("{name}", ov::Tensor(ov::element::u8, {{{sides}}}, {name}));\n'
        for name, sides in ((name, ", ".join(map(str, shape))) for name, shape in shapes.items())
    )
    read = _read(emission)
    return (
        f"The properties belong to the bundle: {lost(given)} "
        "Threads are the product's to choose: INFERENCE_NUM_THREADS, else all cores.\n\n"
        + _FRAMES.format(
            properties=json.dumps(dict(given)),
            zeros=zeros,
            named=", ".join(f'"{name}": {name}' for name in shapes),
            settings=settings,
            tensors=tensors,
            python=read["python"],
            cpp=read["cpp"],
        )
    )


def _read(emission: Emission) -> dict[str, str]:
    """Lines of each language that read the outputs: the only one by its place, several by their names."""
    if not emission.meaning.decides or emission.meaning.by_pixel or emission.detection is not None:
        names = _names(emission)
        return {
            "python": "found = model(image)\n" + "\n".join(f'{name} = found["{name}"]' for name in names),
            "cpp": "\n".join(f'const float* {n} = request.get_tensor("{n}").data<float>();' for n in names),
            "c": "\n".join(
                f'ov_infer_request_get_tensor(request, "{name}", &output);\n'
                f"void* {name} = NULL;  // float\nov_tensor_data(output, &{name});"
                for name in names
            ),
        }
    result = "probabilities" if emission.softmax else "logits"
    return {
        "python": f"{result} = model(image)[0]",
        "cpp": f"const float* {result} = request.get_output_tensor().data<float>();",
        "c": f"ov_infer_request_get_output_tensor(request, &output);\nvoid* {result} = NULL;  // float\n"
        f"ov_tensor_data(output, &{result});",
    }


def _names(emission: Emission) -> list[str]:
    made = emission.detection is not None and emission.detection.where == RUNTIME
    return [DETECTIONS] if made else [output.name for output in emission.outputs]


def boxes(emission: Emission) -> str:
    """What an artifact that makes boxes gives, and what of it Model API cannot say."""
    most = 0 if emission.detection is None else emission.detection.nms.max_boxes
    colour = emission.preprocess.letterbox or ()
    mean = (
        f" Model API's `SSD` fills what a photo leaves free with one value: {pad_value(colour)}."
        if len({*colour}) > 1
        else ""
    )
    return (
        f"`{DETECTIONS}` [1, 1, {emission.batch.example * most}, 7]: each row is the image's number, class, "
        "score, and left, top, right and bottom as shares of the input's width and height; behind the last "
        f"box stands the image −1.{mean}"
    )


def pad_value(colour: Sequence[float]) -> int:
    """The letterbox's colour as Model API knows it, one value for all channels: their mean."""
    return round(sum(colour) / len(colour))


def _open(emission: Emission) -> str:
    """What becomes of a graph whose batch is open: OpenVINO 2026 joins no elementwise operators there."""
    if not emission.batch.dynamic:
        return ""
    return (
        " Of a graph of open batch OpenVINO makes fewer and slower kernels than of one of fixed batch: where "
        "the number of images is always the same, build with it (`--batch 4`)."
    )


def lost(properties: Mapping[str, str]) -> str:
    """One sentence: what becomes of the artifact where it is compiled without these properties.

    OpenVINO 2026 on x86, asked without any: bf16 for what is not INT8 where the CPU computes it, else f32;
    one stream, for latency.
    """
    hint = properties.get("INFERENCE_PRECISION_HINT")
    if hint == "f32":
        return (
            "without them what is not INT8 runs in OpenVINO's own default, bf16 where the CPU has it, "
            "and not in the f32 that was verified."
        )
    if hint == "bf16":
        return (
            "without them nothing changes where the CPU has bf16, OpenVINO's own default there; "
            "asked for f32, it is slower."
        )
    if hint is not None:
        return f"without them what is not INT8 runs in OpenVINO's own default and not in {hint}."
    return (
        "it has none that its results depend on." if not properties else "without them only speed may differ."
    )
