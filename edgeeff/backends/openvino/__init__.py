"""OpenVINO: INT8 on x86 and ARM CPUs."""

from edgeeff.installing import install_line

REQUIRES = ("openvino",)
INSTALL = install_line("openvino")
#: Whether its ``emit`` puts the normalisation before an integer input itself; else the hub graph holds it.
NORMALISES_INPUT = True
#: Input types that its artifacts can take.
INPUTS = ("float32", "uint8", "int8")
#: Precisions that its artifacts can have.
PRECISIONS = ("int8", "fp16", "bf16", "fp32")
#: The files of a bundle that hold the network (one way of running it).
ARTIFACT = ("model.xml", "model.bin")
#: How a bundle is run on the device.
RUN = f"{INSTALL} && edgeeff run . photo.jpg"
