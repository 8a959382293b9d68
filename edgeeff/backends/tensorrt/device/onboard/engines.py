"""Engines: built here, kept under the name of what they belong to, and refused where that has changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from .built_here import is_known, remember, trusting
from .hardware import Identity
from .profiles import Profile, give
from .recipes import Recipe, parse_version, recipe
from .sealed import MEASURED, RefusedError, digest, write_json, write_whole
from .variants import chosen as chosen_here


class NoEngineError(RefusedError):
    """There is no engine to run, or a stale one; a build mends it."""


def engine_name(here: Identity, precision: str, variant: str = "") -> str:
    """Below the bundle: ``measured/trt10.3.0-sm87-l4t36.4.3-int8.engine``; a variant's ends in its name."""
    own = f"-{variant}" if variant and precision == "int8" else ""
    return f"{MEASURED}/{here.key()}-{precision}{own}.engine"


def build(
    folder: Path,
    trt: Any,
    here: Identity,
    precision: str,
    *,
    profile: Profile | None = None,
    workspace: int = 1024,
    verbose: bool = False,
    variant: str | None = None,
) -> Path:
    """Build an engine and write it to measured/ with its record; returns its path.

    The timing cache beside it is of TensorRT, device and JetPack, so that both precisions share it.

    Args:
        folder: The bundle.
        trt: The tensorrt module.
        here: What the engine will belong to.
        precision: ``int8`` or ``fp16``.
        profile: How many images a run is to take; None: as many as the graph says.
        workspace: Memory for tactics, MiB.
        verbose: Print everything that TensorRT says.
        variant: Of the INT8 graph; None: the one that was chosen here, if any was.
    """
    variant = _variant(folder, here, precision, variant)
    chosen = recipe(parse_version(here.tensorrt), precision, _graphs(folder), variant)
    logger = trt.Logger(trt.Logger.VERBOSE if verbose else trt.Logger.WARNING)
    builder = _builder(trt, here, logger)
    network = builder.create_network(network_flags(trt, chosen))
    parser = trt.OnnxParser(network, logger)
    if not _parsed(parser, folder / chosen.onnx, variant):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise RefusedError(f"TensorRT {here.tensorrt} does not take {chosen.onnx}: {reasons}")
    timing = folder / MEASURED / f"{here.key()}.timing"
    config = _config(trt, here, builder, chosen, workspace)
    give(profile, builder, network, config)
    _take_timing_cache(config, timing)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RefusedError(f"TensorRT {here.tensorrt} could not build {chosen.onnx}; --verbose says why")
    write_whole(timing, config.get_timing_cache().serialize())
    return _kept(folder, here, precision, variant, chosen, plan, profile)


def _kept(
    folder: Path,
    here: Identity,
    precision: str,
    variant: str,
    chosen: Recipe,
    plan: Any,
    profile: Profile | None,
) -> Path:
    """Write an engine and its record; its path."""
    engine = folder / engine_name(here, precision, variant)
    seal = hashlib.sha256(plan).hexdigest()
    remember(seal)
    write_whole(engine, plan)
    record = {
        **here._asdict(),
        "precision": precision,
        "onnx": chosen.onnx,
        "onnx_sha256": digest(folder / chosen.onnx),
        "strongly_typed": chosen.strongly_typed,
        "engine_sha256": seal,
    }
    if variant:
        record["variant"] = variant
    if profile is not None:
        record["profile"] = list(profile.images)
    write_json(engine.with_suffix(".json"), record)
    return engine


def _parsed(parser: Any, path: Path, variant: str) -> bool:
    """Whether TensorRT takes a graph; a variant's weights may lie in the files beside it."""
    return bool(parser.parse(path.read_bytes(), *([str(path)] if variant else [])))


def _variant(folder: Path, here: Identity, precision: str, asked: str | None) -> str:
    """The variant that is meant: none of the control."""
    if precision != "int8":
        return ""
    return chosen_here(folder, here.key()) if asked is None else asked


