"""A TensorRT whose engines are ONNX files that onnxruntime computes, behind the names that the scripts use.

It lets what nothing here could otherwise execute be executed: the calls and their order, the files, the
figures. It says nothing of TensorRT. tests/bindings holds the names against the real bindings.
"""

from __future__ import annotations

import ctypes
import json
import os
import time

import numpy as np
import onnxruntime as ort

__version__ = os.environ["SIMULATED_TENSORRT"]
_FLAGS = tuple(int(part) for part in __version__.split(".")[:2]) < (11, 0)
_PLAN = b"plan of %s\n" % __version__.encode()


float32, int32 = "float32", "int32"


class Logger:
    WARNING, VERBOSE = range(2)

    def __init__(self, severity):
        self.severity = severity


class NetworkDefinitionCreationFlag:
    STRONGLY_TYPED = 1


class BuilderFlag:
    pass


if _FLAGS:
    BuilderFlag.FP16, BuilderFlag.INT8 = 0, 1
    NetworkDefinitionCreationFlag.EXPLICIT_BATCH = 0


class MemoryPoolType:
    WORKSPACE = 0


class ProfilingVerbosity:
    DETAILED = 2


class TensorIOMode:
    NONE, INPUT, OUTPUT = range(3)


class _Tensor:
    def __init__(self, tensor):
        self.name, self.shape = tensor.name, _shape(tensor)


def _shape(tensor):
    return tuple(size if isinstance(size, int) else -1 for size in tensor.shape)


class _Network:
    def __init__(self, flags):
        self.flags, self.content = flags, b""

    def get_input(self, index):
        return _Tensor(_opened(self.content).get_inputs()[index])

    @property
    def fixed(self):
        return -1 not in self.get_input(0).shape


class OnnxParser:
    num_errors = 1

    def __init__(self, network, logger):
        self._network = network

    def parse(self, content, path=None):
        if path is not None:  # tensors may lie in files beside it
            import onnx

            content = onnx.load(path).SerializeToString()
        self._network.content = content
        return bool(content)

    def get_error(self, index):
        return "the file is empty"


class _Profile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, least, best, most):
        self.shapes[name] = [list(shape) for shape in (least, best, most)]


class _TimingCache:
    def __init__(self, content):
        self.content = content

    def serialize(self):
        return self.content


class _Config:
    def __init__(self):
        self.flags, self.profiles, self._cache = set(), [], None

    def set_memory_pool_limit(self, pool, size):
        assert size > 0

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)
        return len(self.profiles) - 1

    def set_flag(self, flag):
        self.flags.add(flag)

    def create_timing_cache(self, content):
        return _TimingCache(content)

    def set_timing_cache(self, cache, ignore_mismatch):
        if cache.content and not cache.content.startswith(b"timings"):
            return False
        self._cache = cache
        return True

    def get_timing_cache(self):
        return _TimingCache(self._cache.content + b"timings\n")


