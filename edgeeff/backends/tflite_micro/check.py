"""What tflite-micro takes of a bundle: its operators, and its arena."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from edgeeff.backends import CheckReport, Layer
from edgeeff.backends.tflite_micro import run, sizes
from edgeeff.errors import MissingRuntimeError


def check(folder: Path, *, properties: Mapping[str, str]) -> CheckReport:
    """Read the artifact, and report its operators and the arena that the build measured.

    Counts: ``operators``, ``int8_operators``, and of the arena ``arena`` (bytes, all in all),
    ``activations`` and ``lasting``.

    Args:
        folder: The bundle.
        properties: As for a run.

    Raises:
        BundleError: The file is missing or damaged, or holds what tflite-micro does not have.
    """
    del properties
    try:
        _, model, _ = run.read(folder)
    except MissingRuntimeError as error:
        return CheckReport(status="NOT RUN", summary=error.what)
    (graph,) = model.subgraphs
    codes, facts = run.codes(model), run.arena_facts(folder)
    names = [run.text_of(graph.tensors[operator.outputs[0]].name) for operator in graph.operators]
    layers = [
        Layer(name, code, "int8", "reference") for name, code in zip(names, codes, strict=True)
    ]  # what is not int8 throughout was refused
    counts = {"operators": len(codes), "int8_operators": len(codes)}
    size = run.arena_of(folder)
    if size is not None:
        parts = {name: facts[name] for name in ("activations", "lasting") if isinstance(facts.get(name), int)}
        counts |= {"arena": size, **parts}
    kinds = len(Counter(codes))
    measured = f"arena {sizes.shown(size)}" if size is not None else "arena not measured"
    return CheckReport(
        status="ok",
        summary=f"{len(codes)} operators of {kinds} kinds, all in int8; {measured}",
        counts=counts,
        layers=layers,
    )
