"""Claims on places of a real labgrid coordinator: turns, refusals, and release whatever happens."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time

import pytest

from edgeeff.devices.lab import notes, places
from edgeeff.devices.lab.claim import Claim, Wanted
from edgeeff.devices.lab.client import COORDINATOR, find
from edgeeff.errors import BusyError, DeviceError, MissingRuntimeError, OptionError
from tests.devices.labs import free_port, lab, runs, until

__all__ = ["lab", "runs"]  # fixtures

ORIN = Wanted(tags={"board": "orin"})
SHOWN = """Place 'orin1':
  tags: board=orin
Acquired resource 'net' (lab1/board-1/NetworkService/NetworkService):
  {'acquired': 'orin1',
   'avail': True,
   'cls': 'NetworkService',
   'params': {'address': '10.0.0.5', 'extra': {'proxy': 'h', 'proxy_required': False}, 'username': 'root'}}
Matching resource 'torn' (lab1/board-1/NetworkPowerPort/NetworkPowerPort):
  {'acquired': __import__('os'),
"""


def test_what_it_prints_is_read_and_never_run():
    (net,) = places.resources(SHOWN)
    assert (net.name, net.kind, net.parameters["address"], net.acquired) == (
        "net",
        "NetworkService",
        "10.0.0.5",
        True,
    )
    known = places.places(
        "Place 'a':\n  aliases: x, y\n  tags: board=orin, k=\n"
        "  matches:\n    lab/acquired: no/*\n"
        "  acquired: h/u\n  changed: 2026-11-27 02:54:10.083910\n"
        "Place 'a1':\n  acquired: None\n  reservation: T1\n"
    )
    assert [p.state({"T1": "h/v"}) for p in known] == [
        "a is held by h/u since 2026-11-27 02:54:10",
        "a1 is reserved for h/v",
    ]
    assert known[0].has({"board": "orin", "name": "a"}) and not known[0].has({"board": "o"})
    assert places.named(known, "y") == known[0] and places.named(known, "a1") == known[1]
    assert places.named(known[1:], "a") is None, "a part of a name names nothing"
    (turn,) = places.reservations(
        "Reservation 'T1':\n  owner: h/v\n  state: allocated\n  filters:\n    main: board=orin\n"
        "  allocations:\n    main: orin1\n"
    )
    assert (turn.state, turn.place) == ("allocated", "orin1")


def test_what_is_needed_is_named(monkeypatch, tmp_path):
    with pytest.raises(OptionError, match=f"(?s)without a coordinator.*{COORDINATOR}=HOST:PORT"):
        find(None, {})
    for wrong in ("-x", "a b", "ws://old", "a\nb"):
        with pytest.raises(OptionError, match="is no labgrid coordinator"):
            find(wrong)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(MissingRuntimeError, match=r"labgrid-client, which is not.*\n.*\[lab\]"):
        find("lab:20408")


def test_no_coordinator():
    with pytest.raises(DeviceError, match=r"(?s)cannot be reached: .*labgrid-coordinator runs there"):
        find(f"127.0.0.1:{free_port()}").run("places")


@pytest.mark.slow
def test_one_place_one_holder(lab):
    """Taken, refused to others, given back."""
    first = Claim(find(lab.address), Wanted(name="b2"))
    assert first.place == "board-2"
    (service,) = first.resources
    assert service.parameters["port"] == 2202 and service.acquired
    with pytest.raises(BusyError) as busy:
        Claim(find(lab.address), Wanted(name="board-2"))
    assert f"board-2 is held by {first.client.identity} since 20" in busy.value.what
    assert "--wait" in busy.value.mend
    assert first.close() and first.close(), "a second time does nothing"
    assert lab.held() == []
    assert list(notes.folder().iterdir()) == []


@pytest.mark.slow
def test_no_such_place(lab):
    with pytest.raises(DeviceError, match=r"has no place board-\n.*did you mean board-"):
        Claim(find(lab.address), Wanted(name="board-"))
    with pytest.raises(DeviceError, match=r"has board=nano\n.*tags are board=orin, slot=s1"):
        Claim(find(lab.address), Wanted(tags={"board": "nano"}, wait=30))
    for tags in ({"x": "y"}, {"board": "a=b"}):
        with pytest.raises(DeviceError, match="refuses `labgrid-client reserve"):
            Claim(find(lab.address), Wanted(tags=tags))
    assert lab.held() == []


@pytest.mark.slow
def test_three_runs_want_two_places_and_one_is_killed(lab, runs):
    """Each gets its turn, and a minute later nothing is held."""
    three = [runs(lab, tags={"board": "orin"}, wait=90) for _ in range(3)]
    got = {}

    def look():
        for number, run in enumerate(three):
            os.set_blocking(run.stdout.fileno(), False)
            for line in run.stdout.readlines():
                if line.startswith("got"):
                    got[number] = line.split()[1]
        return got

    until(lambda: len(look()) == 2, 60)
    assert set(got.values()) == {"board-1", "board-2"}
    killed, other = got
    (waiting,) = {0, 1, 2} - set(got)
    three[killed].kill()
    begin = time.monotonic()
    until(lambda: len(look()) == 3, 60)
    assert got[waiting] == got[killed], "the turn came with the place of the one that was killed"
    for number in (waiting, other):
        os.set_blocking(three[number].stdout.fileno(), True)
        out, _ = three[number].communicate("\n", timeout=60)
        assert "released True" in out
    until(lambda: lab.held() == [], max(1.0, 60 - (time.monotonic() - begin)))
    print(f"nothing held {time.monotonic() - begin:.0f} s after the kill")
    assert not notes.folder().is_dir() or list(notes.folder().iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP])
def test_released_whatever_ends_the_run(lab, runs, number):
    run = runs(lab, name="board-1")
    assert run.stdout.readline() == "got board-1\n"
    assert len(lab.held()) == 1
    run.send_signal(number)
    run.wait(60)
    until(lambda: lab.held() == [], 60)


@pytest.mark.slow
def test_killed_while_it_waits(lab, runs):
    """Its reservation must not keep others from the place."""
    holder = runs(lab, name="board-1")
    assert holder.stdout.readline() == "got board-1\n"
    waiting = runs(lab, tags={"slot": "s1"}, wait=60)
    assert "waiting up to 60 s for slot=s1: board-1 is held by" in waiting.stdout.readline()
    until(lambda: any("owner" in line for line in lab.held()), 30)
    waiting.kill()
    until(lambda: not any("owner" in line for line in lab.held()), 60)
    holder.communicate("\n", timeout=60)
    assert lab.held() == []


@pytest.mark.slow
def test_what_a_dead_run_and_its_dead_keeper_kept_is_freed_by_a_later_run(lab, runs):
    run = runs(lab, name="board-1")
    assert run.stdout.readline() == "got board-1\n"
    keepers = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True).stdout
    for pid in keepers.split():
        os.kill(int(pid), signal.SIGKILL)
    run.kill()
    run.wait()
    time.sleep(5)
    assert len(lab.held()) == 1, "nobody was there to free it"
    said = []
    with_it = Claim(find(lab.address), Wanted(name="board-1"), said.append)
    assert "released board-1, which a run that was killed had kept" in said[0]
    assert with_it.close() and lab.held() == []


@pytest.mark.slow
def test_two_runs_of_one_user(lab, runs):
    """The end of one releases nothing of the other."""
    one, other = runs(lab, name="board-1"), runs(lab, name="board-2")
    assert (one.stdout.readline(), other.stdout.readline()) == ("got board-1\n", "got board-2\n")
    one.communicate("\n", timeout=60)
    (left,) = lab.held()
    assert "board-2" in left
    third = runs(lab, name="board-2")
    assert "BusyError" in third.stdout.read()
    assert lab.held() == [left]
    assert "released True" in other.communicate("\n", timeout=60)[0]


@pytest.mark.slow
def test_exporter_gone(lab):
    """labgrid allocates the place all the same; nothing stays reserved."""
    lab.end("exporter")
    until(lambda: "group-1" not in lab.run("resources"), 60)
    with pytest.raises(DeviceError, match=r"(?s)place board-\d cannot be acquired.*labgrid-exporter"):
        Claim(find(lab.address), ORIN)
    assert lab.held() == []


@pytest.mark.slow
def test_coordinator_started_anew_forgets_the_claim(lab):
    """It does not pass for held: others may have been on the board."""
    claim = Claim(find(lab.address), Wanted(name="board-1"))
    lab.end("coordinator")
    lab.start_coordinator()
    assert claim.close() is False
    assert lab.held() == []


@pytest.mark.slow
def test_coordinator_gone(lab, monkeypatch):
    """The keeper goes on after the run has said so."""
    monkeypatch.setattr("edgeeff.devices.lab.claim._RELEASE", 3.0)
    claim = Claim(find(lab.address), Wanted(name="board-1"))
    lab.end("coordinator")
    with pytest.raises(DeviceError, match=r"(?s)board-1 could not be released within 3 s.*release-from"):
        claim.close()
    lab.start_coordinator()
    until(lambda: not list(notes.folder().iterdir()), 60)


@pytest.mark.slow
def test_place_deleted_while_it_is_held(lab):
    claim = Claim(find(lab.address), Wanted(name="board-1"))
    lab.run("-p", "board-1", "release", "--kick")
    lab.run("-p", "board-1", "delete")
    assert claim.close() is False
    assert lab.held() == []


@pytest.mark.slow
def test_released_by_force(lab):
    claim = Claim(find(lab.address), Wanted(name="board-1"))
    lab.run("-p", "board-1", "release", "--kick")
    lab.client("somebody").run("-p", "board-1", "acquire")
    assert claim.close() is False
    assert "somebody" in lab.held()[0], "what others took is left to them"


@pytest.mark.slow
def test_no_power_port(lab):
    claim = Claim(find(lab.address), Wanted(name="board-1"))
    with pytest.raises(DeviceError, match=r"has no power port \(it has NetworkService\)"):
        claim.power_cycle()
    assert claim.close()


@pytest.mark.slow
def test_a_program_that_hangs(lab, tmp_path, monkeypatch):
    slow = tmp_path / "labgrid-client"
    slow.write_text("#!/bin/sh\nsleep 60\n")
    slow.chmod(slow.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DeviceError, match="no answer within 1 s"):
        find(lab.address).try_("places", seconds=1)
