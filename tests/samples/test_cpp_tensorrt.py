"""samples/cpp-tensorrt compiles; without a GPU it is not run."""

from __future__ import annotations

from pathlib import Path

import pytest

STUBS = Path(__file__).with_name("tensorrt_stubs")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options"),
    [("classification", {"batch": 4}), ("detection", {"where": "runtime"}), ("features", {})],
)
def test_it_compiles_without_a_warning(compiled, samples, tiny_bundle, task, options):
    bundle = tiny_bundle("jetson-fp16", task, **options)
    source = samples / "cpp-tensorrt" / "run.cpp"
    compiled(source, "-c", "-Werror", "-isystem", STUBS, bundle=bundle)
