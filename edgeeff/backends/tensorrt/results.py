"""Results that devices brought back, held against the bundle they are of, and kept beside it.

``measured/verify.json`` is what ``verify.py`` wrote where the bundle itself was run;
``measured/results/<board>-trt<version>.json`` is what ``edgeeff import-result`` entered, one a board.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from pydantic import ValidationError

from edgeeff import digests, regular
from edgeeff.backends.tensorrt.device.onboard import golden, recipes, rule, sealed
from edgeeff.backends.tensorrt.device_result import (
    Clocks,
    DeviceResult,
    EngineRecord,
    Golden,
    GoldenOutput,
    Part,
)
from edgeeff.errors import BundleError, MissingFileError
from edgeeff.files import refuse_links, sweep_files, write_file

RESULTS = "results"
NOT_RUN = "engine NOT RUN: on the device, run build_engine.py and then verify.py"

LARGEST = 1 << 20  # bytes; one that verify.py writes has some 5000


class OnBoard(Protocol):
    """What any result says of where it was measured."""

    board: str | None
    tensorrt: str
    compute_capability: str
    l4t: str
    clocks: Clocks


def read(path: Path) -> DeviceResult:
    """Read a ``verify.json``.

    Raises:
        MissingFileError: There is no such file, it cannot be read, or it is too large.
        BundleError: It is malformed, or says what cannot be.
    """
    return read_as(DeviceResult, path, "verify.py")


Brought = TypeVar("Brought", bound=Part)


def read_as(kind: type[Brought], path: Path, script: str) -> Brought:
    """Read what a bundle's ``script`` wrote on a device.

    Raises:
        MissingFileError: There is no such file, it cannot be read, or it is too large.
        BundleError: It is malformed, or says what cannot be.
    """
    content = regular.read(path, MissingFileError, LARGEST, f"pass the file that {script} wrote")
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(
            f"{path}: {f'{where}: ' if where else ''}{first['msg'].removeprefix('Value error, ')}",
            mend=f"run {script} of this bundle on the device again, and take its file of measured/",
        ) from None


def hold(result: DeviceResult, folder: Path) -> None:
    """Hold a result against the bundle it is to be of.

    Raises:
        BundleError: It is of another bundle, or says of this one what its own files contradict.
    """
    manifest = manifest_of(result.bundle, result.manifest_sha256, folder)
    wrong = [*_contradictions(result, folder, manifest)]
    if wrong:
        raise BundleError(
            f"the result of {result.bundle} cannot be: {wrong[0]}",
            mend="run verify.py of this bundle on the device again, and take its measured/verify.json",
        )


def manifest_of(bundle: str, seal: str, folder: Path) -> dict[str, Any]:
    """The manifest of a bundle that a device's result says to be of, by that manifest's SHA-256.

    Raises:
        BundleError: It is another bundle, or was altered.
    """
    try:
        manifest = sealed.read_bundle(folder)
    except sealed.RefusedError as refusal:
        raise BundleError(str(refusal), mend="import into the bundle as it was built") from None
    if seal != sealed.digest(folder / "manifest.json"):
        raise BundleError(
            f"the result is of another bundle: {bundle} with a manifest of SHA-256 {seal[:12]}…, "
            f"not {folder}",
            mend="pass the bundle that was copied to the device, or run verify.py of this one there",
        )
    return manifest


def _contradictions(result: DeviceResult, folder: Path, manifest: dict[str, Any]) -> Iterator[str]:
    if result.bundle != manifest["name"]:
        yield f"the bundle's name is {manifest['name']}"
    if golden.artifact(manifest) not in result.golden:
        yield f"it leaves out {golden.artifact(manifest)}, which the bundle is for"
    for precision, record in result.engines.items():
        yield from of_engine(precision, record, manifest)
    for precision, whole in result.golden.items():
        yield from of_golden(precision, whole, result.engines[precision], folder, manifest)
    compared = {str(precision): found.model_dump() for precision, found in result.golden.items()}
    if result.passed != golden.passed(manifest, compared):
        yield f"it is said to have {'passed' if result.passed else 'failed'}, against its own figures"


def of_engine(precision: str, record: EngineRecord, manifest: dict[str, Any]) -> Iterator[str]:
    """What an engine's record says against the bundle, a sentence each."""
    files = manifest["files"]
    slugs = [one["slug"] for one in (manifest.get("carrying") or {"variants": ()})["variants"]]
    if record.variant and (record.variant not in slugs or precision != "int8"):
        yield f"the {precision} engine is of a variant {record.variant} that the bundle does not carry"
        return
    try:
        version = recipes.parse_version(record.tensorrt)
    except sealed.RefusedError as refusal:
        yield str(refusal)
        return
    chosen = recipes.recipe(version, precision, files, record.variant)
    if (record.onnx, record.strongly_typed) != (chosen.onnx, chosen.strongly_typed):
        yield f"TensorRT {record.tensorrt} builds {precision} of {chosen.onnx}, not of {record.onnx}"
    elif files.get(record.onnx) != record.onnx_sha256:
        yield f"the {precision} engine was built from another {record.onnx}"


