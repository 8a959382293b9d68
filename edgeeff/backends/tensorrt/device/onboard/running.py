"""An engine with its input and outputs in CUDA memory, run as it is or as a CUDA graph."""

from __future__ import annotations

import ctypes
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from .boxes import DETECTIONS, PLUGIN, canonical
from .sealed import RefusedError

_TO_DEVICE, _FROM_DEVICE = 1, 2  # cudaMemcpyKind
_THIS_THREAD_ONLY = 1  # cudaStreamCaptureModeThreadLocal
_SPIN = 1  # cudaDeviceScheduleSpin


class Engine:
    """A deserialised engine.

    The tensors are addressed by name: that interface is in every TensorRT from 8.5 to 11, while the older
    one by binding is gone since 10. A run takes a fixed number of images, or any number of the engine's
    profile: :meth:`upload` says how many.

    Args:
        trt: The tensorrt module.
        cudart: The CUDA runtime, from ``hardware.load_cudart``.
        path: The engine's file.
        input_type: ``float32`` or ``uint8``, as the manifest says.
    """

    def __init__(self, trt: Any, cudart: Any, path: Path, input_type: str) -> None:
        self._cudart = cudart
        self._logger = trt.Logger(trt.Logger.WARNING)
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise RefusedError(
                f"TensorRT {trt.__version__} does not take {path.name}; run build_engine.py again"
            )
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise RefusedError(f"{path.name} finds no memory to run in; close other programs")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        inputs = [n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        outputs = [n for n in names if n not in inputs]
        if len(inputs) != 1 or not outputs:
            raise RefusedError(
                f"{path.name} has tensors {', '.join(names)}; expected one input and some outputs"
            )
        self._input = inputs[0]
        declared, *self._image = self._engine.get_tensor_shape(inputs[0])
        self.profile: tuple[int, int, int] = (declared,) * 3 if declared != -1 else self._profile()
        self.input_dtype = np.dtype(input_type)
        self._outputs = {name: tuple(self._engine.get_tensor_shape(name))[1:] for name in outputs}
        self._types = {name: self._type(trt, path, name) for name in outputs}
        most = self.profile[2]
        self._input_bytes = int(np.prod((most, *self._image))) * self.input_dtype.itemsize
        self._source, self._stream = ctypes.c_void_p(), ctypes.c_void_p()
        self._results = {name: ctypes.c_void_p() for name in outputs}
        self._graph: ctypes.c_void_p | None = None
        self._call("cudaMalloc", ctypes.byref(self._source), ctypes.c_size_t(self._input_bytes))
        for name, result in self._results.items():
            size = int(np.prod((most, *self._outputs[name]))) * self._types[name].itemsize
            self._call("cudaMalloc", ctypes.byref(result), ctypes.c_size_t(size))
        self._call("cudaStreamCreate", ctypes.byref(self._stream))
        self._start, self._end = (ctypes.c_void_p() for _ in range(2))
        for event in (self._start, self._end):
            self._call("cudaEventCreate", ctypes.byref(event))
        events = (self._start, self._end)
        buffers = (self._source, *self._results.values())
        weakref.finalize(self, _release, cudart, buffers, events, self._stream)
        self._context.set_tensor_address(inputs[0], self._source.value)
        for name, result in self._results.items():
            self._context.set_tensor_address(name, result.value)
        self.images = 0 if declared == -1 else declared
        self.set_images(self.profile[1])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of the next run."""
        return (self.images, *self._image)

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the next run, by name."""
        return {name: (self.images, *shape) for name, shape in self._outputs.items()}

    @property
    def names(self) -> list[str]:
        """Of what :meth:`download` gives."""
        return [DETECTIONS] if set(self._outputs) == set(PLUGIN) else list(self._outputs)

    def set_images(self, images: int) -> None:
        """Have the next runs take so many images; a CUDA graph of another number is given up."""
        if images == self.images:
            return
        least, _, most = self.profile
        if not least <= images <= most:
            raise RefusedError(f"the engine takes {least} to {most} images in a run, not {images}")
        if not self._context.set_input_shape(self._input, (images, *self._image)):
            raise RefusedError(f"the engine takes no run of {images} images; TensorRT's message says why")
        self.images, self._graph = images, None

    def _type(self, trt: Any, path: Path, name: str) -> Any:
        """Of an output: float32, or int32 of what counts boxes and names their classes."""
        found = self._engine.get_tensor_dtype(name)
        if found == trt.float32:
            return np.dtype(np.float32)
        if name in PLUGIN and found == trt.int32:
            return np.dtype(np.int32)
        raise RefusedError(f"{path.name} gives {name} in another type than float32")

    def _profile(self) -> tuple[int, int, int]:
        """The least, best and greatest number of images that the engine was built for."""
        shapes = self._engine.get_tensor_profile_shape(self._input, 0)
        least, best, most = (int(next(iter(shape))) for shape in shapes)
        return least, best, most

    def upload(self, values: Any) -> None:
        """Copy the native input of a run, [N, C, H, W], to the device."""
        values = np.ascontiguousarray(values, self.input_dtype)
        if values.ndim and values.shape[1:] == tuple(self._image):
            self.set_images(len(values))
        if values.shape != self.input_shape:
            raise RefusedError(f"the engine takes input {self.input_shape}, this is {values.shape}")
        self._copy(self._source, values.ctypes.data_as(ctypes.c_void_p), values.nbytes, _TO_DEVICE)

    def execute(self) -> None:
        """Run on what was uploaded, and wait for the end."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Put one run into the stream."""
        if self._graph is not None:
            self._call("cudaGraphLaunch", self._graph, self._stream)
        elif not self._context.execute_async_v3(self._stream.value):
            raise RefusedError("the engine did not run; TensorRT's message above says why")

    def wait(self) -> None:
        """Wait for all that was put into the stream."""
        self._call("cudaStreamSynchronize", self._stream)

    def gpu_milliseconds(self) -> float:
        """Run once and wait; the time between two events in the stream, as the GPU's own clock says."""
        self._call("cudaEventRecord", self._start, self._stream)
        self.launch()
        self._call("cudaEventRecord", self._end, self._stream)
        self.wait()
        elapsed = ctypes.c_float()
        self._call("cudaEventElapsedTime", ctypes.byref(elapsed), self._start, self._end)
        return float(elapsed.value)

    def download(self) -> dict[str, Any]:
        """The outputs of the last run, float32 [N, …] each, by name; boxes in their one form."""
        found = {}
        for name, result in self._results.items():
            values = np.empty(self.output_shapes[name], self._types[name])
            self._copy(values.ctypes.data_as(ctypes.c_void_p), result, values.nbytes, _FROM_DEVICE)
            found[name] = values
        return canonical(found)

    def capture(self) -> str:
        """From now on run as one CUDA graph; returns why that cannot be, and nothing where it can.

        A graph spares the launch of each kernel, which on a Jetson takes longer than small kernels run.
        """
        missing = [name for name in _GRAPH_CALLS if not hasattr(self._cudart, name)]
        if missing:
            return f"the CUDA runtime has no {missing[0]}"
        self.execute()  # what TensorRT does at a first run only may not be captured
        captured, graph = ctypes.c_void_p(), ctypes.c_void_p()
        try:
            self._call("cudaStreamBeginCapture", self._stream, ctypes.c_int(_THIS_THREAD_ONLY))
            ran = self._context.execute_async_v3(self._stream.value)
            self._call("cudaStreamEndCapture", self._stream, ctypes.byref(captured))
            if not ran:
                raise RefusedError("TensorRT cannot run it while it is captured")
            self._call("cudaGraphInstantiateWithFlags", ctypes.byref(graph), captured, ctypes.c_ulonglong(0))
            self._graph = graph
            self.execute()
        except RefusedError as refusal:
            self._graph = None
            self._cudart.cudaGetLastError()  # or the next call would be told of this one
            return str(refusal)
        finally:
            if captured.value:
                self._cudart.cudaGraphDestroy(captured)
        weakref.finalize(self, self._cudart.cudaGraphExecDestroy, graph)
        return ""

    def _copy(self, to: Any, source: Any, size: int, kind: int) -> None:
        self._call("cudaMemcpyAsync", to, source, ctypes.c_size_t(size), ctypes.c_int(kind), self._stream)
        self.wait()

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._cudart, function)(*arguments)
        if status != 0:
            raise RefusedError(f"{function} failed with CUDA error {status}")


_GRAPH_CALLS = (
    *("cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiateWithFlags", "cudaGraphLaunch"),
    *("cudaGraphDestroy", "cudaGraphExecDestroy", "cudaGetLastError"),
)


def spin_while_waiting(cudart: Any) -> bool:
    """Have the processor spin rather than sleep while it waits, before anything else is done on the device.

    Returns:
        Whether the CUDA runtime did so: it refuses once the device is in use.
    """
    done = cudart.cudaSetDeviceFlags(ctypes.c_uint(_SPIN)) == 0
    if not done:
        cudart.cudaGetLastError()
    return bool(done)


def _release(cudart: Any, buffers: tuple[Any, ...], events: tuple[Any, ...], stream: Any) -> None:
    for buffer in buffers:
        cudart.cudaFree(buffer)
    for event in events:
        cudart.cudaEventDestroy(event)
    cudart.cudaStreamDestroy(stream)
