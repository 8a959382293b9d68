"""A bundle's session on a board, in a process of its own: pixels come in as frames, outputs go back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeeff.onboard import frames
from edgeeff.onboard.refusal import Refused


def main(arguments: Mapping[str, Any]) -> int:
    """Load a bundle, and run what comes until nothing more does.

    Args:
        arguments: ``bundle`` and ``threads``.
    """
    out = os.dup(1)
    os.dup2(2, 1)  # runtimes print from C++ too
    try:
        from edgeeff.onboard import arrays, bundles

        session = bundles.session(bundles.facts(Path(arguments["bundle"])), int(arguments["threads"]))
    except Refused as error:
        frames.write(out, {"error": [error.kind, error.what, error.mend]})
        return 2
    except ImportError as error:
        what = f"numpy cannot be imported on the board ({error})"
        frames.write(out, {"error": ["MissingRuntimeError", what, "install it there: pip install numpy"]})
        return 2
    frames.write(out, {"batch": [session.batch.size, session.batch.dynamic]})
    while True:
        frame = frames.read(0)
        if frame is None:
            return 0
        pixels = arrays.unpack(frame.header["arrays"], frame.payloads)["pixels"]
        said, payloads = arrays.pack(session.infer(pixels))
        frames.write(out, {"arrays": said}, payloads, sealed=False)
