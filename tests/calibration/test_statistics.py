from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeeff.calibration import statistics as room
from edgeeff.calibration.collect import FINEST_EDGE, POSITIONS, _summarise
from edgeeff.calibration.statistics import BINS, TensorStatistics, statistics_from_bytes, statistics_to_bytes

FIELDS = ("minimum", "maximum", "mean", "second_moment", "count", "histogram", "edge")
values = st.one_of(
    st.floats(-1e6, 1e6, width=32).filter(lambda v: v == 0 or abs(v) > 1e-30),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -4.0, 2.0**-20, -(2.0**-21), 1e-9, -1e-9]),
)


@st.composite
def batches(draw, least=1, most=4):
    """A few batches [n, C, p] of one tensor whose positions are few enough to be sampled all."""
    channels = draw(st.integers(1, 3))
    made = []
    for _ in range(draw(st.integers(least, most))):
        images, positions = draw(st.integers(1, 3)), draw(st.integers(1, 6))
        flat = draw(
            st.lists(values, min_size=images * channels * positions, max_size=images * channels * positions)
        )
        made.append(np.array(flat, np.float32).reshape(images, channels, positions))
    return made


def summary(batch) -> TensorStatistics:
    return _summarise(torch.from_numpy(np.ascontiguousarray(batch[..., None])))


def assert_same(found: TensorStatistics, expected: TensorStatistics, exact=FIELDS):
    for field in FIELDS:
        a, b = getattr(found, field), getattr(expected, field)
        if field in exact:
            np.testing.assert_array_equal(a, b, err_msg=field)
        else:
            np.testing.assert_allclose(
                a, b, rtol=1e-6, atol=1e-6 * np.sqrt(expected.second_moment.max()), err_msg=field
            )


