"""onnxruntime: the reference that hub graphs and every other runtime are compared with."""

from edgeeff.backends import Runtime
from edgeeff.installing import install_line

_INSTALL = install_line("build")
RUNTIME = Runtime(
    name="onnxruntime",
    package=__name__,
    requires=("onnxruntime",),
    install=_INSTALL,
    inputs=("float32", "uint8"),
    precisions=("int8", "fp32"),
    artifact=("model.onnx",),
    run=f"{_INSTALL} && edgeeff run . photo.jpg",
    no_profile="onnxruntime is the reference here, and is not profiled",
)
