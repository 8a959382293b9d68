#!/usr/bin/env python3
"""deepstream-app's configuration for a bundle: RTSP in, RTSP with labels or boxes drawn out. No edgeeff.

    python3 configure.py BUNDLE rtsp://camera/live > app.txt
    deepstream-app -c app.txt

Python 3.8, nothing else. The bundle's own deploy/deepstream/config_infer_primary.txt says the network.
"""

import argparse
import configparser
import json
import sys
from pathlib import Path
from typing import Any

INFER = "deploy/deepstream/config_infer_primary.txt"

APP = """\
# {title}, for deepstream-app: RTSP in, rtsp://THIS-HOST:{port}/ds-test out. NOT RUN on a device.
# {seen}

[application]
enable-perf-measurement=1
perf-measurement-interval-sec=5

[tiled-display]
enable=0

[source0]
enable=1
# 4: RTSP
type=4
uri={uri}
num-sources=1
gpu-id=0
latency=200
# 4: TCP
select-rtp-protocol=4
rtsp-reconnect-interval-sec=10
rtsp-reconnect-attempts=-1

[streammux]
gpu-id=0
live-source=1
batch-size=1
batched-push-timeout=40000
width={width}
height={height}
enable-padding=0
nvbuf-memory-type=0

[primary-gie]
enable=1
gpu-id=0
gie-unique-id={gie}
nvbuf-memory-type=0
config-file={infer}

[osd]
enable=1
gpu-id=0
border-width=2
text-size=15

[sink0]
enable=1
# 4: RTSP
type=4
source-id=0
# 1: H.264
codec=1
# 0: the encoder in hardware; 1: in software, where there is none (Orin Nano)
enc-type={encoder}
sync=0
bitrate=4000000
rtsp-port={port}
udp-port=5400

[tests]
file-loop=0
"""


class RefusedError(Exception):
    """Why there is no configuration; one line."""


def network(bundle: Path) -> Any:
    """The bundle's name, its nvinfer file, and that file's group [property]."""
    path = bundle / INFER
    try:
        name = " ".join(
            str(json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["name"]).split()
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"{bundle} is no bundle ({error})") from None
    if not path.is_file():
        raise RefusedError(f"{bundle} has no {INFER}: nvinfer cannot feed it, or it is not of TensorRT")
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.read(str(path), encoding="utf-8")
    infer = dict(parser["property"])
    if infer["network-type"] == "100":
        raise RefusedError(f"{name} puts out tensors, of which deepstream-app draws nothing")
    if int(infer["batch-size"]) != 1 and not (bundle / "profile.json").is_file():
        raise RefusedError(f"{name} takes {infer['batch-size']} frames in a run, and this is one camera")
    engine = (path.parent / infer["model-engine-file"]).resolve()
    if not engine.is_file():
        line = next(
            line for line in path.read_text(encoding="utf-8").splitlines() if "trtexec --onnx" in line
        )
        print(f"{engine} is not built; in {bundle}: {line.lstrip('# ')}", file=sys.stderr)
    return name, path.resolve(), infer


def application(bundle: Path, uri: str, size: Any, port: int, software: bool) -> str:
    """The text of the configuration."""
    if not uri.startswith(("rtsp://", "rtsps://")) or any(c.isspace() or c == ";" for c in uri):
        raise RefusedError(f"{uri!r} is no address of RTSP")
    name, infer, facts = network(bundle)
    if any(c in str(infer) for c in "\n;"):
        raise RefusedError(f"{infer}: DeepStream's files cannot name such a path")
    seen = "nvinfer keeps the ratio of the frame's sides, and draws boxes onto the frame."
    if facts["maintain-aspect-ratio"] == "0":
        seen = "nvinfer stretches the whole frame; the bundle's run.sh cuts out what the network should see."
    frame = {"width": size[0], "height": size[1], "gie": facts["gie-unique-id"]}
    return APP.format(title=name, seen=seen, uri=uri, infer=infer, port=port, encoder=int(software), **frame)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("uri", help="rtsp://user:password@camera/path")
    parser.add_argument("--size", type=int, nargs=2, default=(1920, 1080), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--port", type=int, default=8554, help="of the RTSP that is put out [8554]")
    parser.add_argument("--software", action="store_true", help="encode in software (Orin Nano)")
    asked = parser.parse_args()
    try:
        print(application(asked.bundle, asked.uri, asked.size, asked.port, asked.software), end="")
    except RefusedError as refusal:
        print(f"configure.py: {refusal}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
