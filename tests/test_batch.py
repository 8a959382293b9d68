"""A batch as users write it, and any number of images through runs of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeeff import backends
from edgeeff.batch import LARGEST, Batch
from edgeeff.errors import OptionError
from edgeeff.onboard.runs import in_runs
from edgeeff.target import load_target


@pytest.mark.parametrize(
    "value", [1, 4, "4", " 16 ", LARGEST, "dynamic", "dynamic:3", "dynamic:1", Batch(2, True)]
)
def test_what_is_written_is_read_again(value):
    batch = Batch.read(value)
    assert Batch.read(batch.to_json()) == batch
    assert batch.dynamic == (not str(value).strip().isdigit() and value != "dynamic:1")


@pytest.mark.parametrize(
    "value",
    [0, -1, LARGEST + 1, 10**9, "10" * 3000, "", "four", "4.5", "4,8", "dynamic:0", "dynamic:", "٤", True],
)
def test_what_is_no_number_of_images_is_refused(value):
    with pytest.raises(OptionError, match="--batch") as refusal:
        Batch.read(value)
    assert len(refusal.value.what) < 200


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("size", [1, 3, 4, 7, 9])
def test_images_keep_their_order_through_runs(size, dynamic):
    images = np.arange(7, dtype=np.float32).reshape(7, 1, 1, 1)
    runs: list[list[float]] = []

    def run(part):
        runs.append(part.ravel().tolist())
        held[: len(part)] = part.reshape(-1, 1)  # a runtime's own memory, which the next run overwrites
        return {"double": 2 * held[: len(part)], "same": held[: len(part)]}

    held = np.empty((9, 1), np.float32)
    found = in_runs(images, Batch(size, dynamic), run)
    np.testing.assert_array_equal(found["double"].ravel(), 2 * np.arange(7))
    np.testing.assert_array_equal(found["same"].ravel(), np.arange(7))
    whole = [] if dynamic else [6.0] * (-7 % size)
    assert [image for part in runs for image in part] == [*range(7), *whole]
    assert {len(part) for part in runs[:-1]} <= {size} and len(runs) == -(-7 // size)


def test_a_run_that_loses_images_is_no_result():
    with pytest.raises(ValueError, match="of a run of 2 images"):
        in_runs(np.zeros((4, 1)), Batch(2), lambda part: {"logits": np.zeros((1, 3))})


def test_a_batch_that_a_runtime_does_not_take_is_refused_before_any_work(monkeypatch):
    single = replace(backends.runtime("tflite"), batches=("one",))
    known = {name: backends.runtime(name) for name in backends.runtime_names()} | {"tflite": single}
    monkeypatch.setattr(backends, "runtime", known.__getitem__)
    targets = [load_target("cpu-int8"), load_target("mobile-int8")]
    for batch in (Batch(4), Batch(4, True)):
        with pytest.raises(OptionError, match="tflite takes no such batch") as refusal:
            backends.refuse_batch(targets, batch)
        assert "openvino" in refusal.value.mend and "tflite" not in refusal.value.mend
        backends.refuse_batch(targets[:1], batch)
    backends.refuse_batch(targets, Batch())