def of_golden(
    precision: str, whole: Golden, record: EngineRecord, folder: Path, manifest: dict[str, Any]
) -> Iterator[str]:
    """What an engine's figures on the golden inputs say against the bundle's own, a sentence each."""
    try:
        inputs, hub, reference = golden.load(folder, manifest, record.variant)
    except sealed.RefusedError as refusal:
        yield str(refusal)
        return
    profile, fixed = record.profile, manifest.get("batch", 1)
    if isinstance(fixed, int) == (profile is not None):
        yield f"the {precision} engine has a profile of images in a run, or none, unlike the bundle"
        return
    numbers = golden.runs(len(inputs), profile or (int(str(fixed)),) * 3)
    held = golden.taken(hub, numbers), golden.taken(reference, numbers)
    each: dict[str, GoldenOutput] = {**whole.outputs} if "" not in hub else {"": whole}
    if set(each) != set(hub):
        yield f"{precision} has the outputs {', '.join(each) or 'none'}, the bundle {', '.join(hub)}"
        return
    meanings = golden.meanings(manifest)
    held = rule.weighed(held[0], held[0]), rule.weighed(held[1], held[0])
    for name, found in each.items():
        meaning = rule.meaning_of(name, meanings)
        yield from _wrong(precision, name, found, held[0][name], held[1][name], meaning)
    if whole.passed != all(found.passed for found in each.values()):
        yield f"{precision} is said to have {_verdict(whole.passed)}, against its own outputs"
    if not any(_same(whole, found) for found in each.values()):
        yield f"{precision} has figures that are none of its outputs'"


def _wrong(
    precision: str, name: str, found: GoldenOutput, hub: Any, reference: Any, meaning: str
) -> Iterator[str]:
    """What cannot be in one output's figures."""
    called = f"{precision}{' ' if name else ''}{name}"
    least = rule.tolerance(precision, hub, reference, meaning)
    reached = found.sqnr_hub_db if precision == "int8" else found.sqnr_float_db
    if found.images != len(hub):
        yield f"{found.images} golden images, of which the bundle has {len(hub)}"
    if not np.isclose(found.tolerance_db, least, atol=0.011):
        yield f"{called} was held against {found.tolerance_db} dB, which is {least} dB here"
    if found.passed != rule.passes(precision, found.model_dump(), hub, reference, meaning):
        yield f"{called} at {reached} dB is said to have {_verdict(found.passed)}"


def _same(whole: Golden, found: GoldenOutput) -> bool:
    return whole.model_dump(exclude={"outputs"}) == found.model_dump(exclude={"outputs"})


def _verdict(passed: bool) -> str:
    return "passed" if passed else "failed"


