from __future__ import annotations

from dataclasses import replace

import pytest

from edgeeff import backends
from edgeeff.backends import openvino
from edgeeff.errors import EdgeeffError, OptionError, UnknownTargetError
from edgeeff.pipeline.resolve.targets import resolve_targets
from edgeeff.target import SCHEMES, TARGETS, load_scheme, load_target, target_names

GOOD = {"summary": '"A board"', "runtime": '"openvino"', "precision": '"fp32"', "input": '"uint8"'}


def toml(**changes):
    return "".join(f"{k} = {v}\n" for k, v in {**GOOD, **changes}.items() if v is not None)


@pytest.mark.parametrize("name", target_names())
def test_every_target_can_be_read(name):
    target = load_target(name)
    assert target.name == name and target.summary
    assert target.runtime in backends.runtime_names()
    assert (target.scheme is not None) == (target.precision == "int8")
    assert target.scheme is None or target.scheme.opset == 17


def test_the_targets_of_the_first_release():
    assert {"cpu-int8", "cpu-bf16", "cpu-fp32", "mobile-int8", "mobile-fp32", "jetson-int8"} <= set(
        target_names()
    )


def test_the_three_schemes():
    tensorrt, openvino, tflite = (load_scheme(name) for name in ("tensorrt", "openvino", "tflite"))
    assert (tensorrt.activation_type, tensorrt.nonnegative_type, tensorrt.zero_point) == (
        "int8",
        "int8",
        "in the bias",
    )
    assert (openvino.activation_type, openvino.nonnegative_type) == ("int8", "uint8")
    assert (tflite.zero_point, tflite.every_tensor, tflite.swish) == ("any", True, "steps")
    for scheme in (tensorrt, openvino):
        assert (scheme.swish, scheme.squeeze_excite, scheme.every_tensor) == ("whole", "float", False)


def test_a_target_of_ones_own(tmp_path):
    path = tmp_path / "my-board.toml"
    path.write_text(toml(precision='"int8"', scheme='"openvino"') + '[runtime_properties]\nA = "B"\n')
    target = load_target(str(path))
    assert target.name == "my-board" and dict(target.runtime_properties) == {"A": "B"}
    assert target.scheme == load_scheme("openvino")


@pytest.mark.parametrize("runtime", ["tflite", "tensorrt"])
def test_a_precision_that_the_runtime_has_not_is_refused_before_any_work(tmp_path, runtime):
    path = tmp_path / "my-board.toml"
    path.write_text(toml(precision='"bf16"', runtime=f'"{runtime}"'))
    with pytest.raises(OptionError, match=f"my-board: {runtime} bundles cannot be bf16"):
        resolve_targets([str(path)], io=None)


@pytest.mark.parametrize(
    "name", ["jetson", "", "../targets/cpu-int8", "schemes/openvino", "nowhere.toml", "a/b"]
)
def test_no_such_target(name):
    with pytest.raises(UnknownTargetError, match="no target named") as caught:
        load_target(name)
    assert "cpu-int8" in caught.value.mend


@pytest.mark.parametrize(
    "text",
    [
        "summary = ",
        toml(summary=None),
        toml(colour='"red"'),
        toml(precision='"int4"'),
        toml(precision='"int8"'),
        toml(scheme='"openvino"'),
        toml(precision='"int8"', scheme='"nowhere"'),
        toml(input="3"),
        toml(runtime_properties="{ THREADS = 1 }"),
        "\ud800",
    ],
)
def test_target_files_that_make_no_sense(text, tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UnknownTargetError):
        load_target(str(path))


def test_no_such_scheme():
    with pytest.raises(UnknownTargetError, match="no scheme named 'int4'") as caught:
        load_scheme("int4")
    assert "openvino" in caught.value.mend


def test_every_scheme_belongs_to_a_target():
    schemes = {load_target(n).scheme.name for n in TARGETS.ours() if load_target(n).scheme}
    assert set(SCHEMES.ours()) == schemes


def test_runtimes_are_found_by_their_folders():
    assert {"onnxruntime", "openvino", "tensorrt", "tflite"} <= set(backends.runtime_names())
    for name in backends.runtime_names():
        assert backends.runtime(name).install
    assert backends.runtime("openvino").missing() == []
    with pytest.raises(UnknownTargetError, match="no runtime named 'coreml'"):
        backends.runtime("coreml")


def test_a_runtime_that_cannot_do_what_is_asked_says_so():
    """onnxruntime is the reference executor: it runs graphs, and there is nothing to emit for it."""
    with pytest.raises(EdgeeffError, match="onnxruntime"):
        backends.runtime("onnxruntime").part("emit")


def test_a_runtime_that_is_not_installed_names_the_line_that_installs_it(monkeypatch):
    needs = ("numpy", ("no_such_runtime", "nor.this"))
    monkeypatch.setattr(openvino, "RUNTIME", replace(openvino.RUNTIME, requires=needs))
    assert backends.runtime("openvino").missing() == ["no_such_runtime or nor.this"]
    with pytest.raises(EdgeeffError, match=r"needs no_such_runtime or nor\.this") as caught:
        backends.runtime("openvino").part("run")
    assert "pip install '<checkout or wheel>[openvino]'" in caught.value.mend


def test_a_variant_is_chosen_by_processor_and_activation():
    target = load_target("cpu-int8")
    assert target.variant("bf16", "bounded") is None and target.variant("arm", "unbounded") is None
    bf16, avx2 = target.variant("bf16", "unbounded"), target.variant("avx2", "unbounded")
    assert bf16.name != avx2.name
    served = target.served(bf16)
    assert served.scheme.swish_form == "polynomial" and served.scheme.float_layers == ("depthwise",)
    assert served.runtime_properties == {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16"}
    assert not served.variants and served.name == "cpu-int8"
    plain = target.served(None)
    assert plain.scheme == target.scheme and plain.runtime_properties == target.runtime_properties


def test_a_variant_that_says_nonsense_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        toml(precision='"int8"', scheme='"openvino"') + '[[variant]]\nname = "x"\ncpu = ["pentium"]\n'
    )
    with pytest.raises(UnknownTargetError, match="variant"):
        load_target(str(path))


@pytest.mark.parametrize("name", ["../cpu-int8", "./openvino", "", "openvino/../openvino", "\0"])
def test_a_scheme_is_a_name_and_no_path(name):
    with pytest.raises(UnknownTargetError, match="no scheme named"):
        load_scheme(name)
