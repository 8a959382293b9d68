"""ModelOpt's placement of Q/DQ in a float ONNX graph, for ``benchmarks.tensorrt_plans``: a plan, no accuracy.

    python benchmarks/peers/modelopt_placement.py model.float.onnx modelopt.onnx

Runs in an environment of its own (``pip install nvidia-modelopt[onnx]``; its versions of onnx and onnxruntime
are not ours), needs nothing of edgeeff and no GPU. The ranges are those of noise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("graph", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    from modelopt.onnx.quantization import quantize

    source = onnx.load(options.graph).graph.input[0]
    _, channels, *size = (d.dim_value for d in source.type.tensor_type.shape.dim)
    values = np.random.default_rng(0).normal(size=(4, channels, *size)).astype(np.float32)
    quantize(
        str(options.graph),
        quantize_mode="int8",
        calibration_data={source.name: values},
        calibration_eps=["cpu"],
        high_precision_dtype="fp16",
        output_path=str(options.output),
    )


if __name__ == "__main__":
    main()
