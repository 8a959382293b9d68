"""TFLite / LiteRT: INT8 on phones, through XNNPACK."""

REQUIRES = (("ai_edge_litert", "tflite_runtime"),)  # old devices have the old package
INSTALL = "pip install 'edgeeff[tflite]'"
#: Whether its ``emit`` puts the normalisation before an integer input itself; else the hub graph holds it.
NORMALISES_INPUT = False