@given(batches())
def test_summary_is_what_it_says(made):
    batch = made[0]
    found = summary(batch)
    rows = batch.transpose(1, 0, 2).reshape(batch.shape[1], -1).astype(np.float64)
    np.testing.assert_array_equal(found.minimum, rows.min(1))
    np.testing.assert_array_equal(found.maximum, rows.max(1))
    np.testing.assert_allclose(found.mean, rows.mean(1), rtol=1e-5, atol=1e-6 * np.abs(rows).max())
    np.testing.assert_allclose(found.second_moment, (rows**2).mean(1), rtol=1e-5, atol=1e-300)
    assert found.count == rows.shape[1]
    # The edge is the smallest power of two, not below the finest, that covers the channel.
    bound = np.abs(rows).max(1)
    assert (found.edge >= bound).all() and (found.edge >= FINEST_EDGE).all()
    assert ((found.edge / 2 < bound) | (found.edge == FINEST_EDGE)).all()
    assert (np.log2(found.edge) % 1 == 0).all()
    for channel, row in enumerate(rows):
        edge = found.edge[channel]
        index = np.minimum(np.floor(row / edge * (BINS // 2)) + BINS // 2, BINS - 1).astype(int)
        np.testing.assert_array_equal(found.histogram[channel], np.bincount(index, minlength=BINS))


@given(batches(least=2))
def test_merging_equals_measuring_all_at_once(made):
    positions = min(batch.shape[2] for batch in made)
    made = [batch[:, :, :positions] for batch in made]
    merged = summary(made[0])
    for batch in made[1:]:
        merged = merged.merge(summary(batch))
    whole = summary(np.concatenate(made))
    for field in ("minimum", "maximum", "edge", "count"):
        np.testing.assert_array_equal(getattr(merged, field), getattr(whole, field))
    scale = np.sqrt(whole.second_moment.max())
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-5, atol=1e-6 * scale)
    np.testing.assert_allclose(merged.second_moment, whole.second_moment, rtol=1e-5, atol=1e-300)
    assert merged.histogram.sum() == whole.histogram.sum()
    # A value on the outermost edge lies in the last bin, though the next bin begins there.
    on_edge = any((batch == summary(batch).edge[:, None]).any() for batch in made)
    if not on_edge:
        np.testing.assert_array_equal(merged.histogram, whole.histogram)


@given(batches(least=3, most=3))
def test_merging_is_associative_but_for_rounding(made):
    a, b, c = (summary(batch) for batch in made)
    exact = tuple(f for f in FIELDS if f not in ("mean", "second_moment"))
    assert_same(a.merge(b).merge(c), a.merge(b.merge(c)), exact)
    assert_same(a.merge(b), b.merge(a), exact)


@given(st.lists(st.integers(0, 1000), min_size=BINS, max_size=BINS), st.integers(0, 10), st.integers(0, 10))
def test_widening_is_exact(counts, first, second):
    histogram = np.array([counts], np.float32)
    edge = np.array([2.0**-3])
    wider = room._widen(histogram, edge, edge * 2**first)
    assert wider.sum() == histogram.sum()
    again = room._widen(wider, edge * 2**first, edge * 2 ** (first + second))
    np.testing.assert_array_equal(again, room._widen(histogram, edge, edge * 2 ** (first + second)))
    if first == 1:
        np.testing.assert_array_equal(wider[0, 32:96], histogram[0].reshape(-1, 2).sum(1))
        assert not wider[0, :32].any() and not wider[0, 96:].any()


def test_widening_takes_each_channel_by_itself():
    histogram = np.ones((3, BINS), np.float32)
    found = room._widen(histogram, np.array([1.0, 1.0, 2.0]), np.array([1.0, 4.0, 4.0]))
    assert [int((row > 0).sum()) for row in found] == [128, 32, 64]
    assert [row.max() for row in found] == [1, 4, 2]


@given(batches(), st.sampled_from([0.25, 2.0, 64.0]))
def test_scaling_by_a_power_of_two_equals_measuring_the_scaled(made, factor):
    batch = np.where(np.abs(made[0]) < 2.0**-10, np.float32(1), made[0])  # the finest edge does not scale
    assert_same(summary(batch).scaled(np.array([factor])), summary(batch * np.float32(factor)))


def test_scaling_by_channel():
    random = np.random.default_rng(0)
    batch = random.normal(size=(4, 3, 20)).astype(np.float32)
    factor = np.array([58.4, 0.3, 7.0])
    found, expected = summary(batch).scaled(factor), summary(batch * factor[:, None].astype(np.float32))
    for field in ("minimum", "maximum", "mean", "second_moment"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), rtol=1e-5)
    np.testing.assert_allclose(found.edge, summary(batch).edge * factor)
    values, counts, weights = found.pooled()
    assert values.min() >= (batch * factor[:, None]).min() - 1e-5
    assert counts.sum() == weights.sum() == batch.size


@given(batches())
def test_pooled_sample_is_sorted_and_inside_the_extremes(made):
    found = summary(made[0])
    sample, counts, weights = found.pooled()
    assert counts.sum() == made[0].size
    assert (counts > 0).all() and (np.diff(sample) >= 0).all()
    assert sample.min() >= found.low and sample.max() <= found.high
    np.testing.assert_array_equal(weights, counts)


@given(batches())
def test_pooled_channels_weigh_their_gain(made):
    found = summary(made[0])
    gain = np.arange(found.channels) * 2.0
    sample, counts, weights = found.pooled(gain)
    plain, same, _ = found.pooled()
    np.testing.assert_array_equal(sample, plain)
    np.testing.assert_array_equal(counts, same)
    assert weights.sum() == pytest.approx((found.histogram.sum(axis=1) * gain).sum())
    assert set(weights / counts) <= set(gain)


def test_bytes_and_back():
    random = np.random.default_rng(0)
    statistics = {
        name: summary(random.normal(size=(2, 3, 9)).astype(np.float32)) for name in ("b", "a", "c/d.e")
    }
    data = statistics_to_bytes(statistics)
    back = statistics_from_bytes(data)
    assert list(back) == ["a", "b", "c/d.e"]
    for name in statistics:
        assert_same(back[name], statistics[name])
        assert isinstance(back[name].count, int)
        for field in FIELDS:
            if field != "count":
                assert getattr(back[name], field).dtype == getattr(statistics[name], field).dtype
    assert statistics_to_bytes(dict(reversed(statistics.items()))) == data
    assert statistics_to_bytes(back) == data


def test_a_pickle_is_not_read():
    import io

    buffer = io.BytesIO()
    np.savez(buffer, names=np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        statistics_from_bytes(buffer.getvalue())


def test_large_tensors_are_subsampled_evenly():
    random = np.random.default_rng(0)
    value = torch.from_numpy(random.normal(size=(2, 3, 40, 40)).astype(np.float32))
    found = _summarise(value)
    assert (found.histogram.sum(1) <= 2 * POSITIONS).all()
    assert (found.histogram.sum(1) >= POSITIONS).all()
    assert found.count == 2 * 40 * 40
    np.testing.assert_allclose(found.minimum, value.amin((0, 2, 3)))
    # A stride that divides the width would look at the same columns of every row.
    columns = torch.arange(64.0).expand(1, 1, 64, 64).contiguous()
    assert (_summarise(columns).histogram[0, 64:] > 0).all()


def test_a_vector_has_statistics_too():
    found = _summarise(torch.tensor([[1.0, -2.0], [3.0, 0.0]]))
    np.testing.assert_array_equal(found.mean, [2, -1])
    assert (found.channels, found.low, found.high, found.count) == (2, -2.0, 3.0, 2)
