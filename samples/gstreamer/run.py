"""Frames of a file, a camera or RTSP through a bundle of OpenVINO or LiteRT, by GStreamer. No edgeeff.

    python3 run.py BUNDLE clip.mp4
    python3 run.py BUNDLE /dev/video0 --latest
    python3 run.py BUNDLE rtsp://camera/live --latest --show autovideosink

Prints a line for each label or box, with tabs between: frame, seconds, and what the other samples print.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))
import bundle
import runtimes

try:
    import gi

    gi.require_version("Gst", "1.0")
    import pixels
    from gi.repository import Gst
except (ImportError, ValueError) as error:
    print(f"GStreamer's Python is not here ({error}): apt-get install python3-gi", file=sys.stderr)
    sys.exit(2)

WAIT = 10  # seconds without a frame after which a live source is lost; it is opened again after a pause
PAUSES = (0.5, 1, 2, 5)


def pipeline(source: str, latest: bool, show: str | None) -> Any:
    """GStreamer's elements from a source to an appsink; ``show`` is a sink for frames with text."""
    if source.startswith("/dev/"):
        head = "v4l2src name=camera"
    elif "://" in source:
        head = "uridecodebin name=stream"
    else:
        head = "filesrc name=file ! decodebin"
    drop = "max-buffers=1 drop=true" if latest else "max-buffers=2 drop=false"
    end = f"queue ! videoconvert ! video/x-raw,format={pixels.FORMATS} ! appsink name=out sync=false {drop}"
    if show:
        leak = "leaky=downstream" if latest else ""
        drawn = f"queue {leak} ! videoconvert ! textoverlay name=text ! videoconvert ! {show}"
        end = f"tee name=t t. ! {end} t. ! {drawn}"
    made = Gst.parse_launch(f"{head} ! {end}")
    made.connect("deep-element-added", pixels.accurate)
    for name, key, value in (
        ("camera", "device", source),
        ("stream", "uri", source),
        ("file", "location", source),
    ):
        if element := made.get_by_name(name):
            element.set_property(key, value)
    return made


class EndedError(Exception):
    """The source is over: the reason, or an empty text at the end of a stream."""


def frames(made: Any, stopped: list[int]) -> Iterator[Any]:
    """Samples until the source ends; raises EndedError."""
    sink, bus = made.get_by_name("out"), made.get_bus()
    made.set_state(Gst.State.PLAYING)
    waited = time.monotonic()
    while not stopped:
        sample = sink.emit("try-pull-sample", Gst.SECOND // 5)
        if sample is not None:
            waited = time.monotonic()
            yield sample
            continue
        message = bus.pop_filtered(Gst.MessageType.ERROR | Gst.MessageType.EOS)
        if message is not None and message.type == Gst.MessageType.ERROR:
            raise EndedError(message.parse_error()[0].message)
        if message is not None or sink.get_property("eos"):
            raise EndedError("")
        if time.monotonic() - waited > WAIT:
            raise EndedError(f"no frame for {WAIT} s")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("source", help="a file, /dev/video0, or an address such as rtsp://host/path")
    parser.add_argument("--latest", action="store_true", help="drop frames rather than lag behind")
    parser.add_argument("--frames", type=int, default=0, help="end after so many [all]")
    parser.add_argument(
        "--reopen", type=int, default=20, help="times that RTSP is opened again in a row [20]"
    )
    parser.add_argument("--show", metavar="SINK", help="draw the first line on the frames: autovideosink")
    asked = parser.parse_args()
    facts = bundle.read(asked.bundle)
    run, channels_first = runtimes.opened(asked.bundle, facts)
    Gst.init(None)
    stopped = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, _: stopped.append(number))
    if "://" not in asked.source and not Path(asked.source).exists():
        raise SystemExit(f"no file or camera {asked.source}")
    done = broken = lost = 0
    while not stopped and (not asked.frames or done < asked.frames):
        made, begun = pipeline(asked.source, asked.latest, asked.show), done
        text = made.get_by_name("text")
        try:
            for sample in frames(made, stopped):
                frame = sample.get_buffer()
                broken += frame.has_flags(Gst.BufferFlags.CORRUPTED)
                photo = pixels.photo(sample)
                fitted, back = bundle.fitted(facts, photo)
                outputs = run(bundle.prepared(facts, fitted, channels_first))
                lines = list(bundle.answers(facts, outputs, back, photo.size))
                at = sample.get_segment().to_stream_time(Gst.Format.TIME, frame.pts)
                seconds = "" if at == Gst.CLOCK_TIME_NONE else f"{at / Gst.SECOND:.3f}"
                for line in lines:
                    print(f"{done}\t{seconds}\t{line}", flush=True)
                if text:
                    text.set_property("text", lines[0].replace("\t", "  ") if lines else "")
                done += 1
                if asked.frames and done >= asked.frames:
                    break
        except EndedError as end:
            lost = 0 if done > begun else lost
            if asked.source.startswith("rtsp") and lost < asked.reopen:
                print(f"{asked.source}: {end or 'it ended'}; opened again", file=sys.stderr)
                time.sleep(PAUSES[min(lost, len(PAUSES) - 1)])
                lost += 1
            elif str(end) or not done:
                raise SystemExit(f"{asked.source}: {end or 'it holds no frame'}") from None
            else:
                break
        finally:
            made.set_state(Gst.State.NULL)
    print(f"{done} frames, {broken} of them damaged", file=sys.stderr)


if __name__ == "__main__":
    bundle.ended(main)
