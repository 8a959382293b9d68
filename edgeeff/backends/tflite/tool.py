"""LiteRT's benchmark of its wheel (``litert-benchmark``), asked what ``edgeeff bench`` measures.

It runs the artifact by LiteRT's newer interface, CompiledModel, on XNNPACK.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

from edgeeff.backends.tool import Asked, Reading
from edgeeff.errors import MissingRuntimeError, OptionError

NAME = "litert-benchmark"

_MODULE = "ai_edge_litert.tools.benchmark_litert_model"
_RESULT = "result.json"


def command(asked: Asked) -> list[str]:
    """The command line; the input is random, and filled once.

    Raises:
        MissingRuntimeError: The installed LiteRT brings no benchmark.
        OptionError: It cannot run the artifact as it is to be measured.
    """
    if find_spec("ai_edge_litert") is None or find_spec(_MODULE) is None:
        raise MissingRuntimeError(
            "the installed LiteRT brings no benchmark", mend="install ai-edge-litert 2.1 or newer"
        )
    if asked.properties.get("delegate", "xnnpack") != "xnnpack":
        raise OptionError("it always runs on XNNPACK", mend="compare a bundle with that delegate")
    if asked.dynamic and asked.images != 1:
        raise OptionError(
            "it does not resize an input", mend="compare with --images 1, or a bundle of a fixed --batch"
        )
    made = [sys.executable, "-c", f"from {_MODULE} import main; main()"]
    made += ["--model", str(asked.folder / "model.tflite"), "--num_threads", str(asked.threads)]
    made += ["--num_runs", str(asked.runs), "--warmup_runs", str(max(5, asked.runs // 4))]
    return [*made, "--result_json", str(asked.into / _RESULT)]


def read(asked: Asked) -> Reading:
    """What it wrote, which is rounded to 10 µs.

    Raises:
        KeyError, ValueError, OSError: It wrote nothing that can be read.
    """
    found = json.loads((asked.into / _RESULT).read_text(encoding="utf-8"))
    return Reading(float(found["latency"]["median_ms"]), float(found["latency"]["min_ms"]))
