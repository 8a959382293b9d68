"""hub graph ─▶ what a bundle seals: artifact, manifest, plan, golden files, README."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeeff import backends, digests, memory
from edgeeff.backends import Emission
from edgeeff.batch import ONE, Batch
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.cache import versions
from edgeeff.errors import OptionError
from edgeeff.harness.golden import golden_files
from edgeeff.labels import placeholders
from edgeeff.memory import give_back
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.framed import Framed
from edgeeff.pipeline.plugged import Used
from edgeeff.pipeline.stages import reference
from edgeeff.pipeline.stages.drafting import Drafting
from edgeeff.pipeline.stages.hub import Hub, float_hub
from edgeeff.pipeline.stages.network import Network
from edgeeff.preprocess import Preprocess
from edgeeff.readme import readme
from edgeeff.target import Target

if TYPE_CHECKING:
    import onnx

#: Raised when the files of a bundle become others from the same hub graph.
VERSION = 5
#: Distributions whose version can change a bundle's bytes, beside those of its runtime.
TOOLS = ("edgeeff", "torch", "onnx", "onnx-ir", "onnxsim", "onnxruntime", "numpy", "pillow")


def tool_versions(used: Used) -> dict[str, str]:
    """The installed versions that the bytes of a bundle depend on."""
    return versions(*TOOLS, *backends.runtime(used.target.runtime).tools) | used.tools()


def target_facts(target: Target) -> dict[str, Any]:
    """A target as plain data, for a key."""
    facts = {
        **vars(target),
        "scheme": vars(target.scheme) if target.scheme else None,
        "variants": [vars(variant) for variant in target.variants],
    }
    del facts["camera"]  # what a target without one is known by stays as it was
    return facts if target.camera is None else {**facts, "camera": target.camera._asdict()}


def emission(
    drafting: Drafting, target: Target, hub: Hub, labels: tuple[str, ...], name: str, batch: Batch
) -> Emission:
    """What the artifact is written from, besides the graph."""
    meaning = drafting.meaning
    return Emission(
        *(name, target, taking(drafting.calibration.preprocess, target), labels, meaning.probable),
        float_graph=partial(_float_graph, drafting, target, batch),
        task=meaning.task,
        threshold=meaning.threshold,
        outputs=hub.outputs,
        batch=batch,
        detection=meaning.detection,
    )


def taking(preprocess: Preprocess, target: Target) -> Preprocess:
    """A network's preprocessing as the artifact of a target takes photos."""
    return preprocess if target.camera is None else replace(preprocess, camera=target.camera)


def manifest(
    emission: Emission,
    used: Used,
    *,
    model: str,
    classes: int,
    cpu_class: str,
    digests: Mapping[str, str],
    origin: str = "",
    negative: str = "",
) -> Manifest:
    """What a bundle says of itself; ``files`` is filled when it is written.

    Args:
        emission: What its artifact is written from.
        used: By what names its bytes are decided, which plug-ins may bring.
        model: The network's name.
        classes: How many it has.
        cpu_class: What the artifact was planned for.
        digests: What it was made from.
        origin: Whose network it is.
        negative: What an image is called that has not the only label.
    """
    target = emission.target
    return Manifest(
        name=emission.name,
        model=model,
        target=target.name,
        runtime=target.runtime,
        precision=target.precision,
        input=target.input if target.camera is None else "uint8",
        softmax=emission.softmax,
        cpu_class=cpu_class,
        preprocess=backends.input_preprocess(target, emission.preprocess),
        labels=tuple(emission.labels),
        classes=classes,
        runtime_properties=target.runtime_properties,
        digests=dict(digests),
        tools=tool_versions(used),
        plugins={what: plugin.origin for what, plugin in used.plugins().items()},
        files={},
        origin=origin,
        task=emission.task,
        threshold=emission.threshold,
        negative=negative,
        outputs=backends.artifact_outputs(emission),
        batch=emission.batch,
        detection=emission.detection,
    )


def hub_digests(hub: Hub, drafting: Drafting) -> dict[str, str]:
    """What a manifest says that the bundle was made from."""
    found = {"graph": drafting.calibration.network.digest, "hub": digests.of_bytes(hub.graph)}
    if hub.plan is not None:
        found |= {"plan": digests.of_bytes(hub.plan.encode()), "statistics": drafting.calibration.key}
    return found


def lowered(graph: onnx.ModelProto, emission: Emission) -> dict[str, bytes]:
    """The artifact's files, and the README that goes with them.

    This is where a graph gets its batch: whatever that of ``graph`` is, ``emit`` is given the emission's.

    Raises:
        GraphError: The graph computes across the images of a run.
    """
    from edgeeff.graph.batch import with_batch

    files = backends.runtime(emission.target.runtime).emit(with_batch(graph, emission.batch), emission)
    return {**files, "README.md": readme(emission).encode()}


