"""TensorRT: INT8 on NVIDIA Jetson. A bundle is built anywhere; its engine is built on the device."""

REQUIRES = ()  # JetPack brings tensorrt to the device, and a bundle is written without it
INSTALL = "JetPack installs tensorrt on the device"
#: Whether its ``emit`` puts the normalisation before an integer input itself; else the hub graph holds it.
NORMALISES_INPUT = False
