"""What OpenVINO computes on, asked for by its name; there is no GPU where tests run."""

from __future__ import annotations

import os

import numpy as np
import pytest

from edgeeff import inference_device
from edgeeff.errors import BundleError, OptionError
from edgeeff.harness import device_class
from edgeeff.harness.latency import benchmark, clock_of
from edgeeff.harness.record import environment


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    """The choice is the process's: nothing of it stays."""
    for name in (inference_device.VARIABLE, inference_device.MODEL_CACHE):
        monkeypatch.setenv(name, "")


def test_a_device_that_is_there_computes(make_bundle, colours, monkeypatch):
    bundle = make_bundle(target="cpu-fp32")
    expected = bundle.session().infer(colours[0][:2])["logits"]
    plain = environment()
    inference_device.choose("hetero:cpu")
    np.testing.assert_allclose(bundle.session().infer(colours[0][:2])["logits"], expected, atol=1e-5)
    assert "HETERO:CPU" in bundle.check().summary and clock_of([bundle], 1) == "wall"
    # Figures of it are of another class, and have no place among those of the CPU.
    found = environment()
    assert found == {**plain, inference_device.FACT: "HETERO:CPU"}
    assert device_class.facts(found) == {**device_class.facts(plain), inference_device.FACT: "HETERO:CPU"}
    inference_device.choose("CPU")
    assert environment() == plain and clock_of([bundle], 1) == "cpu"
    with pytest.raises(OptionError, match="a profile on HETERO:CPU"):
        monkeypatch.setenv(inference_device.VARIABLE, "HETERO:CPU")
        bundle.profiled_session()


@pytest.mark.parametrize("name", ["GPU", "GPU.1", "NPU", "HETERO:GPU,CPU"])
def test_one_that_is_not_there_is_refused_with_those_that_are(make_bundle, name):
    inference_device.choose(name)
    with pytest.raises(OptionError, match=r"OpenVINO finds no [GN]PU.* here; it finds CPU\n.*--device-name"):
        make_bundle(target="cpu-fp32").session()


def test_what_cannot_be_asked_for(make_bundle):
    for name in ("cuda", "GPU:0", "HETERO:", "CPU,GPU", "../x", "AUTO:", "CACHE_DIR"):
        with pytest.raises(OptionError, match=r"--device-name .*\n.*HETERO:GPU,CPU"):
            inference_device.choose(name)
    inference_device.choose("HETERO:CPU")
    with pytest.raises(OptionError, match=r"runs by tflite, which is told no device\n.*openvino"):
        make_bundle().session()
    for name in ("AUTO", "auto:cpu", "MULTI:CPU", "BATCH:GPU"):
        inference_device.choose(name)
        with pytest.raises(OptionError, match="chooses a device itself"):
            benchmark([make_bundle(target="cpu-fp32")], launches=1)


def test_compiled_models_are_kept_where_edgeeff_keeps_things(make_bundle, colours, tmp_path, monkeypatch):
    """A manifest names no folder for them; the oldest go when they are too many."""
    monkeypatch.setenv("EDGEEFF_CACHE_DIR", str(tmp_path / "cache"))
    bundle = make_bundle(target="cpu-fp32")
    expected = bundle.session().infer(colours[0][:1])["logits"]
    assert not (tmp_path / "cache").exists()
    inference_device.choose(None, keep_models=True)
    for _ in range(2):
        np.testing.assert_array_equal(bundle.session().infer(colours[0][:1])["logits"], expected)
    (blob,) = (tmp_path / "cache" / "openvino").glob("*.blob")
    old = blob.with_name("old.blob")
    old.write_bytes(b"x" * 100)
    os.utime(old, (1, 1))
    monkeypatch.setattr(inference_device, "LIMIT", blob.stat().st_size)
    inference_device.bound(blob.parent)
    assert [*blob.parent.iterdir()] == [blob]
    evil = make_bundle("evil", target="cpu-fp32", runtime_properties={"CACHE_DIR": str(tmp_path / "written")})
    with pytest.raises(BundleError, match="no runtime property CACHE_DIR"):
        evil.session()
    assert not (tmp_path / "written").exists()
