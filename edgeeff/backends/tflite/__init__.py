"""TFLite / LiteRT: INT8 on phones, through XNNPACK."""

from edgeeff.installing import install_line

REQUIRES = (("ai_edge_litert", "tflite_runtime"),)  # old devices have the old package
INSTALL = install_line("tflite")
#: Whether its ``emit`` puts the normalisation before an integer input itself; else the hub graph holds it.
NORMALISES_INPUT = False
#: MediaPipe Tasks refuses a float input with a mean and std per channel: that normalisation goes inside.
ONE_NORMALISATION = True
#: Input types that its artifacts can take.
INPUTS = ("float32", "uint8", "int8")
#: Those of a float artifact: an integer input comes with integers throughout.
FLOAT_INPUTS = ("float32",)
#: Runtime properties, and the values that each can have.
PROPERTIES = {"delegate": ("xnnpack", "none")}
#: Precisions that its artifacts can have.
PRECISIONS = ("int8", "fp32")
#: The files of a bundle that hold the network (one way of running it).
ARTIFACT = ("model.tflite",)
#: How a bundle is run on the device.
RUN = f"{INSTALL} && edgeeff run . photo.jpg"
#: Why there is no profile of layers.
NO_PROFILE = (
    "LiteRT's Python API times no operators; its benchmark_model does, with --enable_op_profiling=true"
)
