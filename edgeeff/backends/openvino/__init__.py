"""OpenVINO: INT8 on x86 and ARM CPUs."""

REQUIRES = ("openvino",)
INSTALL = "pip install 'edgeeff[openvino]'"
#: Whether its ``emit`` puts the normalisation before an integer input itself; else the hub graph holds it.
NORMALISES_INPUT = True
