"""TensorRT: INT8 and FP16 on Jetsons and GPUs. A bundle is built anywhere, its engine on the device."""

from edgeeff.backends import Runtime

RUNTIME = Runtime(
    name="tensorrt",
    package=__name__,
    requires=(),
    install="JetPack installs tensorrt on the device",
    on_device=("tensorrt",),
    inputs=("float32", "uint8"),
    precisions=("int8", "fp16"),
    probabilities="probabilities",
    batches=("one", "fixed", "dynamic"),
    nms=("per class", "across"),
    artifact=(("model.qdq.onnx", "model.float.fp16.onnx"),),
    run="python3 build_engine.py && python3 verify.py",
    chooses_on_device=True,
    tensorrt_rules=True,
    no_profile=(
        "engines are profiled on the device: trtexec --loadEngine=FILE --separateProfileRun --dumpProfile"
    ),
)
