"""Anchors, against the formula written out place by place, and sections of a manifest that lie."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgeeff.detection import Detection, Geometry, Nms


@pytest.mark.parametrize(
    ("geometry", "count"),
    [
        (Geometry((512, 512)), 49104),
        (Geometry((640, 640)), 76725),
        (Geometry((1024, 1024)), 196416),
        (Geometry((320, 320), scale=3.0), 19206),
        (Geometry((448, 448), scale=3.0), 37629),
        (Geometry((256, 384)), 9 * (32 * 48 + 16 * 24 + 8 * 12 + 4 * 6 + 2 * 3)),
    ],
)
def test_the_family_has_so_many_anchors(geometry, count):
    assert geometry.count == count == len(geometry.anchors())


def test_anchors_are_those_of_the_formula():
    """Level by level, row by row, each octave with all its ratios; strides are not powers of two."""
    geometry = Geometry((320, 200), (3, 7), 2, ((1.0, 1.0), (1.4, 0.7)), 3.0)
    assert geometry.features == ((40, 25), (20, 13), (10, 7), (5, 4), (3, 2))
    expected = []
    for rows, columns in geometry.features:
        down, across = 320 / rows, 200 / columns
        for row in range(rows):
            for column in range(columns):
                for octave in range(2):
                    for wide, high in geometry.ratios:
                        y, x = (row + 0.5) * down, (column + 0.5) * across
                        height = 3.0 * down * math.sqrt(2) ** octave * high / 2
                        width = 3.0 * across * math.sqrt(2) ** octave * wide / 2
                        expected.append([y - height, x - width, y + height, x + width])
    np.testing.assert_allclose(geometry.anchors(), expected, rtol=1e-6, atol=1e-4)
    with pytest.raises(ValueError, match="read-only"):
        geometry.anchors()[0] = 0


FACTS = Detection(
    Geometry((128, 256), ratios=((1.0, 1.0), (2.0, 0.5))), Nms(0.05, 0.6, 20, across=True), "host"
)


def test_facts_survive_a_manifest():
    assert Detection.from_json(FACTS.to_json()) == FACTS


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("where",), "device"),
        (("geometry", "size"), [128]),
        (("geometry", "size"), [128, 1 << 40]),
        (("geometry", "size"), [128.0, 128]),
        (("geometry", "levels"), [7, 3]),
        (("geometry", "levels"), [0, 7]),
        (("geometry", "octaves"), True),
        (("geometry", "octaves"), 10**9),
        (("geometry", "ratios"), []),
        (("geometry", "ratios"), [[1.0, math.nan]]),
        (("geometry", "ratios"), [[1.0, 0.0]]),
        (("geometry", "scale"), math.inf),
        (("geometry", "size"), [16384, 16384]),
        (("nms", "score"), 1.0),
        (("nms", "score"), "0.5"),
        (("nms", "iou"), -0.1),
        (("nms", "max_boxes"), 0),
        (("nms", "max_boxes"), 10**6),
        (("nms", "across"), 1),
        (("nms", "soft"), True),
        (("geometry",), None),
    ],
)
def test_a_section_that_lies_is_refused(where, value):
    data = FACTS.to_json()
    inner = data
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    with pytest.raises(ValueError, match=rf"{where[-1]}|must|anchors"):
        Detection.from_json(data)
