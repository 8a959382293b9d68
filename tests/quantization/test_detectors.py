"""A detector's graph under each scheme: heads, shared codes, what decides, and what is evened out exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeeff.calibration.collect import collect
from edgeeff.detection.facts import CODES, LOGITS
from edgeeff.graph import export
from edgeeff.graph.execute import outputs_of, prepare
from edgeeff.graph.model import constant
from edgeeff.preprocess import Preprocess
from edgeeff.quantization import detecting, quantize, recipe, sensitivity, sharing, simulate
from edgeeff.quantization.centring import Deciding
from edgeeff.quantization.draft import Evidence, layer_constants
from edgeeff.quantization.rewrites import equalise_depthwise
from edgeeff.quantization.roles import is_layer, roles
from edgeeff.zoo.detection import efficientdet, family

SIZE = 128


def _network(parent):
    """A detector of 8 channels and 2 classes, with batch normalisations that differ by level."""
    spec = next(s for s in family.MEMBERS if s.name == parent)
    backbone = replace(spec.backbone, width=0.25, depth=0.3)
    spec = replace(spec, backbone=backbone, channels=8, cells=1, repeats=1, size=SIZE)
    torch.manual_seed(0)
    module = efficientdet.build(spec, 2)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            for values, low, high in ((part.weight, 0.5, 2), (part.running_var, 0.5, 2), (part.bias, -1, 1)):
                torch.nn.init.uniform_(values, low, high)
        elif isinstance(part, torch.nn.Conv2d):
            torch.nn.init.normal_(part.weight, std=(part.weight[0].numel()) ** -0.5)
    module.fix()
    return export.base_graph(module, (SIZE, SIZE), (LOGITS, CODES), coarsest=128)


@pytest.fixture(scope="module")
def drafts(schemes, make_images):
    """``drafts(parent, scheme)``: a draft in which nothing is decided, of three images."""
    preprocess = Preprocess((SIZE, SIZE), (127.5,) * 3, (127.5,) * 3)
    pixels = make_images(3, SIZE, 0)
    known = {}

    def make(parent, scheme, **options):
        if parent not in known:
            graph = _network(parent)
            images = torch.from_numpy(preprocess.normalise(pixels))
            evidence = Evidence(
                collect(graph, preprocess, [pixels]),
                lambda count: iter(images[:count].split(1)),
                lambda: sensitivity.measure(prepare(graph), [images]).gain,
                len(images),
            )
            known[parent] = graph, evidence
        graph, evidence = known[parent]
        return quantize.begin(graph, evidence, preprocess, schemes[scheme], **options)

    return make


def test_layers_of_heads_have_their_roles(drafts):
    for scheme in ("openvino", "tflite"):
        layers = [n for n in drafts("efficientdet-d0", scheme).model.graph if is_layer(n)]
        found = {str(n.name): roles(n) & {"box head", "class head"} for n in layers}
        for name, role in found.items():
            part = name.partition(".")[0]
            assert role == ({part.replace("_", " ")} if part.endswith("_head") else set()), name


@pytest.mark.parametrize("method", ["nearest", "gptq"])
def test_levels_share_their_codes(drafts, method):
    draft = drafts("efficientdet-lite0", "openvino")
    steps = recipe.load("fast").steps
    for step in steps[:-2]:
        if step.use != "keep_float" and step.concerns(draft.bounded, "whole"):
            draft = step(draft)
    from edgeeff.quantization.steps import round as round_

    plan = round_.apply(draft, method=method, images=2)
    groups = [group for group in sharing.groups(draft.layer_nodes()) if len(group) > 1]
    assert [len(group) for group in groups] == [5] * 8  # two separable convolutions of each head
    for group in groups:
        layers = [plan.layers[str(node.name)] for node in group]
        assert all((layer.codes == layers[0].codes).all() for layer in layers)
        for node, layer in zip(group, layers, strict=True):
            weight, _ = layer_constants(node)
            error = np.abs(simulate.weights_of(layer).numpy() - weight)
            limit = (0.51 if method == "nearest" else 3) * layer.scale
            assert (error <= limit.reshape(-1, 1, 1, 1)).all()
    normed = [g for g in groups if "convs.0.pointwise" in str(g[0].name)]
    assert all((plan.layers[str(g[0].name)].scale != plan.layers[str(g[4].name)].scale).any() for g in normed)


def test_evening_out_changes_no_function(drafts):
    draft = drafts("efficientdet-d0", "tensorrt")
    model, statistics = draft.model, draft.evidence.statistics
    random = np.random.default_rng(0)
    groups = equalise_depthwise.pairs(model)
    assert sorted(len(group) for group in groups) == [1] * 8 + [5] * 4  # the pyramid's, and of each head two
    factors = {}
    for group in groups:
        factor = np.exp2(random.uniform(-3, 3, 8))
        factors |= {pair.tensor: factor for pair in group}
    evened, carried, _ = equalise_depthwise.rewrite(model, statistics, {}, factors)
    (image,) = draft.images(1)
    before, after = (outputs_of(prepare(m), image) for m in (model, evened))
    for name in (LOGITS, CODES):
        torch.testing.assert_close(after[name], before[name], rtol=1e-4, atol=1e-4)
    tensor = groups[0][0].tensor
    np.testing.assert_allclose(
        carried[tensor].maximum, statistics[tensor].maximum * factors[tensor], rtol=1e-5
    )
    # What the levels had in common they still have, in one constant.
    predict = [n.inputs[1] for n in evened.graph if str(n.name).startswith("box_head.predict.pointwise")]
    assert len(predict) == 5 and len({str(value.name) for value in predict}) == 1
    assert constant(predict[0]) is not None


def test_background_decides_nothing():
    """An error of a logit far below the floor, or of its box, hardly counts; the same one of a box does."""
    logits = torch.tensor([[[-12.0, -11.0], [1.0, -9.0]]])
    codes = torch.zeros(1, 2, 4)
    outputs = {LOGITS: logits, CODES: codes}
    of = Deciding().by(outputs)

    def error(**changed):
        return float((of({**outputs, **changed}) - of(outputs)).square().sum())

    shift = torch.tensor([[0.5, 0.0]])
    background, box = (error(**{LOGITS: logits + shift * torch.eye(2)[i][None, :, None]}) for i in (0, 1))
    assert background < 1e-6 < 0.2 < box
    moved, unseen = (error(**{CODES: codes + 0.1 * torch.eye(2)[i][None, :, None]}) for i in (1, 0))
    assert unseen < 1e-4 * moved
    # The codes are weighed as the float network's are, whatever the scores have become.
    assert error(**{LOGITS: logits - 20, CODES: codes + 0.1}) > moved


def test_a_detector_is_quantised_by_each_recipe_with_its_boxes_in_float(drafts, schemes):
    for scheme in schemes:
        draft = recipe.load("balanced")(drafts("efficientdet-d0", scheme))
        plan = draft.plan()
        boxes = {str(n.name) for n in draft.model.graph if "box head" in roles(n)}
        assert boxes <= {*plan.floating} and not boxes & {*plan.layers}
        if scheme == "tflite":  # a level's features are one tensor of codes, for the float head too
            first = {n.inputs[0].name: str(n.name) for n in draft.model.graph if str(n.name) in boxes}
            shared = [name for name in first if "_head" not in str(name)]
            assert len(shared) == 5
            assert all((first[name], 0) in plan.readers[name] for name in shared)
            assert CODES not in plan.activations and LOGITS in plan.outputs
            # No logit is clipped at the upper end: boxes would tie, and another than the best be kept.
            assert plan.activations[LOGITS].limits[1] >= 0.99 * draft.evidence.statistics[LOGITS].high
        hub = quantize.write(draft)
        assert [o.name for o in hub.graph.output] == [LOGITS, CODES]
    assert detecting.is_detector([LOGITS, CODES]) and not detecting.is_detector([LOGITS])


def test_weighted_and_resized_features_are_quantised_once(drafts):
    """As their layer makes them where the runtime resizes codes, else not at all; by TFLite exactly."""
    for scheme in ("openvino", "tensorrt", "tflite"):
        draft = drafts("efficientdet-d0", scheme)
        sites = draft.placement.sites
        rescaled = [
            name for name in sites if name.startswith("pyramid.") and (".mul" in name or ".add" in name)
        ]
        resized = [name for name in sites if ".resize" in name]
        if scheme != "tflite":
            assert not rescaled and not resized
            outs = [name for name in sites if name.startswith("pyramid.") and name.endswith("_td.pointwise")]
            assert len(outs) == (3 if scheme == "openvino" else 0)
        else:
            assert not resized
            chosen = recipe.load("fast")(draft).activations
            products = [name for name in rescaled if sites[name].scale_of]
            assert len(products) == 18 + 1 and all(0 < sites[name].times < 1 for name in products)
            for name in products:
                source = chosen[str(sites[name].scale_of)]
                assert chosen[name].zero_point == source.zero_point
                assert chosen[name].scale == pytest.approx(source.scale * sites[name].times, rel=1e-6)


def test_a_detector_is_not_learned(drafts):
    draft = recipe.load("max")(drafts("efficientdet-d0", "tflite"))
    assert any("not learned" in note for note in draft.notes)
