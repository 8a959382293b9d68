"""What a task is given to train with."""

from __future__ import annotations

from dataclasses import dataclass

from edgeeff.pipeline.context import Context
from edgeeff.pipeline.stages.identity import Source
from edgeeff.preprocess import Preprocess
from edgeeff.training.photos.labelled import Data
from edgeeff.training.request import FinetuneRequest


@dataclass(frozen=True)
class Setting:
    """One training.

    Args:
        request: What the user says.
        source: The trained network that is fitted.
        arch: Its name, by which it is found again.
        preprocess: From a photo to its input: the deployment's.
        data: Photos and classes.
        context: The cache, and who hears of what is done.
    """

    request: FinetuneRequest
    source: Source
    arch: str
    preprocess: Preprocess
    data: Data
    context: Context
