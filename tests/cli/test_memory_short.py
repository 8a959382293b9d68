"""The command line where little memory may be had: done, or refused as such."""

from __future__ import annotations

import resource

import pytest

MEGABYTES = (300, 400, 500, 600, 700, 850, 1000, 1200, 1500, 2000)


@pytest.fixture
def limited(process):
    """``limited(megabytes, *arguments)``: the same, with a limit of addresses."""

    def run(megabytes, *arguments, **options):
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

        return process(*arguments, preexec_fn=limit, **options)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["run", "bench", "build"])
def test_memory_runs_out_at_any_step(verb, limited, lite0_bundles, ten_photos, tmp_path):
    bundle = lite0_bundles / "lite0-cpu-int8"
    arguments = {
        "run": ("run", bundle, ten_photos),
        "bench": ("bench", bundle, "--launches=1", "--seconds=0.05"),
        "build": (
            *("build", "--model=lite0", "--size=64", f"--calibration={ten_photos}", "--target=cpu-int8"),
            f"--output={tmp_path / 'dist'}",
        ),
    }[verb]
    ended = set()
    for megabytes in MEGABYTES:
        cache = {"EDGEEFF_CACHE_DIR": str(tmp_path / f"cache{megabytes}")}
        result = limited(megabytes, *arguments, env=cache)
        ended.add(result.status)
        assert "Traceback" not in result.err + result.out, (megabytes, result.err)
        assert result.status in (0, 2), (megabytes, result)
        if result.status:
            assert "memory ran out while" in result.err, (megabytes, result.err)
            assert not (tmp_path / "dist" / "lite0-cpu-int8").exists() or verb != "build"
    assert ended == {0, 2}
