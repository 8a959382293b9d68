"""Which variant a machine is fastest with: chosen only where it is certain, and kept as a file."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch

import edgeeff
from edgeeff.batch import Batch
from edgeeff.cache import Cache
from edgeeff.errors import EdgeeffWarning, MissingFileError, OptionError
from edgeeff.harness import latency, machine, sensors
from edgeeff.harness.latency import Ratio
from edgeeff.harness.sensors import Around, Conditions
from edgeeff.metrics import Interval
from edgeeff.pipeline import timings, tuning, variants
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.tuning import choose
from edgeeff.pipeline.variants import PLAIN, Tuning
from edgeeff.target import load_target


def ratio(low, value, high):
    return Ratio(value, Interval(low, high))


RULE = "arithmetic, depthwise bf16"


@pytest.mark.parametrize(
    ("ratios", "chosen"),
    [
        ({RULE: ratio(1, 1, 1), PLAIN: ratio(1.3, 1.4, 1.5)}, RULE),
        # An OpenVINO that makes Swish cheap by itself is left alone.
        ({RULE: ratio(1, 1, 1), PLAIN: ratio(0.7, 0.8, 0.9)}, PLAIN),
        ({RULE: ratio(1, 1, 1), PLAIN: ratio(0.8, 0.95, 1.02)}, RULE),  # not certain
        ({RULE: ratio(1, 1, 1), PLAIN: ratio(0.8, 0.9, 0.95), "b": ratio(0.7, 0.8, 0.9)}, "b"),
        ({RULE: ratio(1, 1, 1), PLAIN: Ratio(0.5, None)}, RULE),  # of a single launch: no interval
        ({}, RULE),  # nothing could run
    ],
)
def test_another_variant_is_taken_if_it_is_certainly_faster(ratios, chosen):
    assert choose(RULE, ratios) == chosen


def test_a_tuning_is_of_a_target_and_a_kind_of_network():
    target = load_target("cpu-int8")
    found = Tuning({"cpu-int8/unbounded": RULE, "cpu-int8/bounded": PLAIN})
    assert found.variant(target, "unbounded").name == RULE
    assert found.variant(target, "bounded") == "plain"
    assert found.variant(load_target("mobile-int8"), "unbounded") is None
    with pytest.raises(OptionError, match="which cpu-int8 does not have"):
        Tuning({"cpu-int8/unbounded": "magic"}).variant(target, "unbounded")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": 2}', "\xff", '{"targets": 1}'])
def test_what_is_no_tuning_is_refused(tmp_path, content):
    path = tmp_path / "tuning.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(OptionError, match=r"is no tuning|is not UTF-8"):
        variants.read(path)
    with pytest.raises(MissingFileError):
        variants.read(tmp_path / "absent.json")


@pytest.fixture(scope="module")
def build(make_module, make_images, tmp_path_factory):
    """``build(output, **options)``: a small B0 of three classes for a CPU with bf16."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.save(make_module("b0", classes=3).state_dict(), folder / "best.pt")
    np.savez(folder / "photos.npz", images=make_images(24, 64, 5))

    def run(output, **options):
        (built,) = edgeeff.build(
            "b0",
            checkpoint=folder / "best.pt",
            calibration=folder / "photos.npz",
            size=64,
            effort="fast",
            output=output,
            cache=Cache(folder / "cache"),
            **{"cpu_class": "vnni", "targets": ["cpu-int8"], **options},
        )
        return built.bundle

    return run


def plan(bundle):
    return json.loads((bundle.folder / "plan.json").read_text())


