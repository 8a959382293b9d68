"""edgeeff bench --profile, and what inspect says of the properties."""

from __future__ import annotations

import pytest

INT8, FLOAT, PHONE = "lite0-cpu-int8", "lite0-cpu-fp32", "lite0-mobile-int8"
TRIFLE = ("--launches=1", "--seconds=0.05")


def test_a_profile_says_that_it_is_no_latency(edgeeff, lite0_bundles):
    bundles = [lite0_bundles / name for name in (INT8, FLOAT, PHONE)]
    result = edgeeff("bench", "--profile", *bundles, "--layers=3", *TRIFLE)
    assert result.status == 0, result.err
    assert "A profile, no latency" in result.out and "INT8 peak here, openvino" in result.out
    for part in ("by kind", "by kernel", "the 3 slowest layers", "depthwise", "convolution", "NOT RUN"):
        assert part in result.out
    assert "ratio" not in result.out and "p50" not in result.out
    slowest = result.out.partition("the 3 slowest layers")[2].strip().splitlines()
    assert len(slowest) == 4 and slowest[0].startswith("layer")


def test_a_profile_as_json(edgeeff, lite0_bundles):
    result = edgeeff("bench", "--profile", lite0_bundles / INT8, lite0_bundles / FLOAT, "--json", *TRIFLE)
    int8, plain = result.data["entries"]
    # The same network: the same work, and layers of the same names.
    assert int8["multiply_adds"] == plain["multiply_adds"] > 60e6
    dense = [{layer["name"] for layer in e["layers"] if layer["multiply_adds"]} for e in (int8, plain)]
    assert dense[0] == dense[1] and len(dense[0]) == 50
    assert result.data["peaks"]["openvino"]["multiply_adds"] == 512 * 512 * 56 * 56


def test_without_a_list_of_layers(edgeeff, lite0_bundles):
    result = edgeeff("bench", "--profile", lite0_bundles / INT8, "--layers=0", *TRIFLE)
    assert result.status == 0 and "slowest" not in result.out


@pytest.mark.parametrize(("name", "word"), [(INT8, "bf16"), (PHONE, "XNNPACK")])
def test_inspect_says_what_is_lost_without_the_properties(name, word, edgeeff, lite0_bundles):
    shown = edgeeff("inspect", lite0_bundles / name)
    (line,) = [line for line in shown.out.splitlines() if line.startswith("properties")]
    assert "without" in line and word in line
    data = edgeeff("inspect", lite0_bundles / name, "--json").data
    for key, value in data["manifest"]["runtime_properties"].items():
        assert f"{key}={value}" in line
    assert data["without_properties"].removesuffix(".") in line


def test_inspect_of_a_runtime_that_a_product_does_not_call(edgeeff, lite0_bundles):
    assert (
        edgeeff("inspect", lite0_bundles / "lite0-jetson-int8", "--json").data["without_properties"] is None
    )
