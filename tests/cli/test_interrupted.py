"""Ctrl-C, kill -9 and two builds at once: what stands is whole, and what was cached is right."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from edgeeff import cli
from edgeeff.bundle import Bundle
from edgeeff.cli import interrupts

TARGETS = ("cpu-int8", "jetson-int8")
KILLS = 8


@pytest.fixture(scope="module")
def arguments(folder_of, photos):
    """A small build of Lite0 with its real weights."""
    folder = folder_of(photos[:5])
    targets = [f"--target={name}" for name in TARGETS]
    return ("build", "--model=lite0", "--size=64", "--effort=fast", f"--calibration={folder}", *targets)


@dataclass(frozen=True)
class Clean:
    """A build that nobody disturbed, and the seconds that it takes with an empty and with a full cache."""

    output: Path
    cache: Path
    cold: float
    warm: float


@pytest.fixture(scope="module")
def clean(process, arguments, tmp_path_factory) -> Clean:
    outputs, cache = (
        [tmp_path_factory.mktemp("clean") for _ in range(2)],
        tmp_path_factory.mktemp("clean-cache"),
    )
    times = []
    for output in outputs:
        start = time.monotonic()
        result = process(*arguments, f"--output={output}", env={"EDGEEFF_CACHE_DIR": str(cache)})
        assert result.status == 0, result.err
        times.append(time.monotonic() - start)
    assert files(outputs[0]) == files(outputs[1])
    return Clean(outputs[0], cache, *times)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): content(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def content(path: Path) -> bytes:
    """A file's bytes; of a report without its record, which says when and by which run it was written."""
    if path.name != "verification.json":
        return path.read_bytes()
    return json.dumps({**json.loads(path.read_text()), "record": None}).encode()


def assert_whole(output: Path) -> int:
    """Every bundle that stands is whole; returns how many do."""
    bundles = [path for path in output.iterdir() if not path.name.startswith(".")]
    for path in bundles:
        assert Bundle.load(path).altered() == []
    return len(bundles)


class Interrupted:
    """Ctrl-C comes while Python takes it away."""

    def __del__(self):
        raise KeyboardInterrupt


def test_an_interrupt_in_a_finaliser_comes_again():
    """Python prints that it ignores it; a video would be classified to its end."""
    deadline = time.monotonic() + 60
    with interrupts.kept(), pytest.raises(KeyboardInterrupt):
        Interrupted()
        while time.monotonic() < deadline:
            pass


def test_an_interrupt_before_a_verb_is_at_work(monkeypatch, capsys):
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def verb() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "application", lambda asked: app)
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert end.value.code == 130 and "Traceback" not in capsys.readouterr().err


def wait_for(process, words: str) -> None:
    """Read standard error until the words are there."""
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"ended before {words!r}")


@pytest.mark.parametrize(
    "stage",
    [
        *("calibrating", "lite0-jetson-int8"),
        *(
            pytest.param(stage, marks=pytest.mark.slow)
            for stage in ("exporting", "lite0-cpu-int8", "judging")
        ),
    ],
)
def test_ctrl_c_exits_130_and_leaves_nothing(stage, start, arguments, tmp_path):
    output = tmp_path / "dist"
    cold = {"EDGEEFF_CACHE_DIR": str(tmp_path / "cache")} if stage in ("exporting", "calibrating") else {}
    process = start(*arguments, f"--output={output}", env=cold)
    wait_for(process, stage)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err and "interrupted" in err
    left = {p.name for p in output.iterdir()} if output.exists() else set()
    # A bundle that was finished before stays; nothing else does.
    assert left <= ({"lite0-cpu-int8"} if stage == "lite0-jetson-int8" else set())
    assert not left or assert_whole(output) == 1