def files_of(hub: Hub, emission: Emission) -> dict[str, bytes]:
    """What a bundle seals beside golden files: artifact, README and plan."""
    import onnx

    files = lowered(onnx.load_model_from_string(hub.graph), emission)
    give_back()
    return files if hub.plan is None else {**files, "plan.json": hub.plan.encode()}


def golden(hub: Hub, emission: Emission, framed: Framed, count: int) -> dict[str, bytes]:
    """Golden inputs, and what hub graph and float graph make of them, by the artifact's names for outputs.

    Args:
        hub: The hub graph.
        emission: What the artifact is written from.
        framed: Held-out images with the float graph's outputs, as the artifact takes them.
        count: How many of them a bundle carries.
    """
    if min(count, framed.expected.images) == 0:
        return {}
    inputs, of_float = framed.expected.first(count)
    if emission.preprocess.camera is not None:
        # Both graphs behind what the artifact itself does with a frame: of that nothing is a difference.
        inputs, graph = framed.first(count), framed.calibration.network.graph()
        of_float = reference.infer(graph, emission.preprocess, [inputs], raw=False)
    of_hub = reference.infer(hub.graph, emission.preprocess, [inputs], raw=hub.raw, literal=True)
    named = backends.artifact_outputs(emission)
    both = (emission.meaning.outputs(found, named) for found in (of_hub, of_float))
    return golden_files(inputs, *both)


def caution(emission: Emission, context: Context) -> None:
    """Say what the artifact's input is where it is not the usual one, and warn of what its runtime says."""
    target, runtime = emission.target, backends.runtime(emission.target.runtime)
    if backends.input_preprocess(target, emission.preprocess) != emission.preprocess:
        why = runtime.one_normalisation
        context.say_once(f"input    {target.name}: float pixels of 0…255, normalised inside ({why})")
    for part in (runtime.usage(), runtime.part("emit")):
        if part is not None and hasattr(part, "cautions"):
            context.warn_all(part.cautions(emission), about=emission.name)


def scratch(
    drafting: Drafting,
    target: Target,
    folder: Path,
    floating: frozenset[str] = frozenset(),
    batch: Batch = ONE,
) -> Bundle:
    """A bundle for measuring alone: what a build would write of a target, as far as its runtime looks at it.

    Args:
        drafting: How the network is quantised.
        target: As a variant has it (:meth:`edgeeff.target.Target.served`).
        folder: Where it is written; its name is the bundle's.
        floating: Layers that stay float.
        batch: Images in a run of it.
    """
    import onnx

    from edgeeff.graph.outputs import outputs_of

    graph, plan = drafting.quantised(target, floating)
    model, identity = onnx.load_model_from_string(graph), drafting.calibration.network.source.identity
    written_from = Emission(
        *(folder.name, target, taking(drafting.calibration.preprocess, target)),
        labels=placeholders(identity.classes),
        task=drafting.meaning.task,
        outputs=outputs_of(model, drafting.meaning.task),
        batch=batch,
        detection=drafting.meaning.detection,
    )
    said = manifest(
        written_from,
        Used(target, drafting.meaning.task, drafting.recipe, identity.naming),
        model=identity.model,
        classes=identity.classes,
        cpu_class=drafting.cpu_class,
        digests={},
    )
    return write_bundle(folder, said, {**lowered(model, written_from), "plan.json": plan.encode()})


def _float_graph(drafting: Drafting, target: Target, batch: Batch) -> onnx.ModelProto:
    import onnx

    from edgeeff.graph.batch import with_batch

    return with_batch(onnx.load_model_from_string(float_hub(drafting, target).graph), batch)


def refuse_memory(network: Network, batch: Batch) -> None:
    """Refuse a batch whose run cannot fit in memory, before anything is calibrated for it.

    Raises:
        OptionError: One layer's input and output in float32 would fill its memory.
    """
    here = memory.allowed()
    if batch.size == 1 or here is None:
        return
    import onnx

    from edgeeff.graph.batch import least_bytes

    needed = least_bytes(onnx.load_model_from_string(network.graph()), batch)
    if needed > here:
        raise OptionError(
            f"--batch {batch.to_json()}: one layer of {batch.size} images takes {needed / 1e9:.0f} GB, and "
            f"this process can have {here / 1e9:.0f}",
            mend="give fewer images, or raise the limit of its container, if it has one",
        )
