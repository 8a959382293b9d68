"""OpenVINO's benchmark_app, asked what ``edgeeff bench`` measures: one request after another."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from edgeeff.backends.tool import Asked, Reading

NAME = "benchmark_app"

_ELEMENTS = {"uint8": "u8", "int8": "i8", "float32": "f32"}
_CODE = "from openvino.tools.benchmark.main import main; main()"


def command(asked: Asked) -> list[str]:
    """The command line; the input is random, and filled once.

    Without ``-ip`` it would put a conversion of its own before the network, and ``-nthreads`` wants no hint
    on the command line: the bundle's properties come by a file.
    """
    config = asked.into / "config.json"
    config.write_text(json.dumps({"CPU": dict(asked.properties)}), encoding="utf-8")
    made = [sys.executable, "-c", _CODE, "-m", str(asked.folder / "model.xml"), "-d", "CPU"]
    made += ["-api", "sync", "-hint", "none", "-nthreads", str(asked.threads), "-load_config", str(config)]
    made += ["-ip", _ELEMENTS[asked.input_type], "-op", "f32", "-inference_only"]
    made += ["-t", str(max(1, round(asked.seconds)))]
    if asked.dynamic:
        import openvino as ov

        taken = ov.Core().read_model(asked.folder / "model.xml").inputs
        named = len(taken) > 1
        made += ["-data_shape", ",".join(_shape(one, asked.images, named=named) for one in taken)]
    return [*made, "-json_stats", "-report_type", "no_counters", "-report_folder", str(asked.into)]


def _shape(taken: Any, images: int, *, named: bool) -> str:
    """An input's shape with so many images, behind its name where there are several."""
    sizes = [str(images), *(str(side.get_length()) for side in list(taken.partial_shape)[1:])]
    return f"{taken.any_name if named else ''}[{','.join(sizes)}]"


def read(asked: Asked) -> Reading:
    """What it wrote.

    Raises:
        KeyError, ValueError, OSError: It wrote nothing that can be read.
    """
    found = json.loads(Path(asked.into / "benchmark_report.json").read_text(encoding="utf-8"))
    results = found["execution_results"]
    return Reading(float(results["latency (ms)"]), float(results["min latency"]))