def test_ctrl_c_while_a_bundle_is_written(start, arguments, tmp_path):
    output = tmp_path / "dist"
    process = start(*arguments, f"--output={output}")
    deadline = time.monotonic() + 120
    while not list(output.glob(".edgeeff-*/*/manifest.json")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert not list(output.iterdir())


@pytest.mark.slow
def test_kills_at_any_moment_leave_no_half_bundle_and_no_poisoned_cache(
    start, process, arguments, clean, tmp_path
):
    cached = files(clean.cache)
    output, merged = tmp_path / "dist", tmp_path / "merged"
    died = 0
    for number in range(KILLS):
        cache = tmp_path / f"cache{number}"
        if number % 2:  # half of them spend their time where bundles are written
            shutil.copytree(clean.cache, cache)
        seconds = clean.warm if number % 2 else clean.cold
        running = start(*arguments, f"--output={output}", env={"EDGEEFF_CACHE_DIR": str(cache)})
        time.sleep(seconds * (number + 1) / (KILLS + 0.5))
        running.kill()
        running.communicate()
        died += running.returncode == -signal.SIGKILL
        if output.exists():
            assert_whole(output)
        for name, content in files(cache).items():
            if name.endswith(".zip"):
                assert content == cached[name], f"{name} is not what an undisturbed build keeps"
                (merged / name).parent.mkdir(parents=True, exist_ok=True)
                (merged / name).write_bytes(content)
    assert died >= KILLS // 2
    # The next build uses all that the killed ones left, sweeps what they left half made, and is right.
    (output / ".edgeeff-0123456789ab" / "lite0-cpu-int8").mkdir(parents=True)
    result = process(*arguments, f"--output={output}", env={"EDGEEFF_CACHE_DIR": str(merged)})
    assert result.status == 0, result.err
    assert files(output) == files(clean.output)


@pytest.mark.slow
def test_a_kill_while_a_bundle_is_replaced(start, process, arguments, clean, tmp_path):
    """Over an older bundle: the old one or the new one stands, never a part of either."""
    output, env = tmp_path / "dist", {"EDGEEFF_CACHE_DIR": str(clean.cache)}
    older = process(*arguments, "--golden=0", f"--output={output}", env=env)
    assert older.status == 0, older.err
    running = start(*arguments, f"--output={output}", env=env)
    while not list(output.glob(".edgeeff-*/*/manifest.json")) and running.poll() is None:
        time.sleep(0.002)
    running.kill()
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    assert assert_whole(output) == len(TARGETS)
    assert list(output.glob(".edgeeff-*"))
    assert process(*arguments, f"--output={output}", env=env).status == 0
    assert files(output) == files(clean.output)


@pytest.mark.slow
def test_two_builds_at_once(start, arguments, clean, tmp_path):
    """Into the same folder and the same empty cache: both succeed."""
    output, env = tmp_path / "dist", {"EDGEEFF_CACHE_DIR": str(tmp_path / "cache")}
    processes = [start(*arguments, f"--output={output}", env=env) for _ in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    assert files(output) == files(clean.output)
    # Statistics, graph and hub as in the cache of one undisturbed build.
    assert files(tmp_path / "cache") == files(clean.cache)


#: How a process is started, what it ignores then, and the signal that comes.
SIGNALS = {
    "TERM": (signal.SIGTERM, None),
    "HUP": (signal.SIGHUP, None),
    "HUP under nohup": (signal.SIGHUP, signal.SIGHUP),
    "INT in the background of sh": (signal.SIGINT, signal.SIGINT),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", SIGNALS)
def test_other_signals(way, start, process, arguments, clean, tmp_path):
    """One ends the build at once and leaves nothing half; what its starter ignores it ignores too."""
    number, ignored = SIGNALS[way]
    temporary, output = tmp_path / "tmp", tmp_path / "dist"
    temporary.mkdir()
    env = {"EDGEEFF_CACHE_DIR": str(tmp_path / "cache"), "TMPDIR": str(temporary)}

    def ignore() -> None:
        if ignored is not None:
            signal.signal(ignored, signal.SIG_IGN)

    running = start(*arguments, f"--output={output}", env=env, preexec_fn=ignore, start_new_session=True)
    wait_for(running, "calibrating")
    os.killpg(running.pid, number)
    _, err = running.communicate(timeout=300)
    assert "Traceback" not in err
    assert running.returncode == (0 if ignored else -number), err
    assert not list(temporary.iterdir())
    assert not output.exists() or assert_whole(output) == (len(TARGETS) if ignored else 0)
    assert process(*arguments, f"--output={output}", env=env).status == 0
    assert files(output) == files(clean.output)
