"""A session over a .tflite file: that of :mod:`edgeeff.backends.tflite.onboard`, on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeeff.backends.tflite import onboard
from edgeeff.backends.tflite.onboard import FILE as FILE
from edgeeff.backends.tflite.onboard import OutputTensor as OutputTensor
from edgeeff.backends.tflite.onboard import TfliteSession as TfliteSession
from edgeeff.batch import Batch
from edgeeff.errors import BundleError, MissingRuntimeError, as_told
from edgeeff.installing import install_line
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
) -> TfliteSession:
    """Load the artifact of a bundle.

    Args:
        folder: The bundle.
        preprocess: The network's, for float inputs.
        input_type: Type of the artifact's input.
        properties: ``delegate``: ``xnnpack`` (default) or ``none``, the builtin kernels, for comparisons.
        threads: Of the kernels.
        outputs: Those that the manifest names, as the file's signature does.

    Raises:
        BundleError: The file is missing, damaged, of another input type or size, or has other outputs.
        OptionError: An unknown property or value.
    """
    interpreter = make_interpreter(folder, properties=properties, threads=threads)
    with as_told():
        try:
            session = onboard.session_over(interpreter, folder, preprocess, input_type, outputs)
        except UnicodeDecodeError:
            raise BundleError(
                f"{folder / FILE} is damaged: names in it are no text", mend="build the bundle again"
            ) from None
    return replace(session, batch=Batch(*session.batch))


def make_interpreter(folder: Path, *, properties: Mapping[str, str], threads: int = 1) -> Any:
    """The artifact's interpreter with its tensors allocated; arguments and errors as in :func:`load`.

    Raises:
        MissingRuntimeError: No interpreter is installed.
    """
    try:
        with as_told():
            return onboard.make_interpreter(folder, properties, threads, onboard.LITERT)
    except MissingRuntimeError as error:
        raise MissingRuntimeError(error.what, mend=f"install it: {install_line('tflite')}") from None
