"""From figures to words: what to do about a tensor or a layer, by what a build can be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgeeff.diagnosis import roles
from edgeeff.diagnosis.findings import Diagnosis, Finding, Group, Relief
from edgeeff.quantization import recipe
from edgeeff.quantization.draft import Draft
from edgeeff.quantization.recipe import Recipe
from edgeeff.quantization.rewrites import equalise

#: Of the error, from which something is to be done about a part: left float it takes away as much …
NOTABLE = 0.05
#: … and makes as much by itself. Else its share is another part's error, which it happens to strengthen.
OWN = 0.01
#: Share of a tensor's noise that clipping makes, share of its values that are clipped, and how many times
#: the share in calibration that is, from which the calibration images have not shown what there is. (That
#: a percentile clips a little, everywhere, is what it is chosen for.)
CLIPPED, OUTSIDE, UNSEEN = 0.5, 1e-3, 3.0
#: dB that a float layer must bring to be worth a word.
WORTH = 0.3


@dataclass(frozen=True)
class Facts:
    """What a plan was made with, and what another recipe would do.

    Args:
        done: What the recipe does: its steps, with their methods.
        others: By what this recipe does not do, the first recipe that does.
        bounded: Whether the activation is ReLU6 or the like, not Swish.
        equalised: Tensors that were.
        equalisable: Tensors that could be.
        roles: Of the tensors.
        readers: The layers that read a tensor quantised.
    """

    done: frozenset[str]
    others: Mapping[str, str]
    bounded: bool
    equalised: frozenset[str]
    equalisable: frozenset[str]
    roles: Mapping[str, str]
    readers: Mapping[str, tuple[str, ...]]


def gather(draft: Draft, used: Recipe, readers: Mapping[str, tuple[str, ...]]) -> Facts:
    """The facts of a finished draft."""
    done = _does(used, draft)
    others: dict[str, str] = {}
    for name in sorted(recipe.names(), key=_price):
        for deed in _does(recipe.load(name), draft) - done:
            others.setdefault(deed, name)
    values = {str(node.outputs[0].name): node.outputs[0] for node in draft.model.graph}
    return Facts(
        done=done,
        others=others,
        bounded=draft.bounded,
        equalised=frozenset(name for name, value in values.items() if roles.is_equalised(value)),
        equalisable=frozenset(c.tensor for c in equalise.candidates(draft.model)),
        roles=roles.of_tensors(draft.model),
        readers=readers,
    )


def culprits(findings: Iterable[Finding]) -> list[Finding]:
    """The parts that something is to be done about, the worst first."""
    found = [
        f for f in findings if f.doubt is not None and f.share >= max(NOTABLE, 2 * f.doubt) and f.alone >= OWN
    ]
    return sorted(found, key=lambda f: f.share, reverse=True)


def is_clipped(finding: Finding) -> bool:
    """Whether unseen images reach beyond a tensor's codes as the calibration images did not."""
    outside = finding.outside or 0
    return (
        (finding.clipping or 0) >= CLIPPED
        and outside >= OUTSIDE
        and outside >= UNSEEN * (finding.expected or 0)
    )


def of(finding: Finding, facts: Facts) -> str:
    """What to do about one tensor or layer, in words."""
    if finding.kind == "weights":
        deed = next((d for d in ("learn", "round gptq") if d in facts.others), None)
        return (
            f"{_effort(facts, deed)} rounds its weights by what they do"
            if deed
            else f"--keep-float {finding.name}"
        )
    name, last = finding.name, _leave_float(facts, finding.name)
    used = "" if finding.use is None else f"half of its channels use {finding.use:.0%} of the codes or less"
    if name in facts.equalised:
        return f"{used}, though equalised: {last}" if used else last
    if "equalise" in facts.others and name in facts.equalisable:
        return f"{used or 'not equalised'}: {_effort(facts, 'equalise')} equalises it"
    if is_clipped(finding):
        wider = "" if "ranges minmax" in facts.done else ", or try --ranges minmax"
        return (
            f"its codes cut off {_percent(finding.outside or 0)} of unseen values, and"
            f" {_percent(finding.expected or 0)} in calibration: calibrate with more images{wider}"
        )
    if facts.roles.get(name) in (roles.INSIDE, roles.STEM) and "ranges weighted" in facts.others:
        return f"{_effort(facts, 'ranges weighted')} judges its range by what the outputs make of it"
    if facts.bounded and name in facts.equalisable:
        return f"{used}; scaling them up would clip unseen images: {last}" if used else last
    return last


