"""What a product writes to run the model on a microcontroller, and on a desk without edgeeff."""

from __future__ import annotations

from collections.abc import Mapping

from edgeeff.backends import Emission
from edgeeff.target import InputType

_FIRMWARE = """\
`firmware/model_data.cc` and `firmware/model_data.h` are the model as a C array, with the bytes of its arena
and the operators that it uses:

```cpp
#include "model_data.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

alignas(16) static uint8_t arena[kArenaSize];

static tflite::MicroMutableOpResolver<kOperatorCount> resolver;
if (!AddOperators(resolver)) return 1;
static tflite::MicroInterpreter interpreter(tflite::GetModel(kModelData), resolver, arena, kArenaSize);
if (interpreter.AllocateTensors() != kTfLiteOk) return 1;
```

Before each `Invoke` copy the whole image into `interpreter.input(0)->data.int8`: the interpreter uses that
memory for something else once it was read. The arena was measured on 64 bits with the reference kernels; a
32-bit processor takes less, and optimised kernels (CMSIS-NN, ESP-NN) may ask for scratch buffers besides:
`interpreter.arena_used_bytes()` says what yours takes.

## On a desk

The same interpreter, from Python (`pip install tflite-micro`); how long it takes here says nothing of a
microcontroller:

```python
import numpy as np
from tflite_micro.python.tflite_micro import runtime

interpreter = runtime.Interpreter.from_file("model.tflite")
{image}interpreter.set_input(image, 0)
interpreter.invoke()
{read}```
"""

_READ = """\
{name} = interpreter.get_output({place})
meaning = interpreter.get_output_details({place})["quantization_parameters"]
{name} = ({name}.astype(np.float32) - meaning["zero_points"][0]) * meaning["scales"][0]
"""


def channels_first(input_type: InputType) -> bool:
    """TFLite's tensors are NHWC."""
    del input_type
    return False


def text(emission: Emission, image: str) -> str:
    """Markdown: the lines in C++, and those in Python.

    Args:
        emission: What the artifact was written from.
        image: Lines of Python that make the input, ``image``.
    """
    names = [output.name for output in emission.outputs]
    if emission.meaning.decides:
        names = ["probabilities" if emission.softmax else "logits"]
    read = "".join(_READ.format(name=name, place=place) for place, name in enumerate(names))
    return _FIRMWARE.format(image=image, read=read)


def lost(properties: Mapping[str, str]) -> str:
    """One sentence: what becomes of the artifact where it is run in another way than the runner's."""
    del properties
    return "nothing is to be set; with an arena smaller than that of model_data.h it is not run at all."
