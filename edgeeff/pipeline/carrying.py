"""The variants of a target that its bundle carries, for its device to choose among (``--autotune``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from edgeeff import backends
from edgeeff.batch import Batch
from edgeeff.carried import Carried, Carrying, slug_of
from edgeeff.harness import verify
from edgeeff.harness.golden import golden_files
from edgeeff.harness.verify import Verification
from edgeeff.memory import give_back
from edgeeff.pipeline import tuning, variants
from edgeeff.pipeline.framed import Framed
from edgeeff.pipeline.stages import reference
from edgeeff.pipeline.stages.drafting import Drafting
from edgeeff.pipeline.stages.hub import Hub, hub
from edgeeff.pipeline.variants import PLAIN
from edgeeff.target import Target, Variant

if TYPE_CHECKING:
    import onnx

    from edgeeff.backends import Emission


#: dB below the bundle's own graph within which a variant is carried whatever few images decide.
NEAR = 1.5


@dataclass(frozen=True)
class Carries:
    """What a bundle gets of them.

    Args:
        said: For its manifest; None: it carries none.
        hubs: Their hub graphs, by slug.
    """

    said: Carrying | None = None
    hubs: Mapping[str, Hub] = field(default_factory=dict)

    def graphs(self, batch: Batch) -> Mapping[str, Callable[[], onnx.ModelProto]]:
        """For :attr:`Emission.variants`."""
        return {slug: partial(_graph, one, batch) for slug, one in self.hubs.items()}

    def golden(self, emission: Emission, framed: Framed, count: int) -> dict[str, bytes]:
        """What each makes of the bundle's golden inputs: ``golden/variants/<slug>/<output>.npy``."""
        if min(count, framed.expected.images) == 0:
            return {}
        inputs, of_float = framed.expected.first(count)
        named, files = backends.artifact_outputs(emission), {}
        for slug, one in self.hubs.items():
            found = reference.infer(one.graph, emission.preprocess, [inputs], raw=one.raw, literal=True)
            both = (emission.meaning.outputs(outputs, named) for outputs in (found, of_float))
            for name, content in golden_files(inputs, *both).items():
                if name.startswith("golden/hub/"):
                    files[name.replace("golden/hub/", f"golden/variants/{slug}/", 1)] = content
        return files


def carry(
    drafting: Drafting, target: Target, own: Hub, floating: frozenset[str], framed: Framed, batch: Batch
) -> Carries:
    """Draft every variant of a target that its bundle is not built as, and find how faithful each is.

    Left out is one that a build would warn of where it does not of the bundle's own graph, and that is not
    nearly as near to the float graph.

    Args:
        drafting: How the network is quantised.
        target: With its variants.
        own: The hub graph of the one that the rules give.
        floating: Layers that stay float in all of them.
        framed: Held-out images with the float graph's outputs.
        batch: Images in a run.
    """
    network, context = drafting.calibration.network, drafting.context
    rule = target.variant(drafting.cpu_class, network.activation)
    choices: list[Variant | None] = [None, *target.choices(network.activation)]
    if not tuning.chooses_on_device(target) or len(choices) == 1:
        return Carries()
    fidelity = _fidelity(drafting, own, framed)
    carried, hubs = [], {}
    for variant in choices:
        name = PLAIN if variant is None else variant.name
        if name == (PLAIN if rule is None else rule.name):
            continue
        context.progress.stage(f"{target.name}: the variant {name}")
        made = hub(drafting, target.served(variants.of_batch(variant, batch)), floating)
        found = _fidelity(drafting, made, framed)
        lost = _lost(found, fidelity)
        context.progress.tell(f"variant  {name}: {_told(found)}{f'; not carried: {lost}' if lost else ''}")
        if lost:
            continue
        slug = slug_of(name)
        carried.append(Carried(name, slug, found.to_json()))
        hubs[slug] = made
        give_back()
    if not carried:
        return Carries()
    context.progress.tell(
        f"variants {len(carried)} are carried: build_engine.py --autotune chooses on the device"
    )
    tuned, named = f"{target.name}/{network.activation}", PLAIN if rule is None else rule.name
    return Carries(Carrying(tuned, named, fidelity.to_json(), tuple(carried)), hubs)


def _fidelity(drafting: Drafting, graph: Hub, framed: Framed) -> Verification:
    """A hub graph against the float graph on the held-out images, in onnxruntime."""
    expected, preprocess = framed.expected, drafting.calibration.preprocess
    parts = reference.inferred(graph.graph, preprocess, expected.batches, raw=graph.raw)
    return verify.judge_parts(expected.outputs.pairs(parts), replace(drafting.meaning, probable=False))


def _lost(found: Verification, own: Verification) -> str:
    """Why a variant is not carried; empty where it is."""
    near = found.sqnr_centred >= own.sqnr_centred - NEAR
    return "" if near or own.warnings else "; ".join(found.warnings)


def _told(found: Verification) -> str:
    agreement = f", {found.agreement.value:.1%} agreement" if found.agreement else ""
    return f"{found.sqnr:.1f} dB to float{agreement} ({found.images} images, onnxruntime)"


def _graph(made: Hub, batch: Batch) -> onnx.ModelProto:
    import onnx

    from edgeeff.graph.batch import with_batch

    return with_batch(onnx.load_model_from_string(made.graph), batch)
