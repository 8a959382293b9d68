"""onnxruntime: the reference that hub graphs and every other runtime are compared with."""

REQUIRES = ("onnxruntime",)
INSTALL = "pip install 'edgeeff[build]'"
#: Whether its ``emit`` puts the normalisation before an integer input itself; else the hub graph holds it.
NORMALISES_INPUT = False
