"""Bundles of two outputs, of every runtime that runs here: found by name, judged one by one."""

import numpy as np
import onnx
import pytest

from edgeeff.bundle import write_bundle
from edgeeff.errors import BundleError, OptionError
from edgeeff.harness.golden import check_golden, golden_files
from edgeeff.harness.verify import judge
from edgeeff.tasks import FEATURES, Output

MAPS = "relu6"


def mapped(pixels):
    """What the network has before its mean over the image, [N, 3, H, W]."""
    return np.clip(pixels.transpose(0, 3, 1, 2) / 42.5, 0, 6).astype(np.float32)


@pytest.fixture(params=["mobile-fp32", "cpu-fp32"])
def two(make_bundle, colours, network, request):
    """``two(**golden)``: a bundle of a map and the logits, whose golden vectors may be others."""
    graph = network.graph(np.eye(3))
    shapes = {value.name: value for value in graph.graph.value_info}
    graph.graph.output.insert(0, shapes[MAPS])
    onnx.checker.check_model(graph)

    def make(**golden):
        # The manifest's order is not the file's.
        outputs = (Output("logits", (1, 3)), Output(MAPS, (1, 3, network.size, network.size), FEATURES))
        bundle = make_bundle("two", target=request.param, graph=graph, outputs=outputs, golden=False)
        pixels = colours[0][:4]
        hub = {"logits": network.logits(pixels, np.eye(3)), MAPS: mapped(pixels)} | golden
        files = {name: (bundle.folder / name).read_bytes() for name in bundle.manifest.files}
        return write_bundle(bundle.folder, bundle.manifest, files | golden_files(pixels, hub, hub))

    return make


def test_outputs_are_found_by_their_names(two, colours, network):
    bundle, pixels = two(), colours[0][:5]
    found = bundle.session().infer(pixels)
    assert list(found) == ["logits", MAPS]
    np.testing.assert_allclose(found["logits"], network.logits(pixels, np.eye(3)), rtol=1e-5)
    np.testing.assert_allclose(found[MAPS], mapped(pixels), rtol=1e-5)
    with pytest.raises(OptionError, match=r"outputs logits, relu6.*\n.*bundle\.open"):
        bundle.predict(pixels)


def test_each_output_is_held_against_the_hub(two, colours):
    good = check_golden(two())
    assert good.status == "ok" and set(good.outputs) == {"logits", MAPS}
    assert "2 outputs, the worst" in good.summary
    bad = check_golden(two(**{MAPS: mapped(colours[0][:4])[:, ::-1]}))
    assert bad.status == "failed" and bad.summary.startswith(f"{MAPS}: ")
    assert bad.hub_sqnr == bad.outputs[MAPS][1] < 19 < bad.outputs["logits"][1]
    with pytest.raises(BundleError, match=r"relu6 .*, the golden ones are"):
        check_golden(two(**{MAPS: mapped(colours[0][:4])[..., :3]}))


def test_a_missing_golden_file_is_named(two):
    bundle = two()
    (bundle.folder / "golden" / "hub" / f"{MAPS}.npy").unlink()
    with pytest.raises(BundleError, match=r"relu6\.npy"):
        check_golden(bundle)


def test_names_that_no_file_can_have():
    files = golden_files(np.zeros((1, 2, 2, 3), np.uint8), {"a/../b:0": np.zeros((1, 2))}, {})
    assert list(files) == ["golden/inputs.npy", "golden/hub/a%2F..%2Fb%3A0.npy"]


def test_outputs_that_are_not_the_same_are_no_comparison():
    logits = {"logits": np.ones((2, 3))}
    for other in ({"scores": np.ones((2, 3))}, {"logits": np.ones((2, 4))}):
        with pytest.raises(ValueError, match=r"^outputs "):
            judge(logits, float_outputs=other)
