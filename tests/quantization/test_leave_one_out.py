"""Leave-one-out against the long way: every part's own run, from the first step to the last."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeeff.graph.execute import Reader, Run, execute, prepare
from edgeeff.quantization import clipping, leave_one_out, simulate
from edgeeff.quantization.plan import ActivationQuantization


def energy(logits: torch.Tensor, reference: torch.Tensor) -> float:
    difference = (logits - reference).double()
    return float((difference - difference.mean(1, keepdim=True)).square().sum())


@pytest.mark.parametrize(("network", "scheme"), [("b0", "openvino"), ("lite0", "tensorrt"), ("b0", "tflite")])
def test_as_by_runs_of_their_own(network, scheme, finished, inputs):
    """``simulate.reader`` with the same tensor or layer left float says the same of the same images."""
    draft = finished(network, scheme)
    plan, program = draft.plan(), prepare(draft.model)
    # Batches of the same size: oneDNN's sums hang on it, and roundings on their last bit.
    batches = inputs(network, 4).split(2)
    tensors, layers = list(plan.activations)[1::40], list(plan.layers)[::30]
    parts = {name: leave_one_out.tensor(plan, name) for name in tensors}
    parts |= {name + ".weights": leave_one_out.weights(name) for name in layers}
    found = leave_one_out.measure(program, plan, list(parts.values()), batches)

    def every(read: Reader | None = None) -> torch.Tensor:
        return torch.cat([execute(program, images, read=read) for images in batches])

    def run(**left: list[str]) -> float:
        logits = every(simulate.reader(plan, **left))
        for name in plan.outputs:
            logits = simulate.fake_quantise(logits, plan.activations[name])
        return energy(logits, reference)

    reference = every()
    assert len(found.total) == 4
    assert found.signal.sum() == pytest.approx(energy(reference, torch.zeros_like(reference)), rel=1e-6)
    assert found.total.sum() == pytest.approx(run(), rel=1e-5)
    for name in tensors:
        assert found.without[parts[name]].sum() == pytest.approx(run(float_tensors=[name]), rel=1e-4), name
    for name in layers:
        part = parts[f"{name}.weights"]
        assert found.without[part].sum() == pytest.approx(run(float_layers=[name]), rel=1e-4), name
        assert found.share(part) == pytest.approx(1 - found.without[part].sum() / found.total.sum())
    # A tensor alone: all others and all layers are left float, the output too.
    name = tensors[0]
    others = [t for t in plan.activations if t != name]
    alone = every(simulate.reader(plan, float_tensors=others, float_layers=list(plan.layers)))
    assert found.alone[parts[name]].sum() == pytest.approx(energy(alone, reference), rel=1e-4)


def test_everything_left_out_leaves_nothing(finished, inputs):
    draft = finished("b0", "tflite")
    plan = draft.plan()
    every = leave_one_out.together(
        "all",
        [
            *(leave_one_out.tensor(plan, name) for name in plan.activations),
            *(leave_one_out.weights(name) for name in plan.layers),
        ],
    )
    found = leave_one_out.measure(prepare(draft.model), plan, [every], [inputs("b0", 2)])
    assert every.outputs and not found.without[every].any()
    assert found.share(every) == 1 and found.doubt(every) == 0 and found.alone_share(every) == 1
    assert found.agreeing.shape == found.total.shape == (2,)


def test_a_quantised_output_is_a_part(finished, inputs):
    """No node reads it: it begins where the last step has ended."""
    draft = finished("b0", "tflite")
    plan, program, images = draft.plan(), prepare(draft.model), inputs("b0", 2)
    part = leave_one_out.tensor(plan, "logits")
    assert part.outputs and not part.places
    found = leave_one_out.measure(program, plan, [part], [images])
    logits = execute(program, images)
    rounded = simulate.fake_quantise(logits, plan.activations["logits"])
    assert found.alone[part].sum() == pytest.approx(energy(rounded, logits), rel=1e-5)
    assert found.alone[part].all()


def test_a_layer_reads_its_input_float(finished):
    """The classifier reads its own through Flatten; what a sum reads of one is not the layer's."""
    draft = finished("b0", "openvino")
    plan, nodes = draft.plan(), {str(node.name): node for node in draft.model.graph}
    classifier = leave_one_out.layer(plan, nodes["classifier"])
    assert classifier.places == {("classifier", 1), ("classifier", 2), ("flatten", 0)}
    expand = leave_one_out.layer(plan, nodes["blocks.2.expand.conv"])
    assert expand.places == {("blocks.2.expand.conv", index) for index in range(3)}
    squeeze = leave_one_out.layer(plan, nodes["blocks.2.squeeze.reduce"])
    assert ("blocks.2.squeeze.reduce", 0) not in squeeze.places  # float already, by the scheme


