"""What can be said of the graph without TensorRT-RTX: the same as for TensorRT."""

from edgeeff.backends.tensorrt.examine import examine

__all__ = ["examine"]
