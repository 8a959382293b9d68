"""float graph and all decisions ─▶ the hub graph that a backend lowers, with its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from edgeeff.calibration.judgement import Judgement
from edgeeff.calibration.selection import bad_from_json, bad_to_json
from edgeeff.images import ImageSet
from edgeeff.memory import give_back
from edgeeff.pipeline import held_out
from edgeeff.pipeline.stages import judgement, sensitivity
from edgeeff.pipeline.stages.drafting import Drafting, is_raw
from edgeeff.pipeline.stages.stage import Stage, run
from edgeeff.target import Target
from edgeeff.tasks import Output

VERSION = 2
TOOLS = ("edgeeff", "onnx", "onnx-ir", "numpy")


@dataclass(frozen=True)
class Hub:
    """What a backend lowers.

    Args:
        graph: A Q/DQ graph, or for a float target the float graph, as bytes of an ONNX file.
        plan: The quantised one's plan, as JSON.
        raw: Whether its input is pixels of 0…255, and not normalised ones.
        outputs: What it gives.
    """

    graph: bytes
    plan: str | None
    raw: bool
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class _Made:
    """What the cache keeps: the hub graph, and what is said of the images whenever it is taken."""

    graph: bytes
    plan: str
    skipped: Mapping[str, str]
    judgement: Judgement | None


def hub(drafting: Drafting, target: Target, floating: frozenset[str] = frozenset()) -> Hub:
    """A target's hub graph; what is known of the images that calibrated it is told each time.

    Args:
        drafting: How the network is quantised.
        target: As a variant has it (:meth:`edgeeff.target.Target.served`).
        floating: Layers that stay float.

    Raises:
        CalibrationError: The images are mostly blank or noise, or cannot be decoded.
        OptionError: The task cannot mean the graph's outputs.
    """
    import onnx

    from edgeeff.graph.outputs import outputs_of

    calibration, context = drafting.calibration, drafting.context
    made = run(_stage(drafting, target, floating), context)
    if made.judgement is not None:
        held_out.warn_skipped(calibration.images.calibration, made.skipped, context)
        calibration.tell(made.judgement)
    outputs = outputs_of(onnx.load_model_from_string(made.graph), drafting.meaning.task)
    give_back()
    return Hub(made.graph, made.plan or None, is_raw(target), outputs)


def float_hub(drafting: Drafting, target: Target) -> Hub:
    """The float graph that takes the target's input."""
    return hub(drafting, replace(target, precision="fp32", scheme=None))


def _stage(drafting: Drafting, target: Target, floating: frozenset[str]) -> Stage[_Made]:
    images = drafting.calibration.images.calibration
    stages = [judgement.VERSION, sensitivity.VERSION]  # those of the rest are in the facts' own keys
    return Stage(
        "hub",
        VERSION,
        TOOLS,
        facts={**drafting.facts(target), "floating": sorted(floating), "stages": stages},
        make=partial(_make, drafting, target, floating),
        encode=partial(_encode, images),
        decode=partial(_decode, images),
    )


def _make(drafting: Drafting, target: Target, floating: frozenset[str]) -> _Made:
    calibration = drafting.calibration
    judged = calibration.judgement() if target.scheme else None
    graph, plan = drafting.quantised(target, floating)
    return _Made(graph, plan, dict(calibration.images.calibration.bad) if target.scheme else {}, judged)


def _encode(images: ImageSet, made: _Made) -> dict[str, bytes]:
    parts = {"graph.onnx": made.graph, "plan.json": made.plan.encode()}
    if made.judgement is not None:
        parts |= {"bad.json": bad_to_json(images).encode(), "judgement.json": made.judgement.to_bytes()}
    return parts


def _decode(images: ImageSet, parts: Mapping[str, bytes]) -> _Made:
    graph, plan = parts["graph.onnx"], parts["plan.json"].decode()
    if "judgement.json" not in parts:
        return _Made(graph, plan, {}, None)
    skipped = bad_from_json(images, parts["bad.json"].decode())
    return _Made(graph, plan, skipped, Judgement.from_bytes(parts["judgement.json"]))