def test_a_tuning_of_another_batch_or_of_doubtful_timings_is_warned_of(tmp_path):
    entry = {"chosen": PLAIN, "measured": [], "doubts": ["it was throttled"]}
    content = {"schema_version": 1, "model": "b0", "machine": {}, "targets": {"cpu-int8/unbounded": entry}}
    for batch in (1, "dynamic:4"):
        (tmp_path / "tuning.json").write_text(json.dumps(content | {"batch": batch}))
        found = variants.read(tmp_path / "tuning.json")
        network = SimpleNamespace(activation="unbounded", context=Context.of())
        target = load_target("cpu-int8")
        with pytest.warns(EdgeeffWarning, match="cpu-int8 was chosen by doubtful timings: it was throttled"):
            variants.served(target, network, "vnni", found, Batch.read(batch))
        with pytest.warns(EdgeeffWarning, match="this build takes 2"):
            variants.served(target, network, "vnni", found, Batch(2))
        assert network.context.warnings[-1].startswith("the tuning of cpu-int8 was measured with ")


@pytest.mark.parametrize(
    ("load", "clock", "doubted"),
    [
        ([0.0, 0.1], "cpu", False),
        ([1.5, 1.6], "cpu", False),  # a steady load says nothing against CPU times
        ([1.5, 1.6], "wall", True),
        ([0.0, 1.9], "cpu", True),
    ],
)
def test_what_makes_a_choice_by_timings_doubtful(load, clock, doubted):
    still = Conditions(cpu_mhz=(2000.0,), limit_mhz=2000.0)
    around = [Around(still, still, others) for others in load]
    taken, here = [SimpleNamespace(around=one) for one in around], SimpleNamespace(usable_cores=2)
    said = tuple(sensors.doubts(around, 2, 1))
    report = SimpleNamespace(clock=clock, threads=1, machine=here, taken=taken, warnings=said)
    assert timings.doubts(report) == (said if doubted else ()) and bool(said) == (load != [0.0, 0.1])


@pytest.mark.slow
def test_a_tuned_build_is_the_same_build_wherever_it_runs(build, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "LAUNCHES", 2)
    monkeypatch.setattr(tuning, "SECONDS", 0.05)
    monkeypatch.setattr(sensors, "doubts", lambda *_: ["it was throttled"])
    timed = []

    def benchmark(bundles, **options):
        timed.extend(bundle.session().batch for bundle in bundles)
        return latency.benchmark(bundles, **options)

    monkeypatch.setattr(timings, "latency", SimpleNamespace(benchmark=benchmark))
    with pytest.warns(EdgeeffWarning, match="doubtful timings: it was throttled"):
        measured = build(tmp_path / "a", autotune=True, cpu_class="auto", batch=2)
    assert {*timed} == {Batch(2)}
    file = tmp_path / "a" / "b0-tuning.json"
    content = json.loads(file.read_text())
    entry = content["targets"]["cpu-int8/unbounded"]
    names = [PLAIN, *(v.name for v in load_target("cpu-int8").choices("unbounded"))]
    assert [m["variant"] for m in entry["measured"]] == names
    assert entry["chosen"] in names and content["machine"]["cpu_class"]
    assert all(m["interval"][0] <= m["ratio"] <= m["interval"][1] for m in entry["measured"])
    assert content["batch"] == 2
    with pytest.warns(EdgeeffWarning, match="doubtful timings: it was throttled"):
        again = build(tmp_path / "b", tuning=file, cpu_class="auto", batch=2)
    assert again.manifest.files == measured.manifest.files
    assert again.manifest.runtime_properties == measured.manifest.runtime_properties


def test_what_cannot_be_tuned_is_refused(build, tmp_path):
    other = "arm" if machine.cpu_class() != "arm" else "vnni"
    with pytest.raises(OptionError, match="measures this machine"):
        build(tmp_path / "a", autotune=True, cpu_class=other)
    with pytest.raises(OptionError, match="no variant for this network"):
        build(tmp_path / "a", autotune=True, cpu_class="auto", targets=["cpu-fp32"])
    with pytest.raises(OptionError, match="asks for a new one"):
        build(tmp_path / "a", autotune=True, tuning=tmp_path / "tuning.json")
    assert not (tmp_path / "a").exists() or not list((tmp_path / "a").iterdir())


