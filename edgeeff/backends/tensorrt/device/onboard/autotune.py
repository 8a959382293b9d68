"""Time every variant of a bundle's INT8 graph beside its FP16 control, and keep the fastest that is faithful.

What is found goes to measured/autotune.json, which ``edgeeff import-result`` makes a tuning of.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from . import engines, golden, hardware, running, sealed, sensors, timing, variants, verification

FILE = "autotune.json"
KIND = "autotune"
SCHEMA = 1


def autotune(
    folder: Path,
    trt: Any,
    cudart: Any,
    here: hardware.Identity,
    manifest: dict[str, Any],
    *,
    runs: int,
    warm_up: float,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Build what is missing, hold each engine against its own golden outputs, time those that do, and choose.

    Engines that an interrupted run has built are used again. The choice is kept last (the bundle's own graph
    where none is faithful), and the engines of the variants that lost are taken away.

    Args:
        folder: The bundle.
        trt: The tensorrt module.
        cudart: The CUDA runtime.
        here: This TensorRT on this device.
        manifest: The bundle's.
        runs: Timed runs of each engine.
        warm_up: Seconds of each before anything is timed.
        options: Of ``engines.build``: profile, workspace, verbose.

    Returns:
        The content of ``autotune.json``; ``edgeeff.backends.tensorrt.tuned`` says what it must hold.
    """
    slugs, spins = variants.carried(manifest), running.spin_while_waiting(cudart)
    own = next(iter(slugs))
    found, failed = _built(folder, trt, here, slugs, options)
    loaded = {name: running.Engine(trt, cudart, path, manifest["input"]) for name, (path, _) in found.items()}
    compared, graphs = _held(folder, manifest, slugs, loaded)
    faithful = {n: e for n, e in loaded.items() if n == variants.CONTROL or compared[n]["passed"]}
    figures, clocks = _raced(faithful, own, runs, warm_up)
    images = max(engine.images for engine in loaded.values())
    figures.update(spin_wait=spins, no_cuda_graph=graphs, images=images)
    chosen = variants.decide(own, figures["to_own"], figures["to_control"])
    result = {
        **verification.identity(folder, here, manifest),
        "schema_version": SCHEMA,
        "kind": KIND,
        "own": own,
        "engines": {name: record for name, (_, record) in found.items()},
        "failed": failed,
        "golden": compared,
        "latency": figures,
        "clocks": clocks,
        "chosen": chosen,
        "control_wins": variants.control_wins(
            chosen, figures["to_control"], faithful=compared[variants.CONTROL]["passed"]
        ),
    }
    sealed.write_json(folder / sealed.MEASURED / FILE, result)
    variants.choose(folder, here.key(), slugs.get(chosen, ""))
    _drop([path for name, (path, _) in found.items() if name not in (own, chosen, variants.CONTROL)])
    return result


def _drop(paths: list[Path]) -> None:
    """Take engines away, with their records."""
    for path in paths:
        path.unlink()
        path.with_suffix(".json").unlink()


def _built(
    folder: Path, trt: Any, here: hardware.Identity, slugs: dict[str, str], options: dict[str, Any]
) -> tuple[dict[str, tuple[Path, dict[str, Any]]], dict[str, str]]:
    """The engines by their names, with their records; and why others could not be built.

    Raises:
        RefusedError: The bundle's own or the control is among those.
    """
    found, failed = {}, {}
    for name, slug in [*slugs.items(), (variants.CONTROL, "")]:
        precision = "fp16" if name == variants.CONTROL else "int8"
        try:
            found[name] = _engine(folder, trt, here, precision, slug, name, options)
        except sealed.RefusedError as refusal:
            if not slug:
                raise
            failed[name] = str(refusal)[:300]
    return found, failed


def _engine(
    folder: Path,
    trt: Any,
    here: hardware.Identity,
    precision: str,
    slug: str,
    name: str,
    options: dict[str, Any],
) -> tuple[Path, dict[str, Any]]:
    """An engine that is there and fits, or a new one."""
    profile = options["profile"]
    try:
        path, record = engines.find_engine(folder, here, precision, slug)
        if record.get("profile") == (None if profile is None else list(profile.images)):
            return path, record
    except engines.NoEngineError:
        pass
    print(f"building {name} for {here.key()}; this can take minutes", file=sys.stderr)
    engines.build(folder, trt, here, precision, variant=slug, **options)
    return engines.find_engine(folder, here, precision, slug)


def _held(
    folder: Path, manifest: dict[str, Any], slugs: dict[str, str], loaded: dict[str, running.Engine]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Each engine's golden figures, by its own golden outputs; and why it has no CUDA graph."""
    compared, graphs = {}, {}
    for name, engine in loaded.items():
        precision = "fp16" if name == variants.CONTROL else "int8"
        expected = golden.load(folder, manifest, slugs.get(name, ""))
        compared[name], graphs[name] = verification.held(
            engine, precision, manifest, *expected, cuda_graph=True
        )
    return compared, graphs


def _raced(
    loaded: dict[str, running.Engine], own: str, runs: int, warm_up: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Latencies in turn, with the ratios that decide (the GPU's clock); and the board's clocks meanwhile."""
    before = sensors.conditions()
    samples = timing.sample(loaded, runs, warm_up)
    clocks = verification.clocks_since(before)
    summary = timing.summarise(samples)
    gpu = {name: clocks_of["gpu_ms"] for name, clocks_of in samples.items()}
    rest = [name for name in gpu if name != variants.CONTROL]
    return {
        "runs": summary["runs"],
        "rounds": summary["rounds"],
        "times": {name: summary[name] for name in samples},
        "to_own": {name: timing.ratio(gpu[name], gpu[own]) for name in rest} if own in gpu else {},
        "to_control": {name: timing.ratio(gpu[name], gpu[variants.CONTROL]) for name in rest},
    }, clocks


def lines(found: dict[str, Any]) -> list[str]:
    """What was found, for a person: the fastest first."""
    latency, chosen = found["latency"], found["chosen"]
    told = [f"{found['board'] or 'unknown board'}, TensorRT {found['tensorrt']}"]
    for name in sorted(latency["times"], key=lambda n: latency["times"][n]["gpu_ms"]["p50"]):
        sign = "→" if name == chosen else " "
        ratio = latency["to_control"].get(name)
        of = f", {ratio['value']} of FP16's [{ratio['low']}, {ratio['high']}]" if ratio else ""
        told.append(f"{sign} {name}: GPU p50 {latency['times'][name]['gpu_ms']['p50']} ms{of}")
    for name, golden_of in found["golden"].items():
        if not golden_of["passed"]:
            told.append(
                f"  {name}: refused, {golden_of['sqnr_hub_db']} dB to its hub graph, "
                f"{golden_of['sqnr_float_db']} dB to float, below {golden_of['tolerance_db']} dB"
            )
    told += [f"  {name}: not built: {reason}" for name, reason in found["failed"].items()]
    if not chosen and not found["control_wins"]:
        told.append("no variant does what it promises, and FP16 does not either: report it")
    elif not chosen:
        told.append("no variant does what it promises: take FP16")
    elif found["control_wins"]:
        told.append("FP16 is faster than every INT8 variant here: take FP16 (build jetson-fp16)")
    elif found["golden"][variants.CONTROL]["passed"] and latency["to_control"][chosen]["high"] >= 1:
        told.append("between INT8 and FP16 there is no certain difference here")
    if found["clocks"]["pinned"] is False:
        told.append("the GPU's clock is not pinned: run jetson_clocks for latencies that can be compared")
    return told
