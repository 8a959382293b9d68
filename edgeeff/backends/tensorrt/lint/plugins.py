"""NVIDIA's plugins for non-maximum suppression, which a parser finds by their names.

From the sources of TensorRT's plugins (NVIDIA/TensorRT, tags 8.5.1 to 11.1) and their changelog.
"""

from __future__ import annotations

from edgeeff.backends.tensorrt.lint.versions import Version

EFFICIENT = "EfficientNMS_TRT"
#: The first version without each; 11.1 is the last whose sources have EfficientNMS_TRT for certain.
GONE = {
    name: Version(11, 0)
    for name in (
        "BatchedNMSDynamic_TRT",
        "BatchedNMS_TRT",
        "EfficientNMS_ONNX_TRT",
        "NMSDynamic_TRT",
        "NMS_TRT",
    )
}
DEPRECATED, UNVERIFIED = Version(10, 12), Version(11, 2)
#: The first that knows the attribute class_agnostic.
AGNOSTIC = Version(8, 6)

NAMES = frozenset({EFFICIENT, *GONE})
