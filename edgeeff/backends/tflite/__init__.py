"""TFLite / LiteRT: INT8 on phones, through XNNPACK."""

from edgeeff.backends import Runtime
from edgeeff.batch import ONE, Batch
from edgeeff.detection import Nms
from edgeeff.installing import install_line


def _no_boxes(nms: Nms, batch: Batch) -> str:
    """What TFLite_Detection_PostProcess does not take."""
    if batch != ONE:
        return "TFLite makes boxes of one image in a run alone"
    return "" if nms.iou > 0 else "TFLite makes boxes with an IoU over 0 alone"


_INSTALL = install_line("tflite")
RUNTIME = Runtime(
    name="tflite",
    frames=True,
    package=__name__,
    requires=(("ai_edge_litert", "tflite_runtime"),),  # old devices have the old package
    install=_INSTALL,
    inputs=("float32", "uint8", "int8"),
    float_inputs=("float32",),  # an integer input comes with integers throughout
    precisions=("int8", "fp32"),
    batches=("one", "fixed", "dynamic"),
    artifact=("model.tflite",),
    run=f"{_INSTALL} && edgeeff run . photo.jpg",
    tools=("ai-edge-litert", "flatbuffers"),
    one_normalisation="MediaPipe takes no mean and std per channel",
    integer_outputs=True,
    channels_last=True,
    properties={"delegate": ("xnnpack", "none")},
    nms=("per class", "across"),
    no_boxes=_no_boxes,
    no_profile=(
        "LiteRT's Python API times no operators; its benchmark_model does, with --enable_op_profiling=true"
    ),
)
