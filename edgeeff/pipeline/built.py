"""The bundles of a build: those that were made, and those that stood there and were left alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeeff.bundle import Bundle
from edgeeff.errors import BundleError, MissingFileError
from edgeeff.harness.verify import Verification
from edgeeff.pipeline.context import Context


@dataclass(frozen=True)
class Built:
    """One bundle of a build.

    Args:
        bundle: Where it stands.
        unchanged: It was there already, made from the same inputs, and was left alone.
        verification: The artifact against the float graph on held-out images; None where it cannot run here.
        hub: The hub graph in onnxruntime against the float graph, on the same images; None for float targets.
        not_run: Why it was not run, if it was not.
        check: What the runtime made of it, one line.
        training: What `--train` took and brought: steps, images, CPU seconds, dB before and after, and with
            ``again`` the option that gives the same plan on any day, with ``left_out`` the steps of the
            recipe that it replaces; None where nothing was trained.
        budget: Which layers a budget left in float, what that cost, and what was verified; None without one.
        warnings: What the user must not miss: of the network and the images, and of this bundle. Those of a
            bundle that was left alone are the ones it was built with.
    """

    bundle: Bundle
    unchanged: bool
    verification: Verification | None
    hub: Verification | None
    not_run: str | None
    check: str
    warnings: tuple[str, ...]
    training: Mapping[str, Any] | None = None
    budget: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, bundle: Bundle, report: Mapping[str, Any], *, unchanged: bool) -> Built:
        """From the report of its verification.

        Raises:
            KeyError, TypeError, ValueError: It is not as a build writes it.
        """
        artifact, hub = report.get("artifact"), report.get("hub")
        return cls(
            bundle=bundle,
            unchanged=unchanged,
            verification=None if artifact is None else Verification.from_json(artifact),
            hub=None if hub is None else Verification.from_json(hub),
            not_run=report.get("not_run"),
            check=report.get("check", ""),
            warnings=tuple(report.get("warnings", ())),
            training=None if (trained := report.get("training")) is None else dict(trained),
            budget=None if (held := report.get("budget")) is None else dict(held),
        )

    def warned(self, more: Iterable[str]) -> Built:
        """The same with more warnings: of this build, which the bundle's record does not keep."""
        return replace(self, warnings=tuple(dict.fromkeys([*self.warnings, *more])))


def standing(
    folder: Path, inputs: str, validation: str, general: Iterable[str], context: Context
) -> Built | None:
    """The bundle that stands there, if it was made from the same inputs and is whole.

    Its warnings are those that it was built with, after ``general`` ones of this build.

    Args:
        folder: Where a bundle is to be.
        inputs: The digest of all that it would be made from.
        validation: That of the images that it would be verified on.
        general: What was warned of in this build, of network and images.
        context: Hears of a record that is damaged.
    """
    try:
        if not any(folder.iterdir()):
            return None
        bundle = Bundle.load(folder)
        found, damaged = bundle.verification()
    except (BundleError, MissingFileError, OSError):  # none, or another build is moving its own in
        return None
    if damaged:
        context.warn(damaged, about=folder.name)
    if bundle.manifest.digests.get("inputs") != inputs or not found or found.get("validation") != validation:
        return None
    if bundle.altered():
        return None
    found["warnings"] = dict.fromkeys([*general, *found.get("warnings", ())])
    try:
        return Built.of(bundle, found, unchanged=True)
    except (AttributeError, KeyError, TypeError, ValueError):  # the record is not sealed: anybody may edit it
        context.warn(f"{folder}: the record of its verification is damaged; it is built again", folder.name)
        return None


def warn_replaced(folder: Path, size: tuple[int, int], context: Context) -> None:
    """Warn where a bundle of another input size stands, which will be replaced."""
    try:
        stood = Bundle.load(folder).manifest.preprocess.size
    except (BundleError, MissingFileError, OSError):
        return
    if stood != size:
        context.warn(
            f"a bundle for {stood[0]}×{stood[1]} pixels stood there, and is replaced by one for "
            f"{size[0]}×{size[1]}",
            about=folder.name,
        )


def repeat(built: Sequence[Built], context: Context) -> None:
    """Warn again of what the bundles that were left alone were built with."""
    again: dict[str, list[str]] = {}
    for one in built:
        for text in one.warnings if one.unchanged else ():
            again.setdefault(text, []).append(one.bundle.name)
    context.progress.repeat(again)
