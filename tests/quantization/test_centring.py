"""What of the logits decides: a single logit less its mean would be nothing, and nothing would be learned."""

import pytest
import torch

from edgeeff.graph.execute import prepare
from edgeeff.graph.export import base_graph
from edgeeff.quantization import sensitivity
from edgeeff.quantization.centring import Deciding, centred


def test_a_shift_counts_where_labels_do_not_exclude_each_other():
    logits = torch.tensor([[1.0, 2.0, 6.0]])
    assert torch.equal(centred(logits, True), centred(logits + 5, True))
    assert torch.equal(centred(logits + 5, False) - centred(logits, False), torch.full((1, 3), 5.0))


@pytest.mark.parametrize("classes", [1, 2])
def test_channels_count_with_few_logits(make_module, make_images, classes):
    module = make_module("lite0", classes=classes)
    images = torch.from_numpy(make_images(2, 64, 1).transpose(0, 3, 1, 2).astype("float32") / 128 - 1)
    program = prepare(base_graph(module, (64, 64)))
    exclusive, independent = (
        sensitivity.measure(program, [images], deciding=Deciding(e)) for e in (True, False)
    )
    assert independent.signal > 0 and max(g.max() for g in independent.gain.values()) > 0
    if classes == 1:
        assert exclusive.signal == 0 and not any(g.any() for g in exclusive.gain.values())
    else:
        assert 0 < exclusive.signal < independent.signal