def overall(found: Diagnosis, facts: Facts) -> tuple[str, ...]:
    """What to do, the most rewarding first; one sentence if nothing is."""
    said = _sources(found.groups)
    worst = culprits(found.findings)
    for deed, text in (
        ("equalise", "scales up the quiet channels of tensors, at no cost at run time"),
        ("ranges weighted", "chooses the ranges of tensors by what the outputs make of noise"),
        ("learn", "learns scales, biases and weights end to end, of what stands out"),
        ("round gptq", "rounds weights by what layers read"),
    ):
        named = [f for f in worst if f.advice and _deed_helps(deed, f, facts)]
        if deed in facts.others and named:
            said.append(
                f"Build with {_effort(facts, deed)}: it {text}, such as {_list(f.name for f in named)}."
            )
            break  # what a dearer recipe adds is seen best from there
    clipped = [f for f in worst if is_clipped(f)]
    if clipped:
        said.append(
            f"Calibrate with more images of your domain: {_list(f.name for f in clipped)}"
            f" {'is' if len(clipped) == 1 else 'are'} clipped on images that calibration has not seen."
        )
    relief = _relief(found.reliefs, found.sqnr)
    if "correct_bias_sequentially" in facts.done and any("--keep-float" in line for line in relief):
        relief.append("A build may gain more by them: it corrects the biases anew with these in float.")
    said += relief
    return tuple(said) or ("No tensor and no layer stands out: the error is spread over all of them.",)


def _sources(groups: Sequence[Group]) -> list[str]:
    """The roles that make a notable part of the error, by the mean of both ways to see it."""
    worst = [g for g in groups if (g.share + g.alone) / 2 >= NOTABLE and min(g.share, g.alone) >= OWN]
    parts = [f"{g.name}{f' ({g.members})' if g.members > 1 else ''} {g.share:.0%}" for g in worst]
    return [f"Where the error comes from: {', '.join(parts)}."] if parts else []


def _relief(reliefs: Sequence[Relief], now: float) -> list[str]:
    """The changes that are worth a word: single ones, the best first, and all layers at once."""
    worth = sorted((r for r in reliefs if r.sqnr - now >= WORTH), key=lambda r: -r.sqnr)
    said = [
        f"Giving {r.widened} its whole range lifts {now:.1f} dB to {r.sqnr:.1f}." for r in worth if r.widened
    ]
    singles = [r for r in worth if len(r.layers) == 1][:3]
    said += [f"--keep-float {r.layers[0]} lifts {now:.1f} dB to {r.sqnr:.1f}." for r in singles]
    several = next((r for r in worth if len(r.layers) > 1), None)
    best = max((r.sqnr for r in singles), default=now)
    if several is not None and several.sqnr - best >= WORTH:
        said.append(f"--keep-float {','.join(several.layers)} lifts it to {several.sqnr:.1f} dB.")
    return said


def _deed_helps(deed: str, finding: Finding, facts: Facts) -> bool:
    if finding.kind == "weights":
        return deed in ("learn", "round gptq")
    if deed == "equalise":
        return finding.name in facts.equalisable and finding.name not in facts.equalised
    if deed == "ranges weighted":
        return "equalise" not in facts.others
    return deed == "learn"


def _does(used: Recipe, draft: Draft) -> frozenset[str]:
    """A recipe's steps that concern a draft: ``equalise``, ``ranges weighted``."""
    return frozenset(
        " ".join([step.use, *([step.arguments["method"]] if "method" in step.arguments else [])])
        for step in used.steps
        if step.concerns(draft.bounded, draft.scheme.swish)
    )


def _price(name: str) -> int:
    """Recipes by what they cost, as far as their steps tell."""
    return len(recipe.load(name).steps)


def _effort(facts: Facts, deed: str) -> str:
    return f"--effort {facts.others[deed]}"


def _leave_float(facts: Facts, tensor: str) -> str:
    layers = facts.readers.get(tensor, ())
    return f"--keep-float {','.join(layers)}" if layers else "nothing that a build can be told"


def _list(names: Iterable[str]) -> str:
    names = list(names)
    shown = names[:4] + ([f"{len(names) - 4} more"] if len(names) > 4 else [])
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def _percent(share: float) -> str:
    return f"{share:.2%}" if share < 0.01 else f"{share:.0%}"
