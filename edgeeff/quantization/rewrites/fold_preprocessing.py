"""Let the network take raw pixels: the normalisation goes into the graph.

    (p − mean) / std ─ Conv(W)      ⇒      p ─ Sub(mean) ─ Conv(W / std)

The standard deviation folds into the stem's weights exactly. The mean does not: padding adds zeros after it,
and a mean folded into the bias would be wrong along the borders (26 dB on a real B0). So it stays a Sub,
which costs nothing where one value serves all channels, since it then is the zero point.

A zero point is a whole number. Where every tensor has one, half a pixel of a mean of 127.5 goes into the bias
all the same: what is wrong along the borders is then half a pixel in 255, which codes do not tell either.

The statistics are carried along: the new input's are the old one's times std, channel by channel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgeeff.calibration.statistics import Statistics, TensorStatistics
from edgeeff.errors import GraphError
from edgeeff.graph.model import add_constant, constant
from edgeeff.preprocess import Preprocess

CENTRED = "input.centred"
MEAN = "input.mean"


def rewrite(
    model: ir.Model, statistics: Statistics, preprocess: Preprocess, *, whole: bool = False
) -> tuple[ir.Model, Statistics]:
    """A graph whose input is raw pixels 0…255, and its statistics; the arguments are left as they are.

    Args:
        model: The base graph.
        statistics: Of its tensors.
        preprocess: What its input is normalised with.
        whole: Whether one mean of all channels is to be a zero point.

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
    taken = np.asarray((preprocess.with_whole_mean() if whole else preprocess).mean, np.float64)
    left = np.asarray(preprocess.mean, np.float64) - taken
    mean = taken.astype(np.float32).reshape(1, -1, 1, 1)
    scaled = (weight.astype(np.float64) / std.reshape(1, -1, 1, 1)).astype(np.float32)
    subtract = ir.Node(
        "", "Sub", [source, add_constant(model.graph, MEAN, mean)], name=CENTRED, num_outputs=1
    )
    centred = subtract.outputs[0]
    centred.name, centred.shape, centred.type = CENTRED, source.shape, source.type
    model.graph.insert_before(stem, subtract)
    stem.replace_input_with(0, centred)
    stem.replace_input_with(1, add_constant(model.graph, f"{stem.name}.weight_per_pixel", scaled))
    if left.any():
        _put_into_bias(model, stem, scaled, left)
    carried = {name: value for name, value in statistics.items() if name != source.name}
    if str(source.name) in statistics:
        carried[CENTRED] = _shifted(statistics[str(source.name)].scaled(std), left)
    return model, carried


def _put_into_bias(
    model: ir.Model, stem: ir.Node, weight: npt.NDArray[np.float32], left: npt.NDArray[np.float64]
) -> None:
    """Subtract what is left of the mean behind the stem, where it reads no zeros beside the image."""
    old = constant(stem.inputs[2]) if len(stem.inputs) > 2 else None
    bias = np.zeros(len(weight)) if old is None else old.astype(np.float64)
    bias = bias - np.einsum("oihw,i->o", weight.astype(np.float64), left)
    named = add_constant(model.graph, f"{stem.name}.bias_per_pixel", bias.astype(np.float32))
    if len(stem.inputs) < 3:
        stem.resize_inputs(3)
    stem.replace_input_with(2, named)


def _shifted(found: TensorStatistics, by: npt.NDArray[np.float64]) -> TensorStatistics:
    """Statistics of a tensor that is larger by a number; the histogram, which no input asks, is left."""
    if not by.any():
        return found
    return replace(
        found,
        minimum=(found.minimum + by).astype(np.float32),
        maximum=(found.maximum + by).astype(np.float32),
        mean=found.mean + by,
        second_moment=found.second_moment + 2 * by * found.mean + by**2,
    )
