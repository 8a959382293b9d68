"""A GStreamer line from a file or a camera through nvinfer, as a shell script.

The part of a frame that a classifier was trained to see is cut out by nvvideoconvert, because nvinfer can
only stretch a frame or letterbox it; a detector's letterbox is nvinfer's.
``src-crop=left:top:width:height`` and ``interpolation-method`` are nvvideoconvert's (its manual); odd numbers
are not for NV12, whose colours come for two by two pixels.
"""

from __future__ import annotations

from math import gcd

from edgeeff.backends.tensorrt.deployment import FOLDER, NVINFER_CHANNELS, Deployment
from edgeeff.backends.tensorrt.deployment.deepstream import FILTERS, NAME

SCRIPT = f"{FOLDER}/deepstream/run.sh"

_SOURCE = """\
#!/bin/sh
# @NAME@ on frames, by DeepStream. NOT RUN on a device.
#
#   sh run.sh file clip.mp4 [WIDTH HEIGHT]      whatever decodebin decodes, of 1920 1080 if not said
#   sh run.sh usb [/dev/video0 [WIDTH HEIGHT]]  a USB camera, raw frames of 640 480 if not said
#   sh run.sh csi [0 [WIDTH HEIGHT]]            a camera on the Jetson's own port, 1920 1080 if not said
#
# Labels are drawn into the picture. SINK=nv3dsink or SINK=fakesink instead of autovideosink.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
kind=${1:-}
origin=${2:-}
case $kind in
usb) width=${3:-640} height=${4:-480} ;;
*) width=${3:-1920} height=${4:-1080} ;;
esac

case $kind in
file)
    [ -f "$origin" ] || { echo "run.sh: no file '$origin'" >&2; exit 2; }
    set -- filesrc "location=$origin" ! decodebin
    ;;
usb)
    set -- v4l2src "device=${origin:-/dev/video0}" ! "video/x-raw,width=$width,height=$height" ! videoconvert
    ;;
csi)
    set -- nvarguscamerasrc "sensor-id=${origin:-0}" \\
        ! "video/x-raw(memory:NVMM),width=$width,height=$height"
    ;;
*)
    echo "run.sh: say file, usb or csi" >&2
    exit 2
    ;;
esac

"""

_CUT = """\
# What the network sees of a frame: @SEEN@.
if [ "$width" -eq @WIDTH@ ] && [ "$height" -eq @HEIGHT@ ]; then
    box_width=$width box_height=$height
@BOX@
fi
box_width=$((box_width / 2 * 2)) box_height=$((box_height / 2 * 2))
left=$(((width - box_width) / 4 * 2)) top=$(((height - box_height) / 4 * 2))

exec gst-launch-1.0 "$@" \\
    ! nvvideoconvert "src-crop=$left:$top:$box_width:$box_height" interpolation-method=@FILTER@ \\
    ! "video/x-raw(memory:NVMM),format=NV12,width=@WIDTH@,height=@HEIGHT@" \\
    ! mux.sink_0 nvstreammux name=mux batch-size=1 width=@WIDTH@ height=@HEIGHT@ \\
    ! nvinfer "config-file-path=$here/@CONFIG@" \\
    ! nvvideoconvert ! nvdsosd ! nvvideoconvert ! "${SINK:-autovideosink}"
"""

_WHOLE = """\
exec gst-launch-1.0 "$@" \\
    ! nvvideoconvert ! "video/x-raw(memory:NVMM),format=NV12" \\
    ! mux.sink_0 nvstreammux name=mux batch-size=1 "width=$width" "height=$height" \\
    ! nvinfer "config-file-path=$here/@CONFIG@" \\
    ! nvvideoconvert ! nvdsosd ! nvvideoconvert ! "${SINK:-autovideosink}"
"""

#: In pixels of the frame, whole numbers as the shell computes; @CROP@ is in ten-thousandths.
_SQUASHED = """\
else
    box_width=$((width * @CROP@ / 10000)) box_height=$((height * @CROP@ / 10000))"""
_COVERED = """\
elif [ $((width * @HEIGHT@)) -gt $((height * @WIDTH@)) ]; then
    box_height=$((height * @CROP@ / 10000)) box_width=$((height * @CROP@ * @WIDTH@ / @HEIGHT@ / 10000))
else
    box_width=$((width * @CROP@ / 10000)) box_height=$((width * @CROP@ * @HEIGHT@ / @WIDTH@ / 10000))"""


def files(deployment: Deployment) -> dict[str, str]:
    """``run.sh``, beside the configuration that it names, if there is one and one source is enough for it."""
    preprocess, batch = deployment.emission.preprocess, deployment.batch
    if deployment.shape[1] not in NVINFER_CHANNELS or (batch.size > 1 and not batch.dynamic):
        return {}
    if deployment.features and not deployment.boxes:  # which no element draws into a picture
        return {}
    height, width = deployment.shape[2:]
    common = gcd(width, height)
    shape = "squashed" if preprocess.squash else f"in the ratio {width // common}:{height // common}"
    values = {
        "@BOX@": _SQUASHED if preprocess.squash else _COVERED,
        "@NAME@": deployment.title,
        "@SEEN@": f"{preprocess.crop:.3g} of it, from the middle, {shape}",
        "@CROP@": str(round(preprocess.crop * 10000)),
        "@FILTER@": str(FILTERS[preprocess.interpolation]),
        "@WIDTH@": str(width),
        "@HEIGHT@": str(height),
        "@CONFIG@": NAME.rpartition("/")[2],
    }
    text = _SOURCE + (_WHOLE if preprocess.letterbox else _CUT)
    for mark, value in values.items():
        text = text.replace(mark, value)
    return {SCRIPT: text}
