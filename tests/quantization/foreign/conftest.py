"""Networks under a torch exporter's names, and what other tools make of them."""

from __future__ import annotations

import io
import logging
import struct
import warnings
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from onnxruntime import quantization

from edgeeff.graph.execute import execute, prepare
from edgeeff.quantization.placement import place

INPUT = "image"


class Reader(quantization.CalibrationDataReader):
    def __init__(self, batch):
        self.images = iter(batch)

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {INPUT: image[None]}


@pytest.fixture(scope="session")
def exported(make_module, networks):
    """``exported(name)``: the network of that name's fixture as torch exports it, under torch's names."""

    @cache
    def make(name):
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                make_module(networks[name].spec),
                (torch.zeros(1, 3, 64, 64),),
                buffer,
                dynamo=False,
                opset_version=17,
                input_names=[INPUT],
                output_names=["scores"],
            )
        return onnx.load_model_from_string(buffer.getvalue())

    return make


@pytest.fixture(scope="session")
def batch_of(networks):
    """``batch_of(name)``: the network's images, normalised."""
    return lambda name: networks[name].preprocess.normalise(networks[name].images[:4])


@pytest.fixture(scope="session")
def quantised(exported, batch_of, tmp_path_factory):
    """``quantised(name, kind)``: onnxruntime's static quantisation, per channel, ranges by min/max."""

    @cache
    def make(name, kind):
        folder = tmp_path_factory.mktemp("onnxruntime")
        onnx.save(exported(name), folder / "float.onnx")
        logging.disable(logging.WARNING)  # it recommends its own preprocessing
        try:
            quantization.quantize_static(
                folder / "float.onnx",
                folder / "int8.onnx",
                Reader(batch_of(name)),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType[kind],
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                extra_options={"ActivationSymmetric": kind == "QInt8"},
            )
        finally:
            logging.disable(logging.NOTSET)
        return folder / "int8.onnx"

    return make


@pytest.fixture(scope="session")
def extremes(networks, batch_of):
    """``extremes(name)``: smallest and largest value of each of our tensors, zero among them."""

    @cache
    def measure(name):
        found = {}

        def observe(tensor, value):
            found[tensor] = (min(float(value.min()), 0.0), max(float(value.max()), 0.0))

        execute(prepare(networks[name].graph), torch.from_numpy(batch_of(name)), observe)
        return found

    return measure


@pytest.fixture(scope="session")
def sites_of(networks, schemes):
    """``sites_of(name, scheme)``: the tensors that want a range."""

    def sites(name, scheme="openvino"):
        graph = networks[name].graph
        placed = place(graph, schemes[scheme]).sites
        return [tensor for tensor, site in placed.items() if not site.fixed and tensor != "input"]

    return sites


@pytest.fixture(scope="session")
def values_of():
    """``values_of(model, batch)``: all tensors of an ONNX model in onnxruntime, for each image."""
    import onnxruntime

    def run(model, batch):
        shown = onnx.ModelProto()
        shown.CopyFrom(model)
        names = [name for node in model.graph.node if node.op_type != "Constant" for name in node.output]
        del shown.graph.output[:]
        shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(shown.SerializeToString(), options)
        runs = [session.run(names, {INPUT: image[None]}) for image in batch]
        found = {name: np.stack(values) for name, *values in zip(names, *runs, strict=True)}
        return {INPUT: batch, **{name: v for name, v in found.items() if v.dtype == np.float32}}

    return run


@pytest.fixture(scope="session")
def calibration_cache(exported, batch_of, values_of):
    """``calibration_cache(name)``: the text that TensorRT would write of the exported network.

    By the formula of NVIDIA's sampleINT8: each tensor's largest absolute value / 127, a float32 in hex, most
    significant byte first; with an unnamed layer of the parser's own, as TensorRT has them.
    """

    @cache
    def write(name):
        lines = ["TRT-8503-EntropyCalibration2"]
        for tensor, values in values_of(exported(name), batch_of(name)).items():
            lines.append(f"{tensor}: {struct.pack('>f', np.abs(values).max() / 127).hex()}")
        lines.append("(Unnamed Layer* 22) [Constant]_output: 3c010a14")
        return "\n".join(lines) + "\n"

    return write


@pytest.fixture(scope="session")
def like_nncf(exported, batch_of, values_of):
    """``like_nncf(name)``: the exported network in the form that NNCF 3.4 gives it, and its scales.

    A pair before each convolution and fully connected layer and before both inputs of a sum, under names such
    as ``q_output_x_1``; int8 with zero point 0, or uint8 where no value is negative; weights as int8 per
    channel; biases float, a little corrected; padding after the pair.
    """

    @cache
    def make(name):
        model = onnx.ModelProto()
        model.CopyFrom(exported(name))
        values = values_of(model, batch_of(name))
        weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        random = np.random.default_rng(0)
        nodes, added, scales, pairs = [], {}, {}, {}
        for node in model.graph.node:
            for index, tensor in enumerate(node.input):
                if node.op_type not in ("Conv", "Gemm", "Add", "Pad") or tensor not in values:
                    continue
                if node.op_type == "Conv" and tensor.endswith("Pad_output_0"):
                    continue  # its input was quantised before the padding
                if tensor not in pairs:
                    low, high = float(values[tensor].min()), float(np.abs(values[tensor]).max())
                    kind = np.uint8 if low >= 0 else np.int8
                    scales[tensor] = np.float32(high / (255 if low >= 0 else 127))
                    number = f"{tensor}_1"
                    added[f"scale_{number}"] = scales[tensor]
                    added[f"zero_point_{number}"] = np.zeros((), kind)
                    parameters = [f"scale_{number}", f"zero_point_{number}"]
                    nodes += [
                        helper.make_node("QuantizeLinear", [tensor, *parameters], [f"q_output_{number}"]),
                        helper.make_node(
                            "DequantizeLinear", [f"q_output_{number}", *parameters], [f"dq_output_{number}"]
                        ),
                    ]
                    pairs[tensor] = f"dq_output_{number}"
                node.input[index] = pairs[tensor]
            if node.op_type in ("Conv", "Gemm"):
                weight = weights.pop(node.input[1])
                peak = np.abs(weight.reshape(len(weight), -1)).max(1) / 127
                shape = (-1, *[1] * (weight.ndim - 1))
                own = node.input[1]
                added[f"q_{own}"] = np.rint(weight / peak.reshape(shape)).astype(np.int8)
                added[f"scale_{own}"] = peak.astype(np.float32)
                added[f"zero_point_{own}"] = np.zeros(len(weight), np.int8)
                inputs = [f"q_{own}", f"scale_{own}", f"zero_point_{own}"]
                nodes.append(helper.make_node("DequantizeLinear", inputs, [f"dq_{own}"], axis=0))
                node.input[1] = f"dq_{own}"
                bias = weights[node.input[2]]
                weights[node.input[2]] = bias + random.normal(0, 0.002, bias.shape).astype(np.float32)
            nodes.append(node)
        copies = []
        for node in nodes:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copies.append(copy)
        del model.graph.node[:], model.graph.initializer[:]
        model.graph.node.extend(copies)
        model.graph.initializer.extend(
            numpy_helper.from_array(np.asarray(value), tensor)
            for tensor, value in {**weights, **added}.items()
        )
        onnx.checker.check_model(model)
        return model, scales

    return make