@pytest.mark.slow
def test_the_rules_and_a_tuning_that_says_otherwise(build, tmp_path):
    by_rule = build(tmp_path / "rule")
    assert len(plan(by_rule)["polynomials"]) == 33
    assert by_rule.manifest.runtime_properties["INFERENCE_PRECISION_HINT"] == "f32"
    on_bf16 = build(tmp_path / "bf16", cpu_class="bf16")
    assert on_bf16.manifest.runtime_properties["INFERENCE_PRECISION_HINT"] == "bf16"
    assert not plan(build(tmp_path / "arm", cpu_class="arm"))["polynomials"]
    said = {"chosen": PLAIN, "measured": []}
    content = {"schema_version": 1, "model": "b0", "machine": {}, "targets": {"cpu-int8/unbounded": said}}
    (tmp_path / "tuning.json").write_text(json.dumps(content))
    plain = build(tmp_path / "plain", tuning=tmp_path / "tuning.json")
    assert not plan(plain)["polynomials"]
    assert {layer["precision"] for layer in plan(plain)["layers"].values()} == {"int8"}


@pytest.mark.slow
def test_a_bundle_carries_the_variants_that_its_device_chooses_among(build, tmp_path):
    """Each is a whole graph that differs from the bundle's own in what its name says; no tuning is made."""
    bundle = build(tmp_path / "a", targets=["jetson-int8"], autotune=True, golden=2)
    carrying = bundle.manifest.carrying
    target = load_target("jetson-int8")
    assert (carrying.tuned, carrying.own) == ("jetson-int8/unbounded", PLAIN)
    names = {variant.name: variant for variant in carrying.variants}
    assert set(names) <= {variant.name for variant in target.choices("unbounded")} and names
    assert not list((tmp_path / "a").glob("*-tuning.json")) and bundle.altered() == []
    quantisers, subs, added = {}, {}, {}
    for name in ("", *(variant.slug for variant in carrying.variants)):
        file = bundle.folder / f"model.qdq{'.' if name else ''}{name}.onnx"
        graph = onnx.load(file).graph
        quantisers[name] = sum(node.op_type == "QuantizeLinear" for node in graph.node)
        codes = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
        added[name] = sum(node.op_type == "Add" and bool({*node.input} & codes) for node in graph.node)
        subs[name] = sum(node.op_type == "Sub" for node in graph.node)
        golden = bundle.folder / "golden" / (f"variants/{name}" if name else "hub") / "logits.npy"
        assert len(np.load(golden)) == 2 and f"{golden.relative_to(bundle.folder)}" in bundle.manifest.files
    assert subs[""] > 0 == subs["no-zero-points"]
    assert quantisers["stem-and-depthwise-fp16"] < quantisers[""]
    assert added["residuals-fp16"] == 0 < added[""]
    assert names["no zero points"].fidelity["images"] > 0

    chosen = {"chosen": "no zero points", "measured": [], "remarks": ["FP16 was faster"]}
    content = {"schema_version": 1, "model": "b0", "machine": {}, "targets": {carrying.tuned: chosen}}
    (tmp_path / "tuning.json").write_text(json.dumps(content))
    with pytest.warns(EdgeeffWarning, match="FP16 was faster"):
        tuned = build(tmp_path / "b", targets=["jetson-int8"], tuning=tmp_path / "tuning.json")
    assert tuned.manifest.carrying is None
    codes = [
        {t.name: t.raw_data for t in onnx.load(file).graph.initializer}
        for file in (tuned.folder / "model.qdq.onnx", bundle.folder / "model.qdq.no-zero-points.onnx")
    ]
    assert codes[0] == codes[1]


def test_variants_for_a_device_are_no_variants_of_a_trained_network(build, tmp_path):
    photos = [*np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)]
    with pytest.raises(OptionError, match="puts variants into jetson-int8, and --train fits"):
        build(tmp_path / "a", targets=["jetson-int8"], autotune=True, train=photos, train_steps=1)
