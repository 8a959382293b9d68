"""What is said about figures, and about which of them nothing is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeeff.diagnosis import advice, roles
from edgeeff.diagnosis.findings import Diagnosis, Finding, Group, Histogram, Relief, decibels
from edgeeff.report.drawing import network

FINDING = Finding(
    kind="tensor",
    name="stem.swish",
    what="the stem's output",
    share=0.5,
    doubt=0.02,
    alone=0.4,
    codes=(-4.0, 4.0),
    seen=(-0.3, 9.0),
    outside=1e-4,
    expected=1e-4,
    clipping=0.1,
    use=0.06,
    histogram=Histogram(-0.3, 9.0, (1.0, 0.0, 100.0, 3.0)),
)
FACTS = advice.Facts(
    done=frozenset({"ranges percentile", "round nearest"}),
    others={"equalise": "balanced", "ranges weighted": "balanced", "learn": "max"},
    bounded=False,
    equalised=frozenset(),
    equalisable=frozenset({"stem.swish"}),
    roles={"stem.swish": roles.STEM},
    readers={"stem.swish": ("blocks.0.depthwise.conv",)},
)
DIAGNOSIS = Diagnosis("b0", "cpu-int8", "fast", ("ranges: percentile",), 32, 30, 13.2, (FINDING,), ())


@pytest.mark.parametrize(
    ("change", "facts", "said"),
    [
        ({}, {}, "half of its channels use 6% of the codes or less: --effort balanced equalises it"),
        ({}, {"equalised": FACTS.equalisable}, "though equalised: --keep-float blocks.0.depthwise.conv"),
        ({"clipping": 0.9, "outside": 0.02}, {"others": {}}, "cut off 2% of unseen values, and 0.01% in"),
        ({"clipping": 0.9, "outside": 0.02}, {"others": {}}, "--ranges minmax"),
        ({}, {"others": {"ranges weighted": "balanced"}}, "--effort balanced judges its range"),
        ({}, {"others": {}, "bounded": True}, "would clip unseen images: --keep-float blocks.0"),
        ({}, {"others": {}}, "--keep-float blocks.0.depthwise.conv"),
        ({"kind": "weights", "name": "head.conv"}, {}, "--effort max"),
        ({"kind": "weights", "name": "head.conv"}, {"others": {}}, "--keep-float head.conv"),
        ({"name": "blocks.9.add"}, {"others": {}}, "nothing that a build can be told"),
    ],
)
def test_what_to_do(change, facts, said):
    assert said in advice.of(replace(FINDING, **change), replace(FACTS, **facts))


def test_a_percentile_clips_a_little_and_that_is_no_fault():
    assert not advice.is_clipped(replace(FINDING, clipping=0.9))
    assert not advice.is_clipped(replace(FINDING, clipping=0.9, outside=0.02, expected=0.015))


@pytest.mark.parametrize("change", [{"share": 0.04}, {"alone": 0.001}, {"share": 0.2, "doubt": 0.15}])
def test_culprits_stand_out_of_doubt_and_alone(change):
    assert advice.culprits([FINDING]) == [FINDING]
    assert advice.culprits([replace(FINDING, **change)]) == []


def test_the_most_rewarding_first():
    groups = (Group("stem's output", 1, 0.5, 0.02, 0.4), Group("SE products", 16, 0.06, 0.02, 0.1))
    reliefs = (
        Relief(("blocks.0.depthwise.conv",), None, 18.9),
        Relief(("head.conv",), None, 13.3),
        Relief(("blocks.0.depthwise.conv", "head.conv"), None, 20.1),
        Relief((), "stem.swish", 14.0),
    )
    found = replace(DIAGNOSIS, groups=groups, reliefs=reliefs)
    found = replace(found, findings=(replace(FINDING, advice="…"),))
    said = advice.overall(found, FACTS)
    assert said[0] == "Where the error comes from: stem's output 50%, SE products (16) 6%."
    assert said[1].startswith("Build with --effort balanced: ") and "stem.swish" in said[1]
    assert said[2:] == (
        "Giving stem.swish its whole range lifts 13.2 dB to 14.0.",
        "--keep-float blocks.0.depthwise.conv lifts 13.2 dB to 18.9.",
        "--keep-float blocks.0.depthwise.conv,head.conv lifts it to 20.1 dB.",
    )


@pytest.mark.parametrize("layers", [("head.conv",), ()])
def test_what_a_build_corrects_anew_is_said_of_float_layers(layers):
    facts = replace(FACTS, done=frozenset({"correct_bias_sequentially"}))
    found = replace(DIAGNOSIS, reliefs=(Relief(layers, None if layers else "stem.swish", 18.9),))
    for known, told in ((facts, bool(layers)), (FACTS, False)):
        assert any("corrects the biases anew" in line for line in advice.overall(found, known)) == told


def test_nothing_stands_out():
    found = replace(DIAGNOSIS, findings=(replace(FINDING, share=0.01),))
    assert "spread" in advice.overall(found, FACTS)[0]


@pytest.mark.parametrize("share", [0.0, -3.0, 50.0])
def test_bars_of_any_height(share):
    """No share is too large, too small or negative for the plot: it keeps its height."""
    parts = [network.Part("a", "", share, 0.0), network.Part("b", "", 0.1, 0.4)]
    svg = network.along(parts, "share", "alone", network.scale(parts, []), "shares")
    height = float(svg.partition('height="')[2].partition('"')[0])
    assert svg.count("<rect") == 4 and 0 < height <= 260


def test_decibels():
    assert decibels(100.0, 1.0) == 20
    assert decibels(1.0, 0.0) == float("inf")
    assert str(decibels(float("nan"), 1.0)) == "nan"
