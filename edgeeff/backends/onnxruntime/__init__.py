"""onnxruntime: the reference that hub graphs and every other runtime are compared with."""

from edgeeff.installing import install_line

REQUIRES = ("onnxruntime",)
INSTALL = install_line("build")
#: Whether its ``emit`` puts the normalisation before an integer input itself; else the hub graph holds it.
NORMALISES_INPUT = False
#: Input types that its artifacts can take.
INPUTS = ("float32", "uint8")
#: Runtime properties: none.
PROPERTIES: dict[str, tuple[str, ...]] = {}
#: Precisions that its artifacts can have.
PRECISIONS = ("int8", "fp32")
#: The files of a bundle that hold the network (one way of running it).
ARTIFACT = ("model.onnx",)
#: How a bundle is run on the device.
RUN = f"{INSTALL} && edgeeff run . photo.jpg"
#: Why there is no profile of layers.
NO_PROFILE = "onnxruntime is the reference here, and is not profiled"
