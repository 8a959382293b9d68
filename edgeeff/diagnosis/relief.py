"""What leaving the worst layers float would bring, and what to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir
from torch import Tensor

from edgeeff.diagnosis import advice
from edgeeff.diagnosis.findings import Diagnosis, Relief, decibels
from edgeeff.graph.execute import prepare
from edgeeff.quantization import leave_one_out, ranges
from edgeeff.quantization.draft import Draft, source_of
from edgeeff.quantization.plan import Plan
from edgeeff.quantization.recipe import Recipe


def advise(found: Diagnosis, draft: Draft, used: Recipe, inputs: Sequence[Tensor]) -> Diagnosis:
    """The same with advice, and with what leaving the worst layers float would bring."""
    nodes = {str(node.name): node for node in draft.layer_nodes()}
    readers = _readers(draft.plan(), nodes)
    facts = advice.gather(draft, used, readers)
    worst = advice.culprits(found.findings)
    told = {(f.kind, f.name): advice.of(f, facts) for f in worst}
    findings = tuple(replace(f, advice=told.get((f.kind, f.name), "")) for f in found.findings)
    sets = [readers.get(f.name, ()) if f.kind == "tensor" else (f.name,) for f in worst]
    reliefs = _reliefs(draft, nodes, [names for names in sets if names], inputs)
    clipped = [f.name for f in worst if (f.clipping or 0) >= advice.CLIPPED]
    reliefs += _widened(draft, clipped, inputs)
    found = replace(found, findings=findings, reliefs=reliefs)
    return replace(found, advice=advice.overall(found, facts))


def _readers(plan: Plan, nodes: Mapping[str, ir.Node]) -> dict[str, tuple[str, ...]]:
    """By tensor, the layers that read it quantised."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, node in nodes.items():
        if (source := source_of(node, plan.activations)) in plan.activations:
            found[source].append(name)
    return {tensor: tuple(names) for tensor, names in found.items()}


def _reliefs(
    draft: Draft, nodes: Mapping[str, ir.Node], sets: Sequence[tuple[str, ...]], inputs: Sequence[Tensor]
) -> tuple[Relief, ...]:
    """What leaving each set of layers float brings, and all of them together."""
    plan = draft.plan()
    every = tuple(dict.fromkeys(name for names in sets for name in names))
    distinct = list(dict.fromkeys([*sets, every])) if every else []
    parts = {
        leave_one_out.together(str(n), [leave_one_out.layer(plan, nodes[name]) for name in names]): names
        for n, names in enumerate(distinct)
    }
    if not parts:
        return ()
    draft.progress.stage("leaving the worst layers float", sum(map(len, inputs)))
    errors = leave_one_out.measure(
        *(prepare(draft.model), plan, list(parts), inputs, draft.progress.advance),
        meaning=draft.evidence.meaning,
        deciding=draft.deciding,
    )
    return tuple(
        Relief(names, None, decibels(errors.signal.sum(), errors.without[part].sum()))
        for part, names in parts.items()
    )


def _widened(draft: Draft, tensors: Sequence[str], inputs: Sequence[Tensor]) -> tuple[Relief, ...]:
    """What it brings if the codes of a tensor, one at a time, reach as far as its values in calibration."""
    plan, program, made = draft.plan(), prepare(draft.model), []
    for name in tensors:
        known = draft.evidence.statistics.get(name)
        if known is None:
            continue
        now, symmetric = plan.activations[name], draft.placement.sites[name].symmetric
        whole = ranges.fit(min(known.low, 0.0), max(known.high, 0.0), symmetric, now.type)
        wider = replace(plan, activations={**plan.activations, name: whole})
        errors = leave_one_out.measure(
            program, wider, [], inputs, meaning=draft.evidence.meaning, deciding=draft.deciding
        )
        made.append(Relief((), name, decibels(errors.signal.sum(), errors.total.sum())))
    return tuple(made)
