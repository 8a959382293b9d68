"""A TensorRT engine with its memory on the GPU: TensorRT 8.5 to 11, and the CUDA runtime by ctypes."""

import ctypes

import numpy as np

TO_GPU, FROM_GPU = 1, 2  # cudaMemcpyKind


class Network:
    """The engine that the bundle's build_engine.py made on this device."""

    runtime, channels_first = "tensorrt", True

    def __init__(self, folder, manifest):
        import tensorrt as trt

        engines = [*folder.glob(f"measured/*-{manifest['precision']}.engine")]
        if not engines:
            raise ValueError(f"{folder} has no engine: run `python3 build_engine.py` there")
        newest = max(engines, key=lambda path: path.stat().st_mtime)
        self.whole, self.given = trt.int32, trt.TensorIOMode.INPUT
        self.cuda, self.log = ctypes.CDLL("libcudart.so"), trt.Logger(trt.Logger.WARNING)
        self.library = trt.Runtime(self.log)
        self.engine = self.library.deserialize_cuda_engine(newest.read_bytes())
        if self.engine is None:
            raise ValueError(f"this TensorRT does not take {newest}: run `python3 build_engine.py` again")
        self.context = self.engine.create_execution_context()
        self.stream, self.memory = ctypes.c_void_p(), {}
        self.call("cudaStreamCreate", ctypes.byref(self.stream))

    def __call__(self, images):
        """The outputs by name, for images as the artifact takes them: as many in each run."""
        given, *outputs = self.tensors()
        if given[1][0] == -1 and not self.context.set_input_shape(given[0], images.shape):
            raise RuntimeError(f"the engine takes no run of {len(images)} images")
        found = {name: np.empty((len(images), *shape[1:]), kind) for name, shape, kind in outputs}
        for name, values in [(given[0], images), *found.items()]:
            if name not in self.memory:
                self.memory[name] = ctypes.c_void_p()
                self.call("cudaMalloc", ctypes.byref(self.memory[name]), ctypes.c_size_t(values.nbytes))
                self.context.set_tensor_address(name, self.memory[name].value)
        self.copy(self.memory[given[0]], ctypes.c_void_p(images.ctypes.data), images.nbytes, TO_GPU)
        if not self.context.execute_async_v3(self.stream.value):
            raise RuntimeError("the engine does not run: TensorRT says above why")
        for name, values in found.items():
            self.copy(ctypes.c_void_p(values.ctypes.data), self.memory[name], values.nbytes, FROM_GPU)
        return found

    def tensors(self):
        """Name, shape and type of the input, then of each output."""
        names = [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]
        names.sort(key=lambda name: self.engine.get_tensor_mode(name) != self.given)
        for name in names:
            whole = self.engine.get_tensor_dtype(name) == self.whole  # of boxes: their number and classes
            yield name, tuple(self.engine.get_tensor_shape(name)), np.int32 if whole else np.float32

    def copy(self, to, source, size, kind):
        """Between the host and the GPU, and wait for it and what was before it in the stream."""
        self.call("cudaMemcpyAsync", to, source, ctypes.c_size_t(size), ctypes.c_int(kind), self.stream)
        self.call("cudaStreamSynchronize", self.stream)

    def call(self, function, *arguments):
        """A function of the CUDA runtime, which returns 0 where all is well."""
        if status := getattr(self.cuda, function)(*arguments):
            raise RuntimeError(f"{function} fails with CUDA error {status}")
