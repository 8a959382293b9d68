"""TensorFlow Lite for Microcontrollers (tflite-micro): int8 throughout, in an arena of known size."""

from __future__ import annotations

import re
from collections.abc import Mapping

from edgeeff.backends import Runtime
from edgeeff.backends.tflite_micro import sizes
from edgeeff.installing import install_line


def _refuse(properties: Mapping[str, str]) -> None:
    """Refuse an arena that no network fits into, before anything is built.

    Raises:
        OptionError: There is such a one.
    """
    if "arena" in properties:
        sizes.read(properties["arena"])


RUNTIME = Runtime(
    name="tflite_micro",
    package=__name__,
    requires=("ai_edge_litert",),  # its schema writes the file
    on_device=("tflite_micro",),  # a bundle is written without it, and is not verified then
    install=install_line("mcu"),
    inputs=("int8",),
    precisions=("int8",),
    artifact=("model.tflite",),
    run=f"{install_line('mcu')} && edgeeff run . photo.jpg",
    tools=("ai-edge-litert", "flatbuffers", "tflite-micro"),
    integer_outputs=True,
    channels_last=True,
    properties={"arena": re.compile(r"[ -~]{0,60}")},  # sizes.read says what it may be
    refuse=_refuse,
    no_float="tflite-micro's target computes in int8 throughout",
    no_times="tflite-micro's kernels on this machine are not those of a microcontroller",
    no_profile="tflite-micro's interpreter times no operators; a microcontroller's MicroProfiler does",
)
