"""A short run of benchmarks/samples_soak.py: no sample leaks, loses a frame, or does not end."""

from __future__ import annotations

import pytest

from benchmarks import samples_soak


@pytest.mark.slow
def test_no_sample_leaks_or_loses_frames(tiny_bundle, needs):
    needs("g++", headers=["jpeglib.h"])
    bundles = [str(tiny_bundle(target).folder) for target in ("cpu-fp32", "mobile-fp32")]
    rows = samples_soak.main([*bundles, "--frames", "1500", "--most-mb", "3"])
    assert {row.sample for row in rows} >= {"cpp-openvino", "cpp-litert"}
    for row in rows:
        assert row.damaged in ("ended with exit status 2", "went on, exit status 0"), row
        assert row.sigterm.startswith(("exit status 0", "by the signal")), row