def test_batches_threads_and_forks_change_nothing(finished, inputs):
    draft = finished("lite0", "openvino")
    plan, program = draft.plan(), prepare(draft.model)
    parts = [leave_one_out.tensor(plan, name) for name in list(plan.activations)[:3]]
    done: list[int] = []
    threads = torch.get_num_threads()
    found = [
        leave_one_out.measure(program, plan, parts, inputs("lite0", 5).split(2), done.append)
        for _ in range(2)
    ]
    for first, second in zip(*(f.without.values() for f in found), strict=True):
        assert first.tolist() == second.tolist()
    assert done == [2, 2, 1] * 2 and torch.get_num_threads() == threads
    images = inputs("lite0", 1)
    run = Run(program, {program.input: images}, dict(program.reads))
    for _ in range(7):
        run.step()
    fork = run.fork()
    assert torch.equal(fork.finish()["logits"], execute(program, images)) and run.at == 7
    assert torch.equal(run.finish()["logits"], execute(program, images))


def test_no_error_no_share():
    part = leave_one_out.Part("x", frozenset())
    ones = np.ones(2)
    for total in (0 * ones, np.nan * ones):
        errors = leave_one_out.Errors(ones > 0, ones, total, {part: 0 * ones}, {part: 0 * ones})
        assert errors.share(part) == errors.doubt(part) == errors.alone_share(part) == 0


def test_doubt_is_how_much_images_differ():
    """Of a part that takes the same share of every image's error nothing is in doubt."""
    part, total = leave_one_out.Part("x", frozenset()), np.array([1.0, 2.0, 3.0])
    made = {
        name: leave_one_out.Errors(total > 0, total, total, {part: without}, {part: total})
        for name, without in (("same", 0.5 * total), ("differs", np.array([1.0, 1.0, 1.0])))
    }
    assert made["same"].share(part) == made["differs"].share(part) == 0.5
    assert made["same"].doubt(part) == 0
    assert made["differs"].doubt(part) == pytest.approx(np.sqrt(0.5 * 3 / 2) / 6)


def test_clipping_on_a_graph_by_hand(graph_of):
    """Codes −1…1 in steps of 2/254: values of ±3 are clipped, those just beyond the end are only rounded."""
    program = prepare(graph_of("y = Relu(x)"))
    x = np.zeros((2, 4, 8, 8), np.float32)
    x[0, 0, 0, :4] = 3.0
    x[1, 0, 0, 0] = 1 + 0.4 / 127
    activations = {"x": ActivationQuantization(1 / 127, 0, "int8")}
    found = clipping.measure(program, activations, [torch.from_numpy(x[:1]), torch.from_numpy(x[1:])])
    assert set(found) == {"x"}
    assert found["x"].outside == 4 / x.size
    assert (found["x"].low, found["x"].high) == (0, 3)
    assert found["x"].noise == pytest.approx(1, abs=1e-5)
    nothing = clipping.measure(program, activations, [torch.zeros(1, 4, 8, 8)])["x"]
    assert (nothing.outside, nothing.noise) == (0, 0)