def _builder(trt: Any, here: Identity, logger: Any) -> Any:
    try:
        return trt.Builder(logger)
    except (RuntimeError, TypeError) as error:  # what a factory without a driver comes to, through pybind11
        raise RefusedError(f"TensorRT {here.tensorrt} makes no builder here ({error})") from None


def _config(trt: Any, here: Identity, builder: Any, chosen: Recipe, workspace: int) -> Any:
    """The recipe's flags, the memory for tactics in MiB, and names of layers in the engine."""
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace << 20)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    for name in chosen.flags:
        flag = getattr(trt.BuilderFlag, name, None)  # gone in 11, which is given none
        if flag is None:
            raise RefusedError(f"TensorRT {here.tensorrt} has no flag {name}: its installation is not whole")
        config.set_flag(flag)
    return config


def _take_timing_cache(config: Any, timing: Path) -> None:
    """What earlier builds on this device have timed; an empty one where there is none, or of another GPU."""
    known = timing.read_bytes() if timing.is_file() else b""
    if not config.set_timing_cache(config.create_timing_cache(known), False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def network_flags(trt: Any, chosen: Recipe) -> int:
    """The bits of create_network: the enumerators come and go between versions, what they mean does not."""
    flags = trt.NetworkDefinitionCreationFlag
    names = ["STRONGLY_TYPED"] if chosen.strongly_typed else []
    names.append("EXPLICIT_BATCH")
    return sum(1 << int(getattr(flags, name)) for name in names if hasattr(flags, name))


def find_engine(
    folder: Path, here: Identity, precision: str, variant: str | None = None
) -> tuple[Path, dict[str, Any]]:
    """The engine that was built here from this very bundle, and its record.

    Args:
        folder: The bundle.
        here: This TensorRT on this device.
        precision: ``int8`` or ``fp16``.
        variant: Of the INT8 graph; None: the one that was chosen here, if any was.

    Raises:
        NoEngineError: There is none, or a stale one, and why.
    """
    variant = _variant(folder, here, precision, variant)
    engine = folder / engine_name(here, precision, variant)
    onnx = recipe(parse_version(here.tensorrt), precision, _graphs(folder), variant).onnx
    if not engine.is_file():
        raise NoEngineError(_absence(folder, here, precision))
    record = _record(engine)
    reasons = here.changed_from(record)
    if record.get("precision") != precision:
        reasons.append(f"it is {record.get('precision')}, not {precision}")
    if record.get("onnx") != onnx or record.get("onnx_sha256") != digest(folder / onnx):
        reasons.append(f"it was built from another {onnx}")
    if record.get("engine_sha256") != digest(engine):
        reasons.append("it was altered")
    if reasons:
        raise NoEngineError(f"{engine.name} is stale: {', '.join(reasons)}; run build_engine.py again")
    if not is_known(record["engine_sha256"]):
        raise NoEngineError(
            f"{engine.name} was not built by this user on this machine, and an engine can do anything: run "
            f"build_engine.py again; or, if you know where it comes from: {trusting(record['engine_sha256'])}"
        )
    return engine, record


def _graphs(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.onnx")}


def _absence(folder: Path, here: Identity, precision: str) -> str:
    """That there is no engine; where there is one for something else, what has changed since."""
    others = []
    for engine in sorted((folder / MEASURED).glob(f"trt*-{precision}.engine")):
        changes = here.changed_from(_record(engine))
        if changes:
            others.append((len(changes), engine.name, changes))
    if not others:
        return f"no {precision} engine here; run build_engine.py"
    _, name, changes = min(others)
    return f"{name} is stale: {', '.join(changes)}; run build_engine.py again"


def _record(engine: Path) -> dict[str, Any]:
    try:
        record = json.loads(engine.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = None
    return record if isinstance(record, dict) else {}
