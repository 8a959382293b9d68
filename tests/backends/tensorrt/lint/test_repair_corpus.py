"""Every graph of the linter's corpus, repaired: no rule is broken anew, and nothing else is computed."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from edgeeff.backends.tensorrt.lint import lint
from edgeeff.backends.tensorrt.repair import repair
from edgeeff.errors import GraphError

#: The graphs that keep every rule afterwards.
MENDED = {
    *("layers.bias_int32", "layers.bias_int32_without_zero_point", "layers.bias_int8"),
    *("layers.weights_uint8", "layers.weights_uint8_around_0", "layers.weights_faked_in_float"),
    *("zero_points.of_activations_128", "zero_points.of_weights_not_0"),
    *("zero_points.missing_and_int8_said", "zero_points.missing_of_int8_weights"),
    *("scales.float16_at_opset_17", "scales.float16_at_opset_19", "scales.float16_on_float32"),
    *("graphs.opset_20", "graphs.opset_21", "graphs.operator_swish"),
}


def errors(model):
    return {finding.rule for finding in lint(model) if finding.severity == "error"}


def outputs(model):
    """None where onnxruntime refuses the graph."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        random = np.random.default_rng(0)
        kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
        fed = {
            entry.name: random.standard_normal([d if isinstance(d, int) else 1 for d in entry.shape]).astype(
                kinds[entry.type]
            )
            for entry in session.get_inputs()
        }
        return session.run(None, fed)
    except Exception:  # onnxruntime's errors share no base class
        return None


def test_no_rule_is_broken_anew(case):
    model = case.model()
    try:
        repaired, said = repair(model)
    except GraphError:
        return
    # A zero point that was left out is uint8 to ONNX: written down, that is what the linter then says.
    uint8 = {"TRT007"} if any("left out" in sentence for sentence in said) else set()
    assert errors(repaired) <= errors(model) | uint8
    before, after = outputs(model), outputs(repaired)
    if before is not None and all(
        tensor.data_type != TensorProto.FLOAT16 for tensor in model.graph.initializer
    ):
        assert after is not None
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", sorted(MENDED))
def test_mended(name, corpus, new_net):
    net = new_net()
    corpus[name](net)
    repaired, said = repair(net.model())
    assert said and not errors(repaired)
