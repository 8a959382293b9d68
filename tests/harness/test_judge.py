"""The thresholds of a verification, on logits made for them."""

import json
import math

import numpy as np
import pytest

from edgeeff.harness.verify import judge, verify
from edgeeff.metrics import sqnr


def logits_at(reference, decibels, seed=0):
    """The reference with noise of exactly that SQNR."""
    noise = np.random.default_rng(seed).normal(size=reference.shape)
    noise *= math.sqrt((reference**2).sum() / (noise**2).sum()) * 10 ** (-decibels / 20)
    return reference + noise


def _one(logits):
    return {"logits": logits}


@pytest.fixture
def reference():
    """100 images, 10 classes, each with one class far ahead: noise of 14 dB changes no choice."""
    return np.where(np.arange(10) == np.arange(100)[:, None] % 10, 20.0, 0.0)


@pytest.mark.parametrize(("decibels", "count"), [(15.1, 0), (14.9, 1)])
def test_an_sqnr_under_15_db_warns(reference, decibels, count):
    verdict = judge(_one(logits_at(reference, decibels)), float_outputs=_one(reference))
    assert verdict.sqnr == pytest.approx(decibels)
    assert verdict.agreement.value == 1.0
    assert len(verdict.warnings) == count


@pytest.mark.parametrize(("wrong", "warned"), [(5, False), (6, True)])
def test_an_agreement_under_95_percent_warns(wrong, warned):
    reference = np.tile([100.0, 100.1, 0.0], (100, 1))
    test = reference.copy()
    test[:wrong, 0] += 0.2
    verdict = judge(_one(test), float_outputs=_one(reference))
    assert verdict.agreement.successes == 100 - wrong
    assert bool(verdict.warnings) is warned
    assert all("agreement" in text for text in verdict.warnings)


def test_logits_that_are_not_numbers_warn(reference):
    broken = reference.copy()
    broken[3, 4] = math.nan
    verdict = judge(_one(broken), float_outputs=_one(reference))
    assert any("NaN" in text for text in verdict.warnings)
    json.dumps(verdict.to_json(), allow_nan=False)


def test_nothing_compared_is_no_success():
    assert judge(_one(np.zeros((0, 3))), float_outputs=_one(np.zeros((0, 3)))).warnings


def test_the_hub_is_compared_apart_from_the_float_graph(reference):
    hub = logits_at(reference, 20.0)
    verdict = judge(_one(hub), float_outputs=_one(reference), hub_outputs=_one(hub))
    assert verdict.hub_sqnr == math.inf
    assert verdict.sqnr == pytest.approx(20.0)
    assert judge(_one(hub), float_outputs=_one(reference)).hub_sqnr is None


def test_verify_keeps_the_order_of_the_batches(reference):
    class Lookup:
        """A session whose first pixel names the image."""

        def infer(self, pixels):
            return _one(reference[pixels[:, 0, 0, 0]].astype(np.float32))

    pixels = np.zeros((100, 2, 2, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(100)
    verdict = verify(
        Lookup(), [pixels[:30], pixels[30:]], float_outputs=_one(reference), hub_outputs=_one(reference)
    )
    assert verdict.images == 100
    assert verdict.sqnr == sqnr(reference, reference) == math.inf
