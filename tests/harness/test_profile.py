"""Real launches of a profile: what is told and that it adds up, not how fast it was."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgeeff import backends
from edgeeff.backends import LayerTime
from edgeeff.errors import BundleError, EdgeeffWarning, MissingRuntimeError, OptionError
from edgeeff.harness import profile as measuring
from edgeeff.harness.profile import LayerTimes, kernel, merged, profile, side_by_side, sort

TRIFLE = {"launches": 2, "seconds": 0.02}


def layer(name, microseconds, kind="convolution", precision="int8", multiply_adds=0):
    return LayerTime(name, kind, "Convolution", precision, "brgconv", microseconds, multiply_adds)


def test_bundles_are_profiled_side_by_side(make_bundle):
    bundles = [make_bundle("a", "cpu-fp32"), make_bundle("phone"), make_bundle("b", "cpu-bf16")]
    report = profile(bundles, **TRIFLE)
    assert [entry.name for entry in report.entries] == ["a", "phone", "b"]
    a, phone, b = report.entries
    assert phone.times is None and "LiteRT" in phone.not_run
    for entry in (a, b):
        times = entry.times
        assert {layer.kind for layer in times.layers} >= {"convolution", "classifier"}
        assert times.inferences >= 20 and times.inference_us > 0
        assert times.multiply_adds == 8 * 8 * 3 * 3 + 3 * 3
        for key in (sort, kernel):
            shares = times.shares(key)
            assert sum(share.microseconds for share in shares.values()) == pytest.approx(times.layers_us)
            assert sum(share.fraction for share in shares.values()) == pytest.approx(1)
            assert sum(share.layers for share in shares.values()) == len(times.layers)
            assert [*shares.values()] == sorted(shares.values(), key=lambda share: -share.microseconds)
    peak = report.peaks["openvino"]
    assert peak.multiply_adds == 512 * 512 * 56 * 56 and peak.microseconds > 0
    if report.peak("openvino"):
        assert report.peak_fraction(a) == pytest.approx(a.times.gmacs_per_s / report.peak("openvino"))
    assert report.peak_fraction(phone) is None
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert [entry["status"] for entry in data["entries"]] == ["ok", "NOT RUN", "ok"]
    assert "layers" not in data["entries"][1] and data["entries"][1]["reason"] == phone.not_run
    first = data["entries"][0]
    assert sum(one["microseconds"] for one in first["layers"]) == pytest.approx(first["layers_us"])
    assert {"kind", "precision", "microseconds", "fraction", "layers"} == set(first["kinds"][0])
    assert {"kernel", "precision", "microseconds", "fraction", "layers"} == set(first["kernels"][0])
    assert set(first["layers"][0]) == set(LayerTime.__dataclass_fields__)
    assert not {"timing", "wall_ms", "cpu_ms"} & set(first)  # a profile is no latency


def test_nothing_that_can_be_profiled_is_a_report_all_the_same(make_bundle):
    report = profile([make_bundle("phone")], **TRIFLE)
    assert [entry.times for entry in report.entries] == [None] and not report.peaks


def test_more_than_the_peak_is_warned_of(make_bundle, monkeypatch):
    best = measuring._best
    slow = {"precision": "int8", "microseconds": 1e15}
    monkeypatch.setattr(
        measuring, "_best", lambda peaks: {k: replace(v, **slow) for k, v in best(peaks).items()}
    )
    with pytest.warns(EdgeeffWarning, match="a is at .* of the INT8 peak") as caught:
        report = profile([make_bundle("a", "cpu-fp32")], launches=1, seconds=0.02)
    assert report.warnings == (str(caught[0].message),)
    assert not measuring.doubts(replace(report, peaks={}))


def test_an_altered_bundle_keeps_its_kind_of_error(make_bundle):
    bundle = make_bundle("a", "cpu-fp32")
    path = bundle.folder / "model.xml"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(BundleError, match="SHA-256"):
        profile([bundle], **TRIFLE)


def test_numbers_that_make_no_sense_are_refused(make_bundle):
    for wrong in ({"launches": 0}, {"threads": 0}, {"seconds": 0.0}):
        with pytest.raises(OptionError):
            profile([make_bundle()], **{**TRIFLE, **wrong})
    with pytest.raises(OptionError, match="no bundle"):
        profile([], **TRIFLE)


def test_a_layer_takes_the_median_of_its_launches():
    launches = [[layer("a", 1.0), layer("b", 9.0)], [layer("a", 50.0), layer("b", 7.0)], [layer("a", 2.0)]]
    assert [(one.name, one.microseconds) for one in merged(launches)] == [("a", 2.0), ("b", 8.0)]


def test_the_same_network_is_matched_by_its_work():
    def times(*layers):
        return LayerTimes(layers, inference_us=1.0, inferences=1)

    ours = times(
        layer("stem", 1.0, multiply_adds=7), layer("swish", 2.0), layer("head", 3.0, multiply_adds=9)
    )
    theirs = times(layer("Multiply_1", 4.0, multiply_adds=7), layer("Multiply_2", 5.0, multiply_adds=9))
    another = times(layer("Multiply_1", 6.0, multiply_adds=8), layer("Multiply_2", 7.0, multiply_adds=9))
    names = [
        {name: one.microseconds for name, one in found.items()}
        for found in side_by_side([ours, theirs, another])
    ]
    assert names[0] == {"stem": 1.0, "swish": 2.0, "head": 3.0}
    assert names[1] == {"stem": 4.0, "head": 5.0}
    assert names[2] == {"Multiply_1": 6.0, "Multiply_2": 7.0}


def test_shares_are_of_the_sum_over_layers():
    times = LayerTimes(
        (layer("a", 1.0), layer("b", 6.0, "depthwise", "bf16", 12_000), layer("c", 1.0)),
        inference_us=10.0,
        inferences=1,
    )
    shares = times.shares(sort)
    assert [*shares] == [("depthwise", "bf16"), ("convolution", "int8")]
    assert [(s.microseconds, s.fraction, s.layers) for s in shares.values()] == [
        (6.0, 0.75, 1),
        (2.0, 0.25, 2),
    ]
    assert times.gmacs_per_s == pytest.approx(12_000 / 8 / 1e3)


@pytest.mark.parametrize("name", backends.runtime_names())
def test_each_runtime_tells_times_of_layers_or_why_not(name, make_bundle):
    if not backends.runtime(name).offers("profile"):
        with pytest.raises(MissingRuntimeError) as caught:
            make_bundle(runtime=name).profiled_session()
        assert caught.value.what == backends.runtime(name).no_profile
