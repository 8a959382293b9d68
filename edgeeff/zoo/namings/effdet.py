"""The naming of ``effdet`` (rwightman/efficientdet-pytorch): detectors on backbones of timm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from edgeeff.zoo import conventions
from edgeeff.zoo.detection.architecture import BOX_HEAD, CLASS_HEAD, DetectorArchitecture
from edgeeff.zoo.detection.conventions import EFFDET, TENSORFLOW, DetectorConventions
from edgeeff.zoo.detection.origin import DetectorOrigin
from edgeeff.zoo.detection.pyramid import Node
from edgeeff.zoo.detection.spec import DetectorSpec
from edgeeff.zoo.namings import timm
from edgeeff.zoo.namings._places import UNNEEDED
from edgeeff.zoo.origin import Alternative, Doubt
from edgeeff.zoo.spec import IMAGENET, PLUS_MINUS_ONE

DETECTOR = True
_BACKBONE = "backbone."
#: What its benches (DetBenchPredict, DetBenchTrain) hold beside the network: anchors, in pixels.
_BENCH = "anchors.boxes"
_LAYERS = {"conv_dw": "depthwise", "conv_pw": "pointwise", "bn": "norm", "conv": "conv"}
_HEADS = {"class_net": CLASS_HEAD, "box_net": BOX_HEAD}
_KEY = re.compile(
    r"fpn\.resample\.(?P<coarser>\d+)\.conv\.(?P<coarser_layer>conv|bn)\.(?P<coarser_part>\w+)"
    r"|fpn\.cell\.(?P<cell>\d+)\.fnode\.(?P<node>\d+)\."
    r"(?:combine\.(?:(?P<weights>edge_weights)"
    r"|resample\.(?P<source>\d+)\.conv\.(?P<resampled>conv|bn)\.(?P<resampled_part>\w+))"
    r"|after_combine\.conv\.(?P<layer>conv_dw|conv_pw|bn)\.(?P<part>\w+))"
    r"|(?P<head>class_net|box_net)\."
    r"(?:(?:conv_rep\.(?P<repeat>\d+)|predict)\.(?P<head_layer>conv_dw|conv_pw)\.(?P<head_part>\w+)"
    r"|bn_rep\.(?P<outer>\d+)\.(?P<inner>\d+)\.(?P<repeats_first>bn\.)?(?P<norm_part>(?!bn\b)\w+))"
)


def translate(key: str, architecture: DetectorArchitecture) -> str | None:
    """Our name of ``fpn.cell.0.fnode.1.combine.edge_weights`` and the like."""
    if key.startswith(_BACKBONE):
        found = timm.translate(key[len(_BACKBONE) :], architecture.backbone)
        return f"{_BACKBONE}{found}" if found else found
    match = _KEY.fullmatch(key)
    if match is None:
        return "" if key == _BENCH else None
    if key.endswith(UNNEEDED):
        return ""
    if match["head"]:
        return _of_head(match.groupdict(), architecture)
    if match["coarser"]:
        level, layer = int(match["coarser"]), _LAYERS[match["coarser_layer"]]
        name = _at(architecture.level_names, level)
        return f"pyramid.coarser.{name}.project.{layer}.{match['coarser_part']}"
    node = _node(architecture, int(match["node"]))
    at = f"pyramid.cells.{match['cell']}.{node.name}"
    if match["weights"]:
        return f"{at}.weights"
    if match["layer"]:
        return f"{at}.{_LAYERS[match['layer']]}.{match['part']}"
    source = int(match["source"])
    place = str(node.inputs.index(source)) if source in node.inputs else f"nowhere{source}"
    return f"{at}.inputs.{place}.project.{_LAYERS[match['resampled']]}.{match['resampled_part']}"


def _of_head(found: Mapping[str, str | None], architecture: DetectorArchitecture) -> str:
    """Our name of a head's tensor.

    effdet counts a head's batch normalisations by repeat and level (``bn_rep.2.4.bn.weight``), or, made for
    TorchScript, by level and repeat (``bn_rep.4.2.weight``); each way has its own ending.
    """
    head = _HEADS[found["head"] or ""]
    if found["outer"] is None:
        at = "predict" if found["repeat"] is None else f"convs.{found['repeat']}"
        return f"{head}.{at}.{_LAYERS[found['head_layer'] or '']}.{found['head_part']}"
    outer, inner = int(found["outer"]), int(found["inner"] or 0)
    repeat, level = (outer, inner) if found["repeats_first"] else (inner, outer)
    return f"{head}.norms.{repeat}.{_at(architecture.level_names, level)}.{found['norm_part']}"


def _node(architecture: DetectorArchitecture, place: int) -> Node:
    """A cell's node; one of a name that no cell has where there are not so many."""
    nodes = architecture.nodes
    return nodes[place] if place < len(nodes) else Node(f"nowhere{place}", 0, ())


