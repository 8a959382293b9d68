"""Results that devices brought back, held against the bundle they are of, and kept beside it.

``measured/verify.json`` is what ``verify.py`` wrote where the bundle itself was run;
``measured/results/<board>-trt<version>.json`` is what ``edgeeff import-result`` entered, one a board.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from edgeeff import digests, regular
from edgeeff.backends.tensorrt.device.onboard import golden, recipes, rule, sealed
from edgeeff.backends.tensorrt.device_result import DeviceResult, Golden, GoldenOutput
from edgeeff.errors import BundleError, MissingFileError
from edgeeff.files import refuse_links, sweep_files, write_file

RESULTS = "results"
NOT_RUN = "engine NOT RUN: on the device, run build_engine.py and then verify.py"

_LARGEST = 1 << 20  # bytes; one that verify.py writes has some 5000


def read(path: Path) -> DeviceResult:
    """Read a ``verify.json``.

    Raises:
        MissingFileError: There is no such file, it cannot be read, or it is too large.
        BundleError: It is malformed, or says what cannot be.
    """
    content = regular.read(path, MissingFileError, _LARGEST, "pass the verify.json that verify.py wrote")
    try:
        return DeviceResult.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(
            f"{path}: {f'{where}: ' if where else ''}{first['msg'].removeprefix('Value error, ')}",
            mend="run verify.py of this bundle on the device again, and take its measured/verify.json",
        ) from None


def hold(result: DeviceResult, folder: Path) -> None:
    """Hold a result against the bundle it is to be of.

    Raises:
        BundleError: It is of another bundle, or says of this one what its own files contradict.
    """
    try:
        manifest = sealed.read_bundle(folder)
    except sealed.RefusedError as refusal:
        raise BundleError(str(refusal), mend="import into the bundle as it was built") from None
    if result.manifest_sha256 != sealed.digest(folder / "manifest.json"):
        raise BundleError(
            f"the result is of another bundle: {result.bundle} with a manifest of SHA-256 "
            f"{result.manifest_sha256[:12]}…, not {folder}",
            mend="pass the bundle that was copied to the device, or run verify.py of this one there",
        )
    wrong = [*_contradictions(result, folder, manifest)]
    if wrong:
        raise BundleError(
            f"the result of {result.bundle} cannot be: {wrong[0]}",
            mend="run verify.py of this bundle on the device again, and take its measured/verify.json",
        )


def _contradictions(result: DeviceResult, folder: Path, manifest: dict[str, object]) -> Iterator[str]:
    if result.bundle != manifest["name"]:
        yield f"the bundle's name is {manifest['name']}"
    if golden.artifact(manifest) not in result.golden:
        yield f"it leaves out {golden.artifact(manifest)}, which the bundle is for"
    try:
        version = recipes.parse_version(result.tensorrt)
        inputs, hub, reference = golden.load(folder, manifest)
    except sealed.RefusedError as refusal:
        yield str(refusal)
        return
    files = manifest["files"]
    for precision, record in result.engines.items():
        chosen = recipes.recipe(version, precision, files if isinstance(files, dict) else ())
        if (record.onnx, record.strongly_typed) != (chosen.onnx, chosen.strongly_typed):
            yield f"TensorRT {result.tensorrt} builds {precision} of {chosen.onnx}, not of {record.onnx}"
        elif not isinstance(files, dict) or files.get(record.onnx) != record.onnx_sha256:
            yield f"the {precision} engine was built from another {record.onnx}"
    fixed = manifest.get("batch", 1)
    for precision, whole in result.golden.items():
        profile = result.engines[precision].profile
        if isinstance(fixed, int) == (profile is not None):
            yield f"the {precision} engine has a profile of images in a run, or none, unlike the bundle"
            continue
        numbers = golden.runs(len(inputs), profile or (int(str(fixed)),) * 3)
        held = golden.taken(hub, numbers), golden.taken(reference, numbers)
        each: dict[str, GoldenOutput] = {**whole.outputs} if "" not in hub else {"": whole}
        if set(each) != set(hub):
            yield f"{precision} has the outputs {', '.join(each) or 'none'}, the bundle {', '.join(hub)}"
            continue
        meanings = golden.meanings(manifest)
        held = rule.weighed(held[0], held[0]), rule.weighed(held[1], held[0])
        for name, found in each.items():
            meaning = rule.meaning_of(name, meanings)
            yield from _wrong(precision, name, found, held[0][name], held[1][name], meaning)
        if whole.passed != all(found.passed for found in each.values()):
            yield f"{precision} is said to have {_verdict(whole.passed)}, against its own outputs"
        if not any(_same(whole, found) for found in each.values()):
            yield f"{precision} has figures that are none of its outputs'"
    compared = {str(precision): found.model_dump() for precision, found in result.golden.items()}
    if result.passed != golden.passed(manifest, compared):
        yield f"it is said to have {'passed' if result.passed else 'failed'}, against its own figures"


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


def slug(result: DeviceResult) -> str:
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


def board(result: DeviceResult) -> str:
    """The device and its software, in words."""
    l4t = f", L4T {result.l4t}" if result.l4t else ""
    mode = f", {result.clocks.power_mode}" if result.clocks.power_mode else ""
    name = result.board or f"compute capability {result.compute_capability}"
    return f"{name} (TensorRT {result.tensorrt}{l4t}{mode})"