class Builder:
    def __init__(self, logger):
        pass

    def create_network(self, flags):
        return _Network(flags)

    def create_builder_config(self):
        return _Config()

    def create_optimization_profile(self):
        return _Profile()

    def build_serialized_network(self, network, config):
        strongly = bool(network.flags & 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        if strongly == bool(config.flags):  # types come from the file or from flags
            return None
        if not network.fixed and not config.profiles:
            return None
        if _marked("SIMULATED_REFUSAL", network.content):
            return None
        if _marked("SIMULATED_INTERRUPT", network.content):
            raise KeyboardInterrupt
        return _PLAN + json.dumps(config.profiles).encode() + b"\n" + network.content


def _marked(variable, content):
    """Whether a graph is the one that the environment means, by a text in its file."""
    mark = os.environ.get(variable)
    return bool(mark) and mark.encode() in content


class _Context:
    def __init__(self, session, profiles, pause):
        self._session, self._profiles, self._images, self._pause = session, profiles, None, pause
        self._addresses = {}
        self._cudart = ctypes.CDLL("libcudart.so")
        self._work = ctypes.CFUNCTYPE(None)(self._compute)

    def set_tensor_address(self, name, address):
        self._addresses[name] = address

    def set_input_shape(self, name, shape):
        least, _, most = self._profiles[0][name]
        self._images = shape[0]
        return all(low <= size <= high for low, size, high in zip(least, shape, most, strict=True))

    def execute_async_v3(self, stream):
        if self._profiles and self._images is None:
            return False
        if not self._cudart.simulate_capture(self._work):
            self._compute()
        return True

    def _array(self, tensor):
        kinds = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(int32)": "int32"}
        dtype = np.dtype(kinds[tensor.type])
        shape = [self._images if size == -1 else size for size in _shape(tensor)]
        size = int(np.prod(shape)) * dtype.itemsize
        memory = (ctypes.c_char * size).from_address(self._addresses[tensor.name])
        return np.frombuffer(memory, dtype).reshape(shape)

    def _compute(self):
        source, results = self._session.get_inputs()[0], self._session.get_outputs()
        # TensorRT numbers its tensors as it likes: who goes by their order is found out here.
        names = [result.name for result in results]
        values = self._session.run(names, {source.name: self._array(source)})
        time.sleep(self._pause)
        found = dict(zip(names, values, strict=True))
        for result in results:
            values = found[result.name]
            if os.environ.get("SIMULATED_SWAP"):  # a runtime that mixes up the last two images of a run
                values[-2:] = values[-2:][::-1].copy()
            self._array(result)[:] = values


def _opened(content, options=None):
    parts = _with_plugin(content) if b"EfficientNMS_TRT" in content else None
    raw = parts[0] if parts else content
    session = ort.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    return _Boxes(session, *parts[1:]) if parts else session


def _with_plugin(content):
    """The graph without EfficientNMS_TRT, the node, and its anchors."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(content)
    (node,) = [node for node in model.graph.node if node.op_type == "EfficientNMS_TRT"]
    model.graph.node.remove(node)
    (anchors,) = [numpy_helper.to_array(t) for t in model.graph.initializer if t.name == node.input[2]]
    known = {value.name: value for value in model.graph.value_info}
    outputs = [(value.name, _kind(value)) for value in model.graph.output]
    del model.graph.output[:]
    model.graph.output.extend(known[name] for name in node.input[:2])
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return model.SerializeToString(), list(node.input[:2]), anchors[0], attributes, outputs


def _kind(value):
    kinds = {1: "tensor(float)", 6: "tensor(int32)"}
    return kinds[value.type.tensor_type.elem_type], [
        d.dim_value or "N" for d in value.type.tensor_type.shape.dim
    ]


class _Output:
    def __init__(self, name, kind):
        self.name, (self.type, self.shape) = name, kind


class _Boxes:
    """The plugin, by its README and source: box_coding 1 (centre and size), sigmoid of the scores."""

    def __init__(self, session, names, anchors, attributes, outputs):
        assert (attributes["box_coding"], attributes["score_activation"]) == (1, 1)
        assert attributes["background_class"] == -1
        self._session, self._names, self._anchors, self._is = session, names, anchors, attributes
        self._outputs = [_Output(*output) for output in outputs]

    def get_inputs(self):
        return self._session.get_inputs()

    def get_outputs(self):
        return self._outputs

    def run(self, names, feeds):
        codes, logits = self._session.run(self._names, feeds)
        most, parts = (
            self._is["max_output_boxes"],
            [self._image(*both) for both in zip(codes, logits, strict=True)],
        )
        count = np.array([[len(part)] for part in parts], np.int32)
        # What is behind the count is whatever the memory held.
        table = np.full((len(parts), most, 6), 7, np.float32)
        for image, part in enumerate(parts):
            table[image, : len(part)] = part
        found = [count, table[..., :4].copy(), table[..., 4].copy(), table[..., 5].astype(np.int32)]
        by_name = dict(zip([output.name for output in self._outputs], found, strict=True))
        return [by_name[name] for name in names]

    def _image(self, codes, logits):
        scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
        order = np.argsort(-scores, axis=None)[:5000]
        order = order[scores.ravel()[order] >= self._is["score_threshold"]]
        anchor, cls = np.divmod(order, scores.shape[1])
        middle = codes[anchor, :2] * self._anchors[anchor, 2:] + self._anchors[anchor, :2]
        half = np.exp(codes[anchor, 2:]) * self._anchors[anchor, 2:] / 2
        corners = np.c_[middle - half, middle + half]
        kept = []
        for i in range(len(order)):
            rivals = [k for k in kept if self._is.get("class_agnostic") or cls[k] == cls[i]]
            if not any(self._overlap(corners[k], corners[i]) > self._is["iou_threshold"] for k in rivals):
                kept.append(i)
            if len(kept) == self._is["max_output_boxes"]:
                break
        return np.c_[corners[kept], scores.ravel()[order[kept]], cls[kept]]

    @staticmethod
    def _overlap(one, other):
        sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
        common = np.clip(sides, 0, None).prod()
        return common / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - common)


class _Engine:
    def __init__(self, content):
        profiles, _, content = content.partition(b"\n")
        self._profiles = json.loads(profiles)
        # How long a run takes besides, by a text in the graph's file: "mark=0.01,other=0.02".
        pauses = [one.split("=") for one in os.environ.get("SIMULATED_PAUSES", "").split(",") if one]
        self._pause = sum(float(seconds) for mark, seconds in pauses if mark.encode() in content)
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        self._session = _opened(content, options)
        self._tensors = [*self._session.get_inputs(), *reversed(self._session.get_outputs())]
        self.num_io_tensors = len(self._tensors)

    def create_execution_context(self):
        return _Context(self._session, self._profiles, self._pause)

    def get_tensor_profile_shape(self, name, index):
        return self._profiles[index][name]

    def get_tensor_name(self, index):
        return self._tensors[index].name

    def get_tensor_mode(self, name):
        inputs = [tensor.name for tensor in self._session.get_inputs()]
        return TensorIOMode.INPUT if name in inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        kind = next(tensor.type for tensor in self._tensors if tensor.name == name)
        return {"tensor(float)": float32, "tensor(int32)": int32}.get(kind, kind)

    def get_tensor_shape(self, name):
        return _shape(next(tensor for tensor in self._tensors if tensor.name == name))


class Runtime:
    def __init__(self, logger):
        pass

    def deserialize_cuda_engine(self, content):
        return _Engine(content[len(_PLAN) :]) if content.startswith(_PLAN) else None
