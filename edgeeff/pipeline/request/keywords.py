"""The keywords of :func:`edgeeff.build`, for editors and type checkers.

Written by ``make options`` from the declarations in :mod:`edgeeff.pipeline.request.parts`: change those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from torch import nn

    from edgeeff.target import Target


class BuildKeywords(TypedDict, total=False):
    """What may be said of a build: docs/options.md says what each keyword means."""

    model: str | None
    checkpoint: Path | str | nn.Module | None
    weights: str | None
    trust_checkpoint: bool
    prefix: str | None
    head: str | None
    channels: str | None
    padding: str | None
    bn_epsilon: float | None
    origin: str | None
    targets: Sequence[str | Target]
    output: Path | str | None
    name: str | None
    io: str | None
    resize_in_model: tuple[int, int] | str | None
    yuv: str | None
    batch: int | str | None
    arena: str | None
    golden: int | None
    calibration: Path | str | Iterable[Any] | Callable[[], Iterable[Any]] | None
    validation: Path | str | Iterable[Any] | Callable[[], Iterable[Any]] | None
    count: int | None
    seed: int | None
    force_calibration: bool
    size: int | tuple[int, int] | str | None
    mean: float | Sequence[float] | None
    std: float | Sequence[float] | None
    crop: float | None
    interpolation: str | None
    squash: bool | None
    letterbox: float | str | Sequence[float] | None
    exif: bool | None
    white: float | None
    task: str | None
    taps: int | str | Sequence[int | str] | None
    labels: Path | str | Sequence[str] | Mapping[Any, Any] | None
    threshold: float | None
    softmax: bool
    probabilities: bool
    nms: str | None
    score: float | None
    iou: float | None
    max_boxes: int | None
    nms_across: bool
    anchor_scale: float | None
    anchor_ratios: str | Sequence[tuple[float, float]] | None
    effort: Path | str
    ranges: str | None
    plan: Path | str | None
    keep_float: Sequence[str]
    min_sqnr: float | None
    max_drop: float | str | None
    max_latency_cost: float | str | None
    cpu_class: str | None
    tuning: Path | str | None
    autotune: bool
    train: Path | str | Iterable[Any] | Callable[[], Iterable[Any]] | None
    minutes: float | None
    train_steps: int | None
    train_loss: str | None
    train_labels: float | None
    train_device: str | None
