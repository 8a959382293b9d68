"""AIMET's encodings in all three layouts, written after AIMET's Encoding Format Specification.

https://quic.github.io/aimet-pages/releases/latest/techniques/encoding_spec.html (1.0.0 and 2.0.0), and the
same document of release 1.20 (0.4.0 to 0.6.1).
"""

from __future__ import annotations

import json

import pytest

from edgeeff.errors import CalibrationError
from edgeeff.quantization import foreign
from edgeeff.quantization.foreign import Range

LEGACY = {
    "version": "0.6.1",
    "activation_encodings": {
        "20": [
            {
                "bitwidth": 8,
                "dtype": "int",
                "is_symmetric": "False",
                "max": 2.6086959838867188,
                "min": -2.109158515930176,
                "offset": -114.0,
                "scale": 0.018501389771699905,
            }
        ],
        "21": [
            {"bitwidth": 8, "is_symmetric": "True", "max": 1.27, "min": -1.28, "offset": -128, "scale": 0.01}
        ],
        "22": [{"bitwidth": 16, "dtype": "float"}],
    },
    "param_encodings": {"conv.weight": [{"bitwidth": 8, "max": 9, "min": -9, "offset": -127, "scale": 0.1}]},
    "quantizer_args": {"activation_bitwidth": 8},
}
LISTS = {
    "version": "1.0.0",
    "activation_encodings": [
        {
            "name": "20",
            "enc_type": "PER_TENSOR",
            "dtype": "INT",
            "bw": 8,
            "is_sym": False,
            "scale": [0.018501389771699905],
            "offset": [-114],
        },
        {
            "name": "21",
            "enc_type": "PER_TENSOR",
            "dtype": "INT",
            "bw": 8,
            "is_sym": True,
            "scale": [0.01],
            "offset": [-128],
        },
        {"name": "22", "enc_type": "PER_TENSOR", "dtype": "FLOAT", "bw": 16},
    ],
    "param_encodings": [
        {"name": "conv.weight", "enc_type": "PER_CHANNEL", "scale": [1, 2], "offset": [0, 0]}
    ],
}
LIKE_ONNX = {
    "version": "2.0.0",
    "encodings": [
        {"name": "20", "output_dtype": "uint8", "y_scale": 0.018501389771699905, "y_zero_point": 114},
        {"name": "21", "output_dtype": "int8", "y_scale": 0.01},
        {"name": "conv.weight", "output_dtype": "int8", "y_scale": [0.1, 0.2], "axis": 0},
        {"name": "conv.bias", "output_dtype": "int32", "y_scale": 0.1},
    ],
}


@pytest.fixture
def read(tmp_path):
    def read(said):
        path = tmp_path / "net.encodings"
        path.write_text(said if isinstance(said, str) else json.dumps(said), encoding="utf-8")
        return foreign.read(path)

    return read


@pytest.mark.parametrize("said", [LEGACY, LISTS, LIKE_ONNX], ids=lambda said: said["version"])
def test_all_layouts_say_the_same(read, said):
    found = read(said)
    assert found.origin == f"net.encodings (AIMET encodings {said['version']})"
    assert list(found.tensors) == ["20", "21"]
    assert found.tensors["20"].low == pytest.approx(-2.109158515930176)
    assert found.tensors["20"].high == pytest.approx(2.6086959838867188)
    assert not found.tensors["20"].symmetric
    assert found.tensors["21"] == Range(-1.27, 1.27, symmetric=True)


@pytest.mark.parametrize(
    ("bits", "offset", "symmetric", "expected"),
    [
        (8, 0, True, Range(0, 2.55)),
        (8, -255, False, Range(-2.55, 0)),
        (16, -32768, True, Range(-327.67, 327.67, symmetric=True)),
        (4, -8, True, Range(-0.07, 0.07, symmetric=True)),
        (8, -128, False, Range(-1.28, 1.27)),
    ],
)
def test_offsets_and_widths(read, bits, offset, symmetric, expected):
    entry = {
        "name": "x",
        "dtype": "INT",
        "bw": bits,
        "is_sym": symmetric,
        "scale": [0.01],
        "offset": [offset],
    }
    (found,) = read({**LISTS, "activation_encodings": [entry]}).tensors.values()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.symmetric == expected.symmetric


