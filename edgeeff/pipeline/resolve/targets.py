"""Which targets are built, and what none of their runtimes can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast, get_args

from edgeeff import backends
from edgeeff.errors import MissingRuntimeError, OptionError
from edgeeff.onboard.camera import COLOURS, Camera
from edgeeff.pipeline.resolve.frames import taking
from edgeeff.pipeline.resolve.installed import INSTALL_BUILD_WING, missing_for_build
from edgeeff.target import InputType, Target, load_target


def resolve_targets(
    targets: Sequence[str | Target],
    io: str | None,
    arena: str | None = None,
    camera: Camera | None = None,
) -> list[Target]:
    """All targets, checked before any is built: each exists, and all it needs is installed.

    Raises:
        MissingRuntimeError: A runtime, or a library that building needs, is not installed.
        OptionError: No target, one named twice, no such input type, or no such arena or none that has one.
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
    if io in COLOURS:
        io = None
    if io is not None and io not in get_args(InputType):
        choices = ", ".join((*get_args(InputType), *COLOURS))
        raise OptionError(f"--io {io!r}", mend=f"choose one of {choices}")
    for target in wanted:
        backends.runtime(target.runtime).require("emit")
    if io is not None:
        wanted = [replace(target, input=cast(InputType, io)) for target in wanted]
    if arena is not None:
        wanted = _with_arena(wanted, arena)
    if camera is not None:
        wanted = [taking(target, camera) for target in wanted]
    for target in wanted:
        _refuse_impossible(target, asked=io is not None)
    return wanted


def _with_arena(targets: Sequence[Target], arena: str) -> list[Target]:
    """The targets, those of microcontrollers with the arena that they may take.

    Raises:
        OptionError: There is no such target.
    """
    having = [target for target in targets if has_arena(target)]
    if not having:
        names = ", ".join(target.name for target in targets)
        raise OptionError(
            f"--arena {arena!r:.60}: {names} has no arena", mend="leave it out, or add mcu-int8"
        )
    return [
        replace(target, runtime_properties={**target.runtime_properties, "arena": arena.strip()})
        if target in having
        else target
        for target in targets
    ]


def has_arena(target: Target) -> bool:
    """Whether a target takes memory of a size that ``--arena`` says."""
    return "arena" in backends.runtime(target.runtime).properties


def refuse_float_layers(targets: Sequence[Target], asked: Sequence[str], detector: bool = False) -> None:
    """Refuse layers in float, of a target that computes in integers throughout.

    Args:
        targets: Of the build.
        asked: The options that would leave layers in float.
        detector: Whether the network is one, whose boxes are float.

    Raises:
        OptionError: A target cannot have them.
    """
    for target in targets:
        why = backends.runtime(target.runtime).no_float
        if not why:
            continue
        if asked:
            raise OptionError(
                f"{asked[0]} leaves layers in float, and {why}",
                mend=f"leave it out, or build {target.name} in a build of its own",
            )
        if detector:
            raise OptionError(
                f"a detector's boxes are float, and {why}",
                mend=f"build it for another target than {target.name}, such as mobile-int8",
            )


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
    if target.scheme is not None and any(v.float_layers for v in target.variants):
        refuse_float_layers([target], [f"{target.name}: a variant with float_layers"])
    for properties in (target.runtime_properties, *(v.runtime_properties for v in target.variants)):
        if wrong := runtime.unknown_property(properties):
            known = runtime.known_properties() or "leave runtime_properties out"
            raise OptionError(f"{target.name}: {wrong}", mend=known)
        if runtime.refuse is not None:
            runtime.refuse(properties)
