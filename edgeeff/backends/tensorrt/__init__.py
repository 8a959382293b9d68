"""TensorRT: INT8 and FP16 on Jetsons and GPUs. A bundle is built anywhere, its engine on the device."""

REQUIRES = ()  # JetPack brings tensorrt to the device, and a bundle is written without it
INSTALL = "JetPack installs tensorrt on the device"
#: Whether its ``emit`` puts the normalisation before an integer input itself; else the hub graph holds it.
NORMALISES_INPUT = False
#: Input types that its artifacts can take.
INPUTS = ("float32", "uint8")
#: Runtime properties: none.
PROPERTIES: dict[str, tuple[str, ...]] = {}
#: Precisions that its artifacts can have.
PRECISIONS = ("int8", "fp16")
#: The files of a bundle that hold the network (one way of running it; of a tuple the first that is there).
ARTIFACT = (("model.qdq.onnx", "model.float.fp16.onnx"),)
#: How a bundle is run on the device.
RUN = "python3 build_engine.py && python3 verify.py"
#: Why there is no profile of layers.
NO_PROFILE = (
    "engines are profiled on the device: trtexec --loadEngine=FILE --separateProfileRun --dumpProfile"
)