def test_a_range_for_each_channel_becomes_one_that_covers_all(read):
    entry = {"name": "x", "bw": 8, "enc_type": "PER_CHANNEL", "scale": [0.1, 0.2], "offset": [-10, 0]}
    assert read({**LISTS, "activation_encodings": [entry]}).tensors["x"].high == pytest.approx(51)
    several = [{"bitwidth": 8, "min": -1, "max": 1}, {"bitwidth": 8, "min": -3, "max": 0.5}]
    assert read({**LEGACY, "activation_encodings": {"x": several}}).tensors == {"x": Range(-3, 1)}


def entry(**changes):
    whole = {"name": "x", "bw": 8, "is_sym": False, "scale": [0.1], "offset": [-3]}
    kept = {key: value for key, value in {**whole, **changes}.items() if value is not ...}
    return {"version": "1.0.0", "activation_encodings": [kept]}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{", "truncated or not JSON"),
        (json.dumps(LEGACY)[:300], "truncated or not JSON"),
        ('{"a": ' * 5000 + "1" + "}" * 5000, "not JSON"),
        ('{"activation_encodings": {"x": [{"bitwidth": ' + "9" * 5000 + "}]}}", "not JSON"),
        ({}, "no AIMET encodings"),
        ({"version": 1, "activation_encodings": {}}, "no AIMET encodings"),
        ({"activation_encodings": 3}, "no AIMET encodings"),
        ({"activation_encodings": {}}, "holds no range"),
        ({"activation_encodings": {"x": []}}, "holds no range"),
        (
            {"activation_encodings": {"net.relu": {"output": {"0": {}}}}},
            "no list of encodings.*\n.*sim.onnx.export",
        ),
        ({"activation_encodings": [3]}, "no list of encodings"),
        ({"activation_encodings": [{"scale": [1]}]}, "None is no list of encodings"),
        ({"activation_encodings": {"x": [3]}}, "'x' has 3 for an encoding"),
        (entry(scale=...), "'x' has no 'scale'"),
        (entry(offset=...), "'x' has no 'offset'"),
        (entry(bw=...), "'x' has no 'bw'"),
        (entry(bw=1), "'x' has 1 bits"),
        (entry(bw=1e9), "bits"),
        (entry(bw=7.5), "7.5 bits"),
        (entry(scale=["a"]), "'a' is no number"),
        (entry(scale=[True]), "True is no number"),
        (entry(scale=[None]), "None is no number"),
        (entry(scale=[10**400]), "hundreds of digits"),
        (entry(scale=[float("nan")]), "a scale of nan"),
        (entry(scale=[float("inf")]), "a scale of inf"),
        (entry(scale=[-0.1]), "a scale of -0.1"),
        (entry(scale=[1e300]), "a range of"),
        (entry(offset=[5]), "a range of 0.5"),
        (entry(offset=[-300]), "a range of -30"),
        (entry(scale=[1, 2, 3], offset=[0, 0]), "'x' has"),
        (entry(min=float("nan"), max=1), "a range of nan"),
        (entry(min=-1, max={}), "{} is no number"),
        ({"encodings": [{"name": "x", "output_dtype": "float8", "y_scale": 1}]}, "the type 'float8'"),
        ({"encodings": [{"name": "x", "output_dtype": "int999999999", "y_scale": 1}]}, "the type"),
        ({"encodings": [{"name": "x", "output_dtype": "int8"}]}, "'x' has no 'y_scale'"),
        ({"encodings": [{"name": "x", "output_dtype": "int8", "y_scale": [[1]]}]}, "no number"),
    ],
)
def test_impossible_encodings_are_refused(read, said, message):
    with pytest.raises(CalibrationError, match=f"net.encodings.*{message}"):
        read(said)
