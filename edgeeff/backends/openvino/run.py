"""A session over OpenVINO IR: that of :mod:`edgeeff.backends.openvino.onboard`, on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import openvino as ov

from edgeeff import inference_device
from edgeeff.backends.openvino import onboard
from edgeeff.backends.openvino.onboard import OpenVinoQueue as OpenVinoQueue
from edgeeff.backends.openvino.onboard import OpenVinoSession as OpenVinoSession
from edgeeff.batch import Batch
from edgeeff.errors import as_told
from edgeeff.preprocess import Preprocess
from edgeeff.target import InputType


def load(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
    outputs: Sequence[str] = (),
) -> OpenVinoSession:
    """Compile the IR of a bundle for this CPU.

    Raises:
        BundleError: The IR is missing or broken, or has not the bundle's outputs.
    """
    compiled = compile_model(folder, properties, threads)
    return session_over(compiled, folder, preprocess, input_type, outputs)


def session_over(
    compiled: Any, folder: Path, preprocess: Preprocess, input_type: InputType, outputs: Sequence[str]
) -> OpenVinoSession:
    """A session over a compiled model; :func:`load` says the rest."""
    with as_told():
        session = onboard.session_over(compiled, folder, preprocess, input_type, outputs)
    return replace(session, batch=Batch(*session.batch))


def load_queue(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
    outputs: Sequence[str] = (),
    requests: int = 1,
) -> OpenVinoQueue:
    """The same for several requests in flight: as many streams as requests, one for each thread at most.

    Raises:
        BundleError: As for :func:`load`.
    """
    streams = {"NUM_STREAMS": str(min(requests, threads))}
    compiled = compile_model(folder, {**streams, **properties, "PERFORMANCE_HINT": "THROUGHPUT"}, threads)
    session = session_over(compiled, folder, preprocess, input_type, outputs)
    return OpenVinoQueue(session, ov.AsyncInferQueue(compiled, requests))


def compile_model(folder: Path, properties: Mapping[str, str], threads: int) -> Any:
    """The bundle's IR, compiled with the bundle's properties, for the device that the process asks for.

    Raises:
        BundleError: OpenVINO does not take it.
        OptionError: There is no such device.
    """
    cache = inference_device.model_cache()
    with as_told():
        compiled = onboard.compile_model(folder, properties, threads, inference_device.named(), cache)
    if cache is not None:
        inference_device.bound(cache)
    return compiled
