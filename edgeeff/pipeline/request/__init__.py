"""A build as data: :class:`BuildRequest`, made from keywords, from the command line or from ``edgeeff.toml``.

Nothing here looks at a file or a network: that is :mod:`edgeeff.pipeline.resolve`'s. It is light, so that the
command line starts at once.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgeeff import regular
from edgeeff.errors import OptionError
from edgeeff.pipeline.request.declaring import changed, declared
from edgeeff.pipeline.request.held import is_network
from edgeeff.pipeline.request.parts import (
    Detector,
    Images,
    Meaning,
    Output,
    Preprocessing,
    Quantise,
    Source,
    Training,
    options,
)

if TYPE_CHECKING:
    from typing import Unpack  # Python 3.11's; its users are annotations, which nothing evaluates

    from torch import nn

    from edgeeff.pipeline.request.keywords import BuildKeywords


@dataclass(frozen=True)
class BuildRequest:
    """All that a user says of a build: plain data that can be compared and pickled.

    Args:
        source: The network.
        output: Targets, and where their bundles go.
        images: What calibrates and what is judged by.
        preprocess: How images are prepared.
        meaning: What the outputs mean.
        detector: Of a detector which boxes are kept, and who makes them.
        quantise: How the network is quantised.
        training: How the quantised network is trained.
    """

    source: Source = field(default_factory=Source)
    output: Output = field(default_factory=Output)
    images: Images = field(default_factory=Images)
    preprocess: Preprocessing = field(default_factory=Preprocessing)
    meaning: Meaning = field(default_factory=Meaning)
    detector: Detector = field(default_factory=Detector)
    quantise: Quantise = field(default_factory=Quantise)
    training: Training = field(default_factory=Training)

    @classmethod
    def of(cls, **keywords: Unpack[BuildKeywords]) -> BuildRequest:
        """A request of these keywords; None stands for a keyword's default.

        Raises:
            OptionError: A value that its option cannot have.
            TypeError: No option of that name.
        """
        return cls().changed(**keywords)

    @classmethod
    def from_any(
        cls, said: BuildRequest | str | nn.Module | None, **keywords: Unpack[BuildKeywords]
    ) -> BuildRequest:
        """A request, a network's name or a torch module, with what keywords say beside it.

        Raises:
            OptionError: A value that its option cannot have.
            TypeError: No option of that name, or something else in a request's place.
        """
        if said is None or isinstance(said, BuildRequest):
            return (said or cls()).changed(**keywords)
        name = "model" if isinstance(said, str) else "checkpoint"
        if name in keywords:
            raise TypeError(f"{name} is passed twice")
        if not isinstance(said, str) and not is_network(said):
            raise TypeError(
                f"a {type(said).__qualname__} is no request, no network's name and no torch module"
            )
        return cls().changed(**{name: said}, **keywords)  # type: ignore[misc]

    @classmethod
    def read(cls, path: Path | str) -> BuildRequest:
        """A request of a file such as ``edgeeff.toml``: docs/options.md says what it holds.

        Raises:
            OptionError: The file cannot be read, or holds what no option has.
        """
        from edgeeff.pipeline.request import config  # it brings pydantic

        values = config.read(regular.path_of(path)).values
        return cls.of(**{one.name: values[one.name] for one in options() if one.name in values})

    def changed(self, **keywords: Unpack[BuildKeywords]) -> BuildRequest:
        """The same with other values for these keywords.

        Raises:
            OptionError: A value that its option cannot have.
            TypeError: No option of that name.
        """
        return changed(self, keywords, options(), "a build")

    def keywords(self) -> BuildKeywords:
        """What :meth:`of` makes this request from again: the values that are not the default."""
        found: Any = {}
        for part in fields(self):
            own = getattr(self, part.name)
            for one in declared(type(own)):
                value = getattr(own, one.name)
                if value is not one.default and value != one.default:
                    found[one.name] = value
        return found  # type: ignore[no-any-return]


Function = TypeVar("Function", bound=Callable[..., Any])


def takes_options(function: Function) -> Function:
    """Give a function that takes an option's value by its name, as ``**keywords``, its signature and help."""
    own = inspect.signature(function)
    kept = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    made = [
        inspect.Parameter(
            one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=one.kind.keyword
        )
        for one in options()
    ]
    function.__signature__ = own.replace(parameters=[*kept, *made])  # type: ignore[attr-defined]
    helps = (
        textwrap.fill(f"{one.name}: {one.help}", 100, initial_indent=" " * 4, subsequent_indent=" " * 8)
        for one in options()
    )
    described = inspect.cleandoc(function.__doc__ or "")
    function.__doc__ = "\n".join([described, "", "Keywords:", *helps])
    return function


def refuse_other_verbs(request: BuildRequest, verb: str) -> None:
    """Refuse what a verb that takes less than a build has no use for.

    Raises:
        OptionError: Such an option is given.
    """
    own = {one.name for one in options(verb)}
    if other := [one.flag for one in options() if one.name in request.keywords().keys() - own]:
        raise OptionError(f"{', '.join(other)} has no meaning for {verb}", mend="leave that out")
