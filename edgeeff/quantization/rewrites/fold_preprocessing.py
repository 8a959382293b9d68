"""Let the network take raw pixels: the normalisation goes into the graph.

    (p − mean) / std ─ Conv(W)      ⇒      p ─ Sub(mean) ─ Conv(W / std)

The standard deviation folds into the stem's weights exactly. The mean does not: padding adds zeros after it,
and a mean folded into the bias would be wrong along the borders (26 dB on a real B0). So it stays a Sub,
which costs nothing where one value serves all channels, since it then is the zero point.

The statistics are carried along: the new input's are the old one's times std, channel by channel.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeeff.calibration.statistics import Statistics
from edgeeff.errors import GraphError
from edgeeff.graph.model import add_constant, constant
from edgeeff.preprocess import Preprocess

CENTRED = "input.centred"
MEAN = "input.mean"


def rewrite(model: ir.Model, statistics: Statistics, preprocess: Preprocess) -> tuple[ir.Model, Statistics]:
    """A graph whose input is raw pixels 0…255, and its statistics; the arguments are left as they are.

    Raises:
        GraphError: The input is read by something else than one convolution.
    """
    model = model.clone()
    source = model.graph.inputs[0]
    readers = list(source.consumers())
    if len(readers) != 1 or readers[0].op_type != "Conv":
        raise GraphError(
            f"the input is read by {', '.join(r.op_type for r in readers)}, not by one convolution",
            mend="choose a float32 input (--io float32)",
        )
    stem = readers[0]
    weight = constant(stem.inputs[1])
    assert weight is not None and stem.inputs[1] is not None and stem.inputs[1].name is not None
    std = np.asarray(preprocess.std, np.float64)
    mean = np.asarray(preprocess.mean, np.float32).reshape(1, -1, 1, 1)
    scaled = (weight.astype(np.float64) / std.reshape(1, -1, 1, 1)).astype(np.float32)
    subtract = ir.Node(
        "", "Sub", [source, add_constant(model.graph, MEAN, mean)], name=CENTRED, num_outputs=1
    )
    centred = subtract.outputs[0]
    centred.name, centred.shape, centred.type = CENTRED, source.shape, source.type
    model.graph.insert_before(stem, subtract)
    stem.replace_input_with(0, centred)
    stem.replace_input_with(1, add_constant(model.graph, f"{stem.name}.weight_per_pixel", scaled))
    carried = {name: value for name, value in statistics.items() if name != source.name}
    if str(source.name) in statistics:
        carried[CENTRED] = statistics[str(source.name)].scaled(std)
    return model, carried
