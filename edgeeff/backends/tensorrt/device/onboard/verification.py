"""Everything of measured/verify.json: golden vectors, latency and power of INT8 and of its FP16 control."""

from __future__ import annotations

import time
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import golden, hardware, running, sensors, timing
from .sealed import digest

SCHEMA = 1

_BATCH_SECONDS = 0.05  # of runs that are put into the stream at once while the rails are read


def verify(
    folder: Path,
    trt: Any,
    cudart: Any,
    here: hardware.Identity,
    manifest: dict[str, Any],
    found_engines: dict[str, tuple[Path, dict[str, Any]]],
    *,
    runs: int,
    seconds: float,
    cuda_graph: bool,
) -> dict[str, Any]:
    """Run, time and weigh the engines.

    Args:
        folder: The bundle.
        trt: The tensorrt module.
        cudart: The CUDA runtime.
        here: This TensorRT on this device.
        manifest: The bundle's.
        found_engines: Path and record of each engine, by precision.
        runs: Timed runs of each engine.
        seconds: How long power is read, idle and with each engine; 0 for not at all.
        cuda_graph: Whether to try to run each engine as a CUDA graph.

    Returns:
        The content of ``verify.json``; ``edgeeff.backends.tensorrt.results`` says what it must hold.
    """
    spins = running.spin_while_waiting(cudart)
    inputs, hub, reference = golden.load(folder, manifest)
    engines = {
        precision: running.Engine(trt, cudart, path, manifest["input"])
        for precision, (path, _) in found_engines.items()
    }
    compared, graphs = {}, {}
    for precision, engine in engines.items():
        variant = found_engines[precision][1].get("variant")
        own = golden.load(folder, manifest, variant)[1] if variant else hub
        compared[precision], graphs[precision] = held(
            engine, precision, manifest, inputs, own, reference, cuda_graph=cuda_graph
        )
    latency, clocks = _timed(engines, runs)
    return {
        **identity(folder, here, manifest),
        "engines": {precision: record for precision, (_, record) in found_engines.items()},
        "golden": compared,
        "passed": golden.passed(manifest, compared),
        "latency": {
            **latency,
            "spin_wait": spins,
            "no_cuda_graph": graphs,
            "images": max(engine.images for engine in engines.values()),
        },
        "power": power(engines, seconds) if seconds else None,
        "clocks": clocks,
    }


def held(
    engine: running.Engine,
    precision: str,
    manifest: dict[str, Any],
    inputs: Any,
    hub: dict[str, Any],
    reference: dict[str, Any],
    *,
    cuda_graph: bool,
) -> tuple[dict[str, Any], str]:
    """An engine's figures on the golden inputs, and why it runs without a CUDA graph, if it does.

    It is left ready to be timed, with as many images in a run as it was built to be fastest with.
    """
    graph = _capture(engine, cuda_graph)
    outputs = golden.run(engine, inputs, manifest)
    numbers = golden.runs(len(inputs), engine.profile)
    expected = golden.taken(hub, numbers), golden.taken(reference, numbers)
    compared = golden.compare(precision, manifest, outputs, *expected)
    if engine.images != engine.profile[1]:
        engine.set_images(engine.profile[1])
        graph = _capture(engine, cuda_graph)
    return compared, graph


def _timed(engines: dict[str, running.Engine], runs: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The latency of the engines, and the clocks and temperatures that it was taken at."""
    before = sensors.conditions()
    latency = timing.interleave(engines, runs)
    return latency, clocks_since(before)


def clocks_since(before: dict[str, Any]) -> dict[str, Any]:
    """What the board is set to, with the conditions before a timing and now, after it."""
    return {
        "power_mode": sensors.power_mode(),
        "pinned": sensors.pinned(before["gpu_hz"]),
        "before": before,
        "after": sensors.conditions(),
    }


def _capture(engine: running.Engine, cuda_graph: bool) -> str:
    """Try to run the engine as a CUDA graph; why it is none, or nothing where it is one."""
    return engine.capture() if cuda_graph else "not asked for"


def identity(folder: Path, here: hardware.Identity, manifest: dict[str, Any]) -> dict[str, Any]:
    """Which run this is: of which bundle, when, and on what."""
    return {
        "schema_version": SCHEMA,
        "bundle": manifest["name"],
        "run_id": uuid.uuid4().hex,
        "manifest_sha256": digest(folder / "manifest.json"),
        "measured_at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "board": sensors.board(),
        **here._asdict(),
    }


def power(
    engines: dict[str, running.Engine], seconds: float, root: Path = sensors.ROOT
) -> dict[str, Any] | None:
    """Watts of each rail, idle and with each engine; energy of a run by the total-input rail alone.

    None where there are no rails to read.
    """
    rails = sensors.rails(root)
    if not rails:
        return None
    total = sensors.total(rails)
    phases = {"idle": _phase(None, seconds, rails)}
    phases.update({precision: _phase(engine, seconds, rails) for precision, engine in engines.items()})
    energy = {}
    for precision in engines:
        watts = phases[precision]["rails_w"].get(total)
        if watts:
            energy[precision] = round(watts["mean"] * phases[precision]["milliseconds"], 4)
    return {"total_rail": total, "phases": phases, "millijoules": energy or None}


def _phase(engine: running.Engine | None, seconds: float, rails: list[sensors.Rail]) -> dict[str, Any]:
    """The rails while an engine runs without a pause, or nothing does; the first quarter is left out."""
    at_once = 1
    if engine is not None:
        start = time.perf_counter()
        engine.execute()
        at_once = max(1, int(_BATCH_SECONDS / max(time.perf_counter() - start, 1e-6)))
    readings: list[tuple[float, dict[str, float]]] = []
    runs, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds or not readings:
        if engine is None:
            time.sleep(_BATCH_SECONDS)
        else:
            for _ in range(at_once):
                engine.launch()
        # The GPU works while its rails are read.
        now = {rail.label: rail.watts() for rail in rails}
        readings.append(
            (time.perf_counter() - start, {name: watts for name, watts in now.items() if watts is not None})
        )
        if engine is not None:
            engine.wait()
            runs += at_once
    elapsed = time.perf_counter() - start
    settled = [values for at, values in readings if at >= seconds / 4] or [values for _, values in readings]
    figures = {}
    for label in sorted({name for values in settled for name in values}):
        watts = [values[label] for values in settled if label in values]
        figures[label] = {"mean": round(sum(watts) / len(watts), 4), "max": round(max(watts), 4)}
    return {
        "seconds": round(elapsed, 3),
        "runs": runs,
        "milliseconds": round(elapsed * 1e3 / runs, 4) if runs else None,
        "readings": len(settled),
        "rails_w": figures,
    }