def enter(result: DeviceResult, folder: Path) -> tuple[Path, bool]:
    """Put a result into the bundle's ``measured/results/``; a newer one of the same board takes its place.

    Returns:
        Where it is, and whether an older one was replaced.

    Raises:
        OutputError: The folder cannot be written, or is a symbolic link.
    """
    refuse_links(folder, sealed.MEASURED, RESULTS)
    path = folder / sealed.MEASURED / RESULTS / f"{slug(result)}.json"
    content = result.model_dump_json(indent=2).encode() + b"\n"
    replaced = regular.is_file(path) and digests.of_file(path) != digests.of_bytes(content)
    write_file(path, content)
    sweep_files(path.parent)
    return path, replaced


def slug(result: OnBoard) -> str:
    """A file's name for a board, its TensorRT and its power mode: ``jetson-orin-nano-trt10.3.0-15w``."""
    board = (result.board or f"sm{result.compute_capability}").removeprefix("NVIDIA ")
    parts = [
        board,
        f"trt{result.tensorrt}",
        *([result.clocks.power_mode] if result.clocks.power_mode else []),
    ]
    return "-".join(re.sub(r"[^a-z0-9.]+", "-", part.lower()).strip("-.")[:80] for part in parts)


def stored(folder: Path) -> list[DeviceResult]:
    """The results that lie in a bundle's ``measured/``, each once; what cannot be read is left out."""
    measured = folder / sealed.MEASURED
    found: list[DeviceResult] = []
    for path in (measured / "verify.json", *sorted((measured / RESULTS).glob("*.json"))):
        try:
            result = read(path)
        except (MissingFileError, BundleError):
            continue
        if result not in found:
            found.append(result)
    return found


def summary(folder: Path) -> tuple[bool, str]:
    """Whether this very bundle passed on a device, and a sentence on each device that it ran on."""
    try:
        seal = sealed.digest(folder / "manifest.json")
    except OSError:
        return False, NOT_RUN
    found = stored(folder)
    ours = [result for result in found if result.manifest_sha256 == seal]
    if not ours:
        boards = ", ".join(board(result) for result in found)
        return False, f"engine NOT RUN: the result of {boards} is of another bundle" if found else NOT_RUN
    return any(result.passed for result in ours), "; ".join(sentence(result) for result in ours)


def sentence(result: DeviceResult) -> str:
    """A result in one line: board, verdict, and what was measured."""
    quantised = result.golden.get("int8")
    verdict = "passed" if result.passed else "FAILED"
    parts = [f"{quantised.sqnr_hub_db:g} dB to the hub"] if quantised else []
    if not quantised:
        parts.append(f"{result.golden['fp16'].sqnr_float_db:g} dB to the float graph")
    images = result.latency.images
    run = "" if images == 1 else f" of {images} images"
    for name in ("int8", "fp16"):
        times = getattr(result.latency, name)
        if times is not None:
            parts.append(f"{name.upper()}{run} p50 {times.host_ms.p50:g} ms, p99 {times.host_ms.p99:g} ms")
    if result.latency.ratio:
        ratio = result.latency.ratio.gpu_ms
        parts.append(f"INT8 takes {ratio.value:g} of FP16's time on the GPU [{ratio.low:g}, {ratio.high:g}]")
    for name, energy in ((result.power and result.power.millijoules) or {}).items():
        parts.append(f"{name.upper()} {energy:g} mJ a run{run}")
    if result.clocks.pinned is False:
        parts.append("its clock not pinned")
    return f"engine {verdict} on {board(result)}: {', '.join(parts)}"


def board(result: OnBoard) -> str:
    """The device and its software, in words."""
    l4t = f", L4T {result.l4t}" if result.l4t else ""
    mode = f", {result.clocks.power_mode}" if result.clocks.power_mode else ""
    name = result.board or f"compute capability {result.compute_capability}"
    return f"{name} (TensorRT {result.tensorrt}{l4t}{mode})"
