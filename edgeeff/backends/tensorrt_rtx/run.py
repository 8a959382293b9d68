"""Engines of TensorRT-RTX are compiled here and run elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeeff.backends import Session
from edgeeff.errors import MissingRuntimeError
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
) -> Session:
    """Refuse: an engine cannot be deserialised without a GPU, and none was at hand to write this for.

    Raises:
        MissingRuntimeError: Always.
    """
    del preprocess, input_type, properties, threads, outputs
    raise MissingRuntimeError(
        "a TensorRT-RTX engine is deserialised only where its GPU is, and edgeeff was tried on none",
        mend=f"run an engine of {folder / 'measured'} with TensorRT-RTX's own tool, on an RTX GPU",
    )
