# tests/plugin/edgeeff_ortcpu/ort_cpu/__init__.py
"""INT8 by onnxruntime's CPU provider, which runs the hub graph as it is."""

from edgeeff.backends import Runtime

RUNTIME = Runtime(
    name="ort_cpu",
    package=__name__,
    requires=("onnxruntime",),
    install="pip install edgeeff-ortcpu",
    inputs=("float32", "uint8"),
    precisions=("int8", "fp32"),
    artifact=("model.onnx",),
    run="pip install edgeeff-ortcpu && edgeeff run . photo.jpg",
    no_profile="onnxruntime's profile has no kernel times that are fit to compare",
)
