"""``suite.toml``: which bundles are gated, against what, on which images, within which limits.

Paths in the file are relative to it. Reading it opens the manifests of all bundles, so that what does not
exist is refused before anything is measured.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from edgeeff import devices, regular, written
from edgeeff.bundle import MANIFEST, Bundle
from edgeeff.devices import file
from edgeeff.errors import EdgeeffError, ReportError
from edgeeff.gate.limits import DEFAULTS, MOST_THREADS, OF_IMAGES, Limit, read_limit

SCHEMA = 1
#: This machine, as a device.
LOCAL = "local"
#: Bundles that one suite may have.
_MOST = 1000


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _a_name(value: str) -> str:
    if "\0" in value:
        raise ValueError("no file can have a name with a NUL byte in it")
    return value


def _read_limits(value: dict[str, Any]) -> dict[str, Limit]:
    return {name: read_limit(name, said) for name, said in value.items()}


Names = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_listed), Field(min_length=1)]
Name = Annotated[str, Field(max_length=4096), AfterValidator(_a_name)]
Limits = Annotated[dict[str, Any], AfterValidator(_read_limits)]


class _Common(BaseModel):
    """What a suite says for all cases, and a case for itself."""

    model_config = ConfigDict(extra="forbid", strict=True)
    targets: Names | None = None
    devices: Names | None = None
    images: Name | None = None
    root: Name | None = None
    reference: Name | None = None
    old: Name | None = None
    threads: int | None = Field(None, ge=1, le=MOST_THREADS)
    limits: Limits = {}


class _CaseFile(_Common):
    bundles: Names


class _SuiteFile(_Common):
    schema_: int = Field(alias="schema")
    name: str | None = Field(None, min_length=1, max_length=200)
    baselines: Name = "baselines"
    case: list[_CaseFile] = Field(min_length=1, max_length=_MOST)


@dataclass(frozen=True)
class Case:
    """One bundle on one device.

    Args:
        name: Of the bundle; distinct in its suite on each device.
        bundle: The new one.
        old: What it is held against, or None: its baseline is.
        device: Where it is measured: ``local``, or a board's address.
        images: For its accuracy, or None.
        reference: A float bundle for its fidelity, or None.
        limits: By metric; what has none is not measured.
        threads: Of its runtime.
        root: The folder of the photos that a file of boxes names; None: where they usually are.
    """

    name: str
    bundle: Bundle
    old: Bundle | None
    device: str
    images: Path | None
    reference: Path | None
    limits: Mapping[str, float]
    threads: int
    root: Path | None = None


@dataclass(frozen=True)
class Suite:
    """A suite, read and resolved.

    Args:
        path: Its file.
        name: What reports call it.
        baselines: The folder of its baselines.
        cases: In the order of the file; of one pattern in the order of the folders' names.
    """

    path: Path
    name: str
    baselines: Path
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Instead:
    """What the command line says over the file; None leaves what the file says.

    Args:
        old: A folder of old bundles.
        images: For accuracy.
        limits: By metric.
        root: The folder of the photos that a file of boxes names.
        device: Where all cases are measured.
    """

    old: Path | None = None
    images: Path | None = None
    limits: Mapping[str, Limit] | None = None
    root: Path | None = None
    device: str | None = None


def load(path: Path, instead: Instead | None = None) -> Suite:
    """Read a suite, and the manifests of all bundles that it names.

    Raises:
        ReportError: It cannot be understood; a pattern, a target, an old bundle or a device is not there; two
            cases are the same.
        BundleError: What a pattern names cannot be read as a bundle.
    """
    content = written.read(path, _SuiteFile, ReportError, SCHEMA)
    folder, cases, by = path.parent, [], instead or Instead()
    for number, case in enumerate(content.case, 1):
        cases += _cases(path, folder, content, case, number, by)
    if len(cases) > _MOST:
        raise ReportError(f"{path} has {len(cases)} cases", mend=f"{_MOST} at most: split it")
    _refuse_idle(
        f"{path}: ",
        content.model_copy(update={"limits": {**content.limits, **(by.limits or {})}}),
        images=any(case.images is not None for case in cases),
        reference=any(case.reference is not None for case in cases),
    )
    seen: dict[tuple[str, str], Path] = {}
    for one in cases:
        key, there = (one.name, one.device), "" if one.device == LOCAL else f" on {one.device}"
        if key in seen:
            raise ReportError(
                f"{path}: two cases are called {one.name!r:.200}{there}: {seen[key]} and {one.bundle.folder}",
                mend="narrow the patterns, or build one of them with --name",
            )
        seen[key] = one.bundle.folder
    return Suite(path, content.name or path.stem, folder / content.baselines, tuple(cases))


def _cases(
    path: Path, folder: Path, suite: _SuiteFile, case: _CaseFile, number: int, by: Instead
) -> list[Case]:
    """The cases of one ``[[case]]``, one for each bundle on each device."""
    where = f"{path} case {number}"
    places = [by.device] if by.device is not None else case.devices or suite.devices or [LOCAL]
    for device in places:
        _refuse_unknown(where, device)
    bundles = _bundles(where, folder, case.bundles)
    targets = case.targets or suite.targets
    if targets is not None:
        there = {bundle.manifest.target for bundle in bundles}
        if absent := [target for target in targets if target not in there]:
            raise ReportError(
                f"{where}: no bundle of target {', '.join(map(repr, absent))} among those of "
                f"{', '.join(case.bundles)}, whose targets are {', '.join(sorted(there))}",
                mend="build it, or take the target out of the case",
            )
        bundles = [bundle for bundle in bundles if bundle.manifest.target in targets]
    images = by.images or _beside(folder, case.images or suite.images)
    root = by.root or (None if by.images else _beside(folder, case.root or suite.root))
    reference = _beside(folder, case.reference or suite.reference)
    old = by.old or _beside(folder, case.old or suite.old)
    olds = _old_bundles(where, old) if old is not None else {}
    limits = {**DEFAULTS, **suite.limits, **case.limits, **(by.limits or {})}
    for name, said in (("images", images), ("root", root), ("reference", reference)):
        if said is not None and not regular.exists(said):
            raise ReportError(f"{where}: {name}: there is no {said}", mend="correct the path")
    if all(limit is None or (name in OF_IMAGES and images is None) for name, limit in limits.items()):
        raise ReportError(f"{where}: no metric is left to measure", mend="limit one, such as latency")
    _refuse_idle(f"{where}: ", case, images=images is not None, reference=reference is not None)
    one = Case(
        name="",
        bundle=bundles[0],
        old=None,
        device=LOCAL,
        images=images,
        root=root,
        reference=reference,
        limits={name: limit for name, limit in limits.items() if limit is not None},
        threads=case.threads or suite.threads or 1,
    )
    for bundle in bundles:
        other = olds.get((bundle.name, bundle.manifest.target))
        if other is not None and other.folder.resolve() == bundle.folder.resolve():
            raise ReportError(
                f"{where}: {bundle.folder} would be held against itself",
                mend="name a folder of old bundles, not the one of the new",
            )
    return [
        replace(one, name=b.name, bundle=b, old=olds.get((b.name, b.manifest.target)), device=device)
        for b in bundles
        for device in dict.fromkeys(places)
    ]


def _refuse_unknown(where: str, device: str) -> None:
    """Refuse what is no address and no name of a board; whether it can be reached is found out later."""
    if device == LOCAL:
        return
    try:
        if ":" in device:
            devices.split(device)
        else:
            file.look_up(device)
    except EdgeeffError as error:
        raise ReportError(f"{where}: devices: {error.what}", mend=error.mend) from None


def _refuse_idle(where: str, said: _Common, *, images: bool, reference: bool) -> None:
    """Refuse limits and a reference that somebody wrote and that nothing would be held against."""
    if not images:
        if said.reference is not None:
            raise ReportError(f"{where}reference: there are no images to compare on", mend="name images")
        if said.root is not None:
            raise ReportError(f"{where}root: there are no images whose photos it has", mend="name images")
        for metric in OF_IMAGES:
            if said.limits.get(metric) is not None:
                raise ReportError(
                    f"{where}limits.{metric}: there are no images to measure it on", mend="name images"
                )
    if not reference and said.limits.get("sqnr_centred") is not None:
        raise ReportError(
            f"{where}limits.sqnr_centred: there is no float bundle to measure it against",
            mend='name it as reference, or write "off"',
        )


def _beside(folder: Path, said: str | None) -> Path | None:
    return None if said is None else folder / said


def _bundles(where: str, folder: Path, patterns: Sequence[str]) -> list[Bundle]:
    """The bundles of patterns, each once."""
    found: dict[Path, Bundle] = {}
    for pattern in patterns:
        rooted = Path(glob.escape(str(folder))) / pattern
        matched = glob.glob(str(rooted), recursive=True)  # noqa: PTH207 (it may be absolute)
        folders = [Path(name) for name in sorted(matched) if Path(name).is_dir()]
        # Of dist/* a folder may be something else; one that is named is meant.
        those = [p for p in folders if not glob.has_magic(pattern) or (p / MANIFEST).is_file()]
        if not those:
            raise ReportError(
                f"{where}: no bundle is at {folder / pattern}",
                mend="build it first (`edgeeff build -o`), or correct the pattern",
            )
        for one in those:
            found.setdefault(one.resolve(), Bundle.load(one))
    return list(found.values())


def _old_bundles(where: str, folder: Path) -> dict[tuple[str, str], Bundle]:
    """The bundles in a folder, by name and target; a bundle itself is its own folder."""
    if not regular.is_folder(folder):
        raise ReportError(
            f"{where}: old: there is no folder {folder}",
            mend="name a folder of bundles, or leave it out: the baselines are used",
        )
    places = (
        [folder] if (folder / MANIFEST).is_file() else sorted(p.parent for p in folder.glob(f"*/{MANIFEST}"))
    )
    if not places:
        raise ReportError(f"{where}: old: no bundle is in {folder}", mend="name a folder of bundles")
    found: dict[tuple[str, str], Bundle] = {}
    for place in places:
        bundle = Bundle.load(place)
        key = (bundle.name, bundle.manifest.target)
        if key in found:
            raise ReportError(
                f"{where}: old: {found[key].folder} and {place} are both {bundle.name}",
                mend="keep one of them in the folder",
            )
        found[key] = bundle
    return found
