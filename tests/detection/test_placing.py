"""Who makes a detector's boxes: the runtime where it can, unless somebody says otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeeff.batch import ONE, Batch
from edgeeff.detection import Detection, Geometry, Nms
from edgeeff.errors import OptionError
from edgeeff.pipeline.resolve.detection import boxes_lines, placed
from edgeeff.target import load_target
from edgeeff.tasks import Meaning

MEANING = Meaning("detection", 0.3, detection=Detection(Geometry((64, 64)), Nms()))


def where(name, nms=None, asked=None, batch=ONE):
    facts = replace(MEANING.detection, nms=nms or Nms())
    return placed(replace(MEANING, detection=facts), load_target(name), asked, batch).detection.where


@pytest.mark.parametrize("name", ["cpu-int8", "mobile-int8", "mobile-fp32"])
def test_a_runtime_that_can_makes_boxes(name):
    assert where(name) == where(name, Nms(across=True)) == where(name, asked="runtime") == "runtime"
    assert where(name, asked="host") == "host"


@pytest.mark.parametrize(
    ("nms", "batch", "why"),
    [(Nms(), Batch(2), "one image"), (Nms(), Batch(8, dynamic=True), "one image"), (Nms(iou=0), ONE, "IoU")],
)
def test_what_tflites_operator_does_not_take_is_made_behind_the_file(nms, batch, why):
    assert where("mobile-int8", nms, batch=batch) == "host"
    with pytest.raises(OptionError, match=f"mobile-int8: --nms runtime, and .*{why}") as error:
        where("mobile-int8", nms, "runtime", batch)
    assert "--nms host" in error.value.mend
    (_, line) = boxes_lines(
        replace(MEANING, detection=replace(MEANING.detection, nms=nms)),
        [load_target("mobile-int8")],
        None,
        batch,
    )
    assert why in line
    assert where("cpu-int8", nms, batch=batch) == "runtime"
