"""How far up the ladder of honest claims a TensorRT bundle gets: :mod:`edgeeff.backends.tensorrt.ladder`.

Rung 6 is that ``verify.py`` ran the engine on a device, and it passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from edgeeff.backends import CheckReport
from edgeeff.backends.tensorrt import ladder, results, rtx


def check(folder: Path, *, properties: Mapping[str, str]) -> CheckReport:
    """Take a bundle as far up the ladder as this machine can.

    ``status`` is ``ok`` only where a device's result in ``measured/`` says that this very bundle passed;
    ``fallback`` where NVIDIA's compiler leaves a layer meant for INT8 in another type; else ``NOT RUN``.

    Raises:
        BundleError: A graph is missing.
        VerificationError: NVIDIA's parser refuses a graph, or its compiler cannot build it.
    """
    groups = (ladder.CONTROL, ladder.QUANTISED)
    graphs = ladder.graphs_of(folder, groups)
    if any((folder / name).is_file() for name in ladder.RAW):
        graphs = ladder.graphs_of(folder, (ladder.RAW,))
    own_nms = sorted(folder.glob("model.*.nms.fp16.onnx"))
    climbed = ladder.climb([*own_nms, *graphs], partial(rtx.capabilities, properties))
    ran, engine = results.summary(folder)
    return climbed.report(engine, ran=ran)
