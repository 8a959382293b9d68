"""Bundles on emulated aarch64: the golden rule, whole runs, and what is refused there."""

from __future__ import annotations

import numpy as np
import pytest

import edgeeff
from edgeeff.errors import BundleError, OptionError
from edgeeff.harness.golden import check_golden


@pytest.mark.parametrize("target", ["mobile-int8", "mobile-fp32", "cpu-int8", "cpu-fp32"])
@pytest.mark.parametrize("network", ["lite0", "b0"])
def test_golden_vectors(network, target, built, board):
    found = check_golden(built[f"{network}-{target}"].on(board))
    print(f"{network}-{target}: {found.summary}")
    assert found.status == "ok", found.summary
    if target.endswith("fp32"):
        assert found.hub_sqnr is not None and found.hub_sqnr > 60


@pytest.mark.parametrize("facts", [{"site": "older"}, {"python": "python3.9"}], ids=["tflite_runtime", "3.9"])
def test_older_runtimes_and_python(facts, built, opened):
    """tflite_runtime 2.14 with numpy 1, and LiteRT 2.1 on Python 3.9."""
    found = check_golden(built["lite0-mobile-int8"].on(opened(**facts)))
    assert found.status == "ok", found.summary


def test_every_vector_extension(built, opened):
    """SVE, SME and i8mm as well: OpenVINO takes kernels of these where the processor has them."""
    found = check_golden(built["lite0-cpu-int8"].on(opened(cpu="max")))
    assert found.status == "ok", found.summary


def test_cortex_a72(built, opened):
    """A processor without dot products and half precision, as of a Raspberry Pi 4."""
    a72 = opened(cpu="cortex-a72")
    found = check_golden(built["lite0-mobile-int8"].on(a72))
    assert found.status == "ok", found.summary
    # OpenVINO 2026.4.1 has no kernel there for a layer of its INT8 plan; the float control runs.
    with pytest.raises(BundleError, match="object is not initialized") as error:
        built["lite0-cpu-int8"].on(a72).session()
    assert "half-precision" in error.value.mend
    found = check_golden(built["lite0-cpu-fp32"].on(a72))
    assert found.status == "ok", found.summary


def test_an_evaluation_there_is_that_of_here(built, board, make_images):
    images = make_images(4, 64, 7)
    here = built["lite0-mobile-fp32"]
    there = here.on(board)
    np.testing.assert_allclose(there.predict(images), here.predict(images), rtol=1e-3, atol=1e-3)


def test_facts_say_that_it_is_no_board(board):
    facts = board.environment()
    assert facts["architecture"] == "aarch64"
    assert "emulated" in facts["board"]


def test_nothing_is_measured_there(built, board):
    with pytest.raises(OptionError, match="an emulator's times say nothing of a board"):
        edgeeff.benchmark([built["lite0-mobile-int8"].on(board)], launches=2, seconds=0.1)
