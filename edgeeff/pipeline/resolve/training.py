"""How the quantised network is trained: what the user says, checked."""

from __future__ import annotations

import re
from typing import Literal

from edgeeff.errors import OptionError
from edgeeff.pipeline.options import TrainOptions
from edgeeff.pipeline.request.parts import Training


def resolve_training(said: Training) -> TrainOptions | None:
    """None where nothing is trained.

    Raises:
        OptionError: A value makes no sense, or images are missing.
    """
    others = {
        "--minutes": said.minutes,
        "--train-steps": said.train_steps,
        "--train-loss": said.train_loss,
        "--train-labels": said.train_labels,
        "--train-device": said.train_device,
    }
    given = [flag for flag, value in others.items() if value is not None]
    if said.train is None:
        if given:
            raise OptionError(f"{given[0]} without images to train on", mend="pass them with --train")
        return None
    if said.minutes is not None and said.train_steps is not None:
        raise OptionError("--minutes and --train-steps", mend="pass one of them")
    if said.minutes is not None and not 0 < said.minutes <= 100_000:
        raise OptionError(f"--minutes {said.minutes:g}", mend="pass more than 0 and at most 100000")
    labels = said.train_labels or 0.0
    if not 0 <= labels <= 100:
        raise OptionError(f"--train-labels {labels:g}", mend="pass 0 to 100; 0.01 is much")
    kind, temperature = _loss(said.train_loss or "mse")
    return TrainOptions(
        *(said.train_steps, said.minutes, kind, temperature, labels, _device(said.train_device))
    )


def _loss(said: str) -> tuple[Literal["mse", "kl"], float]:
    if said == "mse":
        return "mse", 2.0
    found = re.fullmatch(r"kl(?::([0-9]+(?:\.[0-9]+)?))?", said)
    temperature = float(found[1] or 2) if found else 0.0
    if not 0.1 <= temperature <= 100:
        raise OptionError(f"--train-loss {said!r:.40}", mend="write mse, kl, or kl:2 for temperature 2")
    return "kl", temperature


def _device(said: str | None) -> str:
    if said not in (None, "cpu", "cuda"):
        raise OptionError(f"--train-device {said!r:.40}", mend="choose cpu or cuda")
    if said == "cpu":
        return "cpu"
    import torch

    there = torch.cuda.is_available()
    if said == "cuda" and not there:
        raise OptionError(
            "--train-device cuda, and this torch has no CUDA device",
            mend="leave it out, or install torch with it",
        )
    return "cuda" if there else "cpu"


def refuse_training(
    options: TrainOptions | None, *, exclusive: bool, classifies: bool, quantises: bool
) -> None:
    """Refuse what cannot be trained so.

    Args:
        options: How is trained; None: it is not.
        exclusive: Whether the network's classes exclude each other.
        classifies: Whether its output is logits.
        quantises: Whether any target is INT8.

    Raises:
        OptionError: A loss that the network does not have, or nothing to train.
    """
    if options is None:
        return
    if not quantises:
        raise OptionError("--train with float targets alone", mend="leave it out, or name an INT8 target")
    if exclusive and classifies:
        return
    what = "of a class for each image" if exclusive else "of classes that exclude each other"
    if options.loss == "kl":
        raise OptionError(f"--train-loss kl is {what}", mend="use mse, which every network has")
    if options.labels:
        raise OptionError(f"--train-labels is {what}", mend="leave it out")
