"""Which targets are built, and what none of their runtimes can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast, get_args

from edgeeff import backends
from edgeeff.errors import MissingRuntimeError, OptionError
from edgeeff.pipeline.resolve.installed import INSTALL_BUILD_WING, missing_for_build
from edgeeff.target import InputType, Target, load_target


def resolve_targets(targets: Sequence[str | Target], io: str | None) -> list[Target]:
    """All targets, checked before any is built: each exists, and all it needs is installed.

    Raises:
        MissingRuntimeError: A runtime, or a library that building needs, is not installed.
        OptionError: No target, one named twice, or no such input type.
        UnknownTargetError: No such target.
    """
    if not targets:
        raise OptionError("no target was named", mend="pass --target, one of `edgeeff targets`")
    wanted = [t if isinstance(t, Target) else load_target(t) for t in targets]
    twice = {t.name for t in wanted if [o.name for o in wanted].count(t.name) > 1}
    if twice:
        raise OptionError(f"target {', '.join(sorted(twice))} was named twice", mend="name each target once")
    if absent := missing_for_build():
        raise MissingRuntimeError(
            f"building needs {', '.join(absent)}: not installed",
            mend=f"install it: {INSTALL_BUILD_WING}",
        )
    if io is not None and io not in get_args(InputType):
        raise OptionError(f"--io {io!r}", mend=f"choose one of {', '.join(get_args(InputType))}")
    for target in wanted:
        backends.runtime(target.runtime).require("emit")
    if io is not None:
        wanted = [replace(target, input=cast(InputType, io)) for target in wanted]
    for target in wanted:
        _refuse_impossible(target, asked=io is not None)
    return wanted


def _refuse_impossible(target: Target, *, asked: bool) -> None:
    """Refuse what the runtime can make no artifact of: a precision, an input, a property.

    Raises:
        OptionError: The target asks for such a thing, or ``--io`` (``asked``) does.
    """
    runtime = backends.runtime(target.runtime)
    if target.precision not in runtime.precisions:
        raise OptionError(
            f"{target.name}: {target.runtime} bundles cannot be {target.precision}",
            mend=f"say precision = {' or '.join(runtime.precisions)} in the target's file",
        )
    possible = runtime.inputs_of(quantised=target.scheme is not None)
    if target.input not in possible:
        kind = "a float bundle of " if possible != runtime.inputs else ""
        how = "pass another --io, or build this target on its own" if asked else "say so in the target's file"
        raise OptionError(
            f"{target.name} cannot take {target.input} input",
            mend=f"{kind}{target.runtime} takes {' or '.join(possible)}: {how}",
        )
    for properties in (target.runtime_properties, *(v.runtime_properties for v in target.variants)):
        if wrong := runtime.unknown_property(properties):
            known = runtime.known_properties() or "leave runtime_properties out"
            raise OptionError(f"{target.name}: {wrong}", mend=known)
        if runtime.refuse is not None:
            runtime.refuse(properties)