def _at(names: tuple[str, ...], place: int) -> str:
    return names[place] if place < len(names) else f"nowhere{place}"


#: Of these effdet has variants of its own with the tensors of ``tf_efficientdet_…``: the backbone of timm's
#: own training in a pyramid that pads as TensorFlow does.
_MIXED = DetectorConventions(backbone=conventions.TORCH)
_SAME_TENSORS = ("efficientdet-d4", "efficientdet-d5")
_OWN = ("efficientdet-d0", "efficientdet-d1", "efficientdet-d2", "efficientdet-d3")


def origin(spec: DetectorSpec, said: str | None) -> DetectorOrigin:
    """``tf_efficientdet_…`` are TensorFlow's weights and conventions, the others effdet's own training.

    Of D0 to D3 its own have no bias before batch normalisation; ``tf_…`` made with ``redundant_bias=False``
    have none either, and compute something else. A letterbox in the mean colour; black where the name says
    AdvProp (``tf_efficientdet_d0_ap``). Classes are counted from 1 in what its benches report.
    """
    name = spec.name.replace("-", "_")
    if spec.conventions != TENSORFLOW:  # Q0 to Q2 and V2: nobody else has them
        return _made(spec, name, spec.conventions)
    if spec.activation == "relu6" and spec.weighted:
        return _own_lite(spec, name)
    text = (said or "").lower().replace("-", "_")
    before, found, after = text.partition(name)
    ported, mixed = bool(found) and before.endswith("tf_"), spec.name in _SAME_TENSORS
    own = bool(found) and not ported
    doubt = None
    if spec.biases or spec.name not in _OWN:
        library = name if own and mixed and spec.biases else f"tf_{name}"
        found_conventions = _MIXED if library == name else TENSORFLOW
        if mixed and spec.biases and not ported:
            doubt = _doubt(library, f"tf_{name}" if library == name else name)
    else:
        library = f"tf_{name}" if ported else name
        found_conventions = TENSORFLOW if ported else EFFDET
        if not found:
            doubt = _doubt(library, f"tf_{name}")
    advprop = ported and after.startswith("_ap")
    return _made(spec, f"{library}_ap" if advprop else library, found_conventions, doubt, advprop)


def _own_lite(spec: DetectorSpec, name: str) -> DetectorOrigin:
    """effdet's own ``efficientdet_lite0``: weights of fusion, another size, scale of anchors and colours."""
    size = (384, 384)
    found = DetectorOrigin(
        source=f"effdet {name}",
        conventions=_MIXED,
        preprocess=replace(spec.preprocess(size), mean=IMAGENET[0], std=IMAGENET[1], letterbox=IMAGENET[0]),
        geometry=replace(spec.geometry(size), scale=4.0),
        offset=1,
    )
    if spec.name == "efficientdet-lite0" and not spec.biases:
        return found
    warning = (
        f"effdet has no {name} with weights of fusion{' and biases' if spec.biases else ''}: it is taken to "
        "be as its own efficientdet_lite0, padding, anchors and colours, which is a guess"
    )
    return replace(found, warnings=(warning,))


def _made(
    spec: DetectorSpec,
    library: str,
    own: DetectorConventions,
    doubt: Doubt | None = None,
    advprop: bool = False,
) -> DetectorOrigin:
    preprocess = spec.preprocess()
    if advprop or spec.activation == "relu6":
        mean, std = PLUS_MINUS_ONE
        preprocess = replace(preprocess, mean=mean, std=std, letterbox=(0.0, 0.0, 0.0) if advprop else mean)
    return DetectorOrigin(
        source=f"effdet {library}",
        conventions=own,
        preprocess=preprocess,
        geometry=spec.geometry(),
        offset=1,
        warnings=() if doubt is None else (doubt.warning,),
    )


def _doubt(library: str, other: str) -> Doubt:
    return Doubt(
        f"effdet's {library} and {other} can have the same tensors and do not compute the same, and neither "
        f"the file nor its name says which it is: taken for {library}",
        Alternative("that is right", model=library),
        (Alternative(f"it is {other}", model=other),),
    )
