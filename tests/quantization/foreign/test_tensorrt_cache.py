"""TensorRT's calibration caches.

The names are those of NVIDIA's sampleINT8 ("Calibration file"), which gives the formula too; that 3c92aa10 is
0.0179033577 is NVIDIA's answer in its forum (topic 109781), and 3c010204 is 1/127, of an input of 0…1.
"""

from __future__ import annotations

import pytest

from edgeeff.errors import CalibrationError
from edgeeff.quantization import foreign
from edgeeff.quantization.foreign import Range

SAMPLE = """TRT-7000-EntropyCalibration2
data: 3c010204
conv1: 3c92aa10
pool1: 3c92aa10
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "calibration.cache"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return foreign.read(path)

    return read


def test_nvidias_sample(read):
    found = read(SAMPLE)
    assert found.origin == "calibration.cache (TensorRT, EntropyCalibration2)"
    highs = {name: range.high for name, range in found.tensors.items()}
    peak = 0.0179033577 * 127
    assert highs == pytest.approx({"data": 1.0, "conv1": peak, "pool1": peak}, rel=1e-6)
    assert all(range.symmetric and range.low == -range.high for range in found.tensors.values())


@pytest.mark.parametrize(
    ("line", "name", "high"),
    [
        ("images: 3c010204", "images", 1.0),
        ("onnx::Conv_329: 3c010204", "onnx::Conv_329", 1.0),
        ("(Unnamed Layer* 22) [Constant]_output: 3c010204", "(Unnamed Layer* 22) [Constant]_output", 1.0),
        ("/stem/Conv_output_0: 3C010204\r", "/stem/Conv_output_0", 1.0),
        ("a: b: 40000000", "a: b", 254.0),
    ],
)
def test_lines(read, line, name, high):
    found = read(f"TRT-100300-MinMaxCalibration\n{line}\n\n").tensors
    assert found == {name: Range(-found[name].high, pytest.approx(high, rel=1e-6), symmetric=True)}


def test_a_dead_tensor_has_no_range(read):
    assert list(read(SAMPLE + "dead: 00000000\nalso: 0\n").tensors) == ["data", "conv1", "pool1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TRT-8503\ndata: 3c008912", "begins with 'TRT-8503', no calibrator"),
        ("TRT-8503-EntropyCalibration2\n", "holds no range"),
        ("TRT-8503-EntropyCalibration2\ndata 3c008912", "line 2: 'data 3c008912' is no tensor's scale"),
        (SAMPLE + "last: 3e69", None),
        (SAMPLE + "last: 3e69196811", "line 5: 'last: 3e69196811' is no tensor's scale"),
        (SAMPLE + "last: 0.25", "line 5"),
        (SAMPLE + "last: 7fc00000", "line 5: 'last' has a scale of nan.*\n.*calibrate again"),
        (SAMPLE + "last: ff800000", "line 5: 'last' has a scale of -inf"),
        (SAMPLE + "last: bf800000", "line 5: 'last' has a scale of -1"),
        (SAMPLE + "last: 7f7fffff", "line 5: 'last' has a range of"),
        (SAMPLE + "data: 3c008912", "line 5: 'data' is there twice"),
        (SAMPLE.encode() + b"\xff\xfe: 3c008912", "is no text"),
        (SAMPLE + "\x1b[31m: 3c008912", "unprintable names"),
        (SAMPLE + "\x1b[31m: nonsense", "line 5"),
    ],
)
def test_damaged_caches_are_refused(read, text, message):
    if message is None:  # TensorRT writes no leading zeros, so a cut last line cannot be told
        assert read(text).tensors
        return
    with pytest.raises(CalibrationError, match=f"calibration.cache.*{message}") as raised:
        read(text)
    assert "\x1b" not in str(raised.value)


def test_absurd_sizes_are_refused(read):
    with pytest.raises(CalibrationError, match="larger than 16 MB"):
        read("TRT-8503-EntropyCalibration2\n" + "x" * (17 << 20))
    with pytest.raises(CalibrationError, match="has 100001 lines"):
        read("TRT-8503-EntropyCalibration2\n" + "a: 3\n" * 100_001)
