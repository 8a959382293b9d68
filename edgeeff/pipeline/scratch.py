"""A bundle for measuring alone, in a temporary folder: no golden vectors, nothing of it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeeff import backends
from edgeeff.backends import Emission
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.labels import placeholders
from edgeeff.target import Target

if TYPE_CHECKING:
    from edgeeff.pipeline.steps import Work


def bundle(
    work: Work, target: Target, raw: bool, folder: Path, floating: frozenset[str] = frozenset()
) -> Bundle:
    """What a build would write of the target, as far as its runtime looks at it.

    Args:
        work: The steps of the build.
        target: As a variant has it (:meth:`edgeeff.target.Target.served`).
        raw: Whether the graph's input is raw pixels, not normalised ones.
        folder: Where it is written; its name is the bundle's.
        floating: Layers that stay float.
    """
    import onnx

    graph, plan = work.quantised(target, raw, floating)
    emission = Emission(folder.name, target, work.preprocess, ())
    emit = backends.runtime(target.runtime).part("emit").emit
    files: dict[str, bytes] = dict(emit(onnx.load_model_from_string(graph), emission))
    manifest = Manifest(
        name=folder.name,
        model=work.identity.model,
        target=target.name,
        runtime=target.runtime,
        precision=target.precision,
        input=target.input,
        softmax=False,
        cpu_class=work.options.cpu_class,
        preprocess=backends.input_preprocess(target, work.preprocess),
        labels=placeholders(work.identity.classes),
        classes=work.identity.classes,
        runtime_properties=target.runtime_properties,
        digests={},
        tools={},
        files={},
    )
    return write_bundle(folder, manifest, {**files, "plan.json": plan.encode()})
