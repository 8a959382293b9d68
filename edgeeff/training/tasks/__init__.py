"""What can be learnt: one file for each task, found by listing, by the names of ``edgeeff.tasks``.

A file holds

- ``PRECEDENCE``: of the tasks whose photos these may be the lowest is taken;
- ``claims(images)``: whether what the photos bear is for it;
- ``label(train, validation, seed, context)``: the classes, and what is known of each photo (:class:`Data`);
  where there is no ``validation`` a part is held out, and that is warned of;
- ``begin(setting)``: a :class:`Session`.

Where it has one, ``preprocess(own, changed)`` is how it shows photos to a network of another task, such as a
classifier's trunk; ``Session.made(identity)`` what the network became, where it is another one than it began
with.

A file whose name begins with an underscore is a part of others.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol, cast

from torch import Tensor

from edgeeff.errors import LabelsError, OptionError
from edgeeff.images import ImageSet
from edgeeff.pipeline.context import Context
from edgeeff.training.loop import Course, Learner
from edgeeff.training.photos.labelled import Data
from edgeeff.training.setting import Setting


@dataclass(frozen=True)
class Phase:
    """A part of a training: a learner and its course; the next one is asked for when it is done.

    Args:
        name: ``head``, ``blocks``; of its bookmark and its curve.
        doing: What the progress bar says.
        learner: What learns.
        course: How long and how fast.
        facts: All that its result hangs on beside the setting, as plain data.
    """

    name: str
    doing: str
    learner: Learner
    course: Course
    facts: Mapping[str, Any]


class Session(Protocol):
    """One training of a task."""

    def phases(self) -> Iterator[Phase]:
        """What is to be done, one after another."""

    def tensors(self) -> Mapping[str, Tensor]:
        """The network's tensors by our names, once all phases are done."""

    def says(self) -> Mapping[str, Any]:
        """What the checkpoint says of itself beside what every one does: plain data."""

    def scored(self) -> Mapping[str, Any]:
        """The scores of the whole network on the photos that judge, as the task's own scorer has them."""


class Task(Protocol):
    """A task's file."""

    PRECEDENCE: int
    claims: Callable[[ImageSet], bool]
    label: Callable[[ImageSet, ImageSet | None, int, Context], Data]
    begin: Callable[[Setting], Session]


@lru_cache
def names() -> tuple[str, ...]:
    """The tasks, sorted."""
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name[0] != "_"))


def room(name: str) -> Task:
    """A task's file.

    Raises:
        OptionError: Nothing of that name can be learnt.
    """
    if name not in names():
        raise OptionError(f"--task {name!r:.40} cannot be learnt", mend=f"choose one of {', '.join(names())}")
    return cast(Task, import_module(f"{__name__}.{name}"))


def choose(said: str | None, images: ImageSet) -> str:
    """The task: what the user says, else the first that the photos' labels are for.

    Raises:
        OptionError: Nothing of that name can be learnt.
        LabelsError: The photos have no labels.
    """
    if said is not None:
        room(said)
        return said
    for name in sorted(names(), key=lambda name: room(name).PRECEDENCE):
        if room(name).claims(images):
            return name
    raise LabelsError(
        "the photos have no labels to learn",
        mend="put them into a folder for each class, or list them in a CSV: path,class",
    )
