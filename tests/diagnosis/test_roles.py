"""What each tensor is, in the networks of both families, read off the graph."""

from __future__ import annotations

import pytest

from edgeeff.diagnosis import roles
from edgeeff.quantization.rewrites import swish_steps


@pytest.mark.parametrize("network", ["lite0", "b0"])
def test_every_tensor_has_a_role(networks, network):
    graph = networks[network].graph
    found = roles.of_tensors(graph)
    assert set(found.values()) <= set(roles.SINGULAR)
    assert {str(node.outputs[0].name) for node in graph.graph} < set(found)
    assert found["input"] == roles.INPUT and found["logits"] == roles.OUTPUT
    assert found["pool.globalaveragepool"] == found["flatten"] == roles.POOLED
    assert found["blocks.2.add"] == found["blocks.1.project.conv"] == roles.RESIDUAL


def test_of_b0(b0):
    found = roles.of_tensors(b0.graph)
    assert found["stem.swish"] == roles.STEM
    assert found["blocks.1.expand.swish"] == roles.ACTIVATION
    assert found["blocks.1.squeeze.mul"] == roles.PRODUCT
    assert found["blocks.1.squeeze.sigmoid"] == found["blocks.1.squeeze.reduce"] == roles.BRANCH
    assert sum(role == roles.PRODUCT for role in found.values()) == 16


def test_of_swish_in_two_steps(b0):
    found = roles.of_tensors(swish_steps.rewrite(b0.graph))
    inside = ("stem.conv", "stem.swish.sigmoid", "blocks.1.expand.conv", "blocks.1.squeeze.reduce")
    assert {found[name] for name in inside} == {roles.INSIDE}
    assert found["stem.swish"] == roles.STEM
    assert found["blocks.1.squeeze.sigmoid"] == roles.BRANCH  # a gate, and no part of a Swish
    assert found["blocks.1.squeeze.mul"] == roles.PRODUCT


def test_of_lite0(lite0):
    tapped = lite0.graph.clone()
    tapped.graph.outputs.append(next(n.outputs[0] for n in tapped.graph if n.name == "blocks.2.add"))
    assert roles.of_tensors(tapped)["blocks.2.add"] == roles.FEATURES
    found = roles.of_tensors(lite0.graph)
    assert found["stem.clip"] == roles.STEM and found["blocks.3.depthwise.clip"] == roles.ACTIVATION
    assert not {roles.PRODUCT, roles.BRANCH, roles.INSIDE} & set(found.values())


def test_layers_in_words(b0):
    said = {str(n.name): roles.of_layer(n) for n in b0.graph.graph if n.op_type in ("Conv", "Gemm")}
    assert said["stem.conv"] == "3×3 convolution"
    assert said["blocks.0.depthwise.conv"] == "3×3 depthwise convolution"
    assert said["blocks.0.squeeze.reduce"] == "1×1 convolution, SE"
    assert said["classifier"] == "fully connected layer"
