"""``--device labgrid:…``: how addresses are read, and a real place whose board is a real sshd."""

from __future__ import annotations

import subprocess
import threading
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from edgeeff.devices import open_transport
from edgeeff.devices.file import Named
from edgeeff.devices.kinds import Settings, labgrid, ssh
from edgeeff.devices.lab.places import Resource
from edgeeff.errors import DeviceError, EdgeeffWarning
from tests.devices.boards import Sshd
from tests.devices.labs import Lab

NAMED = Settings(
    Named("rack", "labgrid:p", Path("devices.toml"), coordinator="lab:1", power_cycle=True, boot=9.0)
)


def test_addresses():
    by_tags = labgrid.address("board=orin,slot=s1?coordinator=lab:20408&power=cycle&boot=60", Settings())
    assert (by_tags.place, by_tags.tags) == (None, {"board": "orin", "slot": "s1"})
    assert (by_tags.coordinator, by_tags.power_cycle, by_tags.boot) == ("lab:20408", True, 60.0)
    plain = labgrid.address("orin1", Settings())
    assert (plain.place, plain.coordinator, plain.power_cycle) == ("orin1", None, False)
    named = labgrid.address("orin1", NAMED)
    assert (named.coordinator, named.power_cycle, named.boot) == ("lab:1", True, 9.0)
    over = labgrid.address("orin1?power=keep&coordinator=other:1&service=b", NAMED)
    assert (over.coordinator, over.power_cycle, over.service) == ("other:1", False, "b")


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("-p", "no name of a place"),
        ("+TOKEN", "no name of a place"),
        ("?power=cycle", "no name of a place"),
        ("board=", "'board=' in labgrid:board= is no tag"),
        ("=orin", "is no tag"),
        ("b=orin", "is no tag"),
        ("Board=orin", "is no tag"),
        ("board=a=b", "is no tag"),
        ("board=orin,", "'' in labgrid:board=orin, is no tag"),
        ("board=a,board=b", "'board' in labgrid:board=a,board=b has two values"),
        ("p?power=off", "power='off'"),
        ("p?boot=1.5", "boot='1.5'"),
        ("p?user=x", "'user' is no option.*\n.*coordinator, power, boot, service"),
        ("p?power=cycle&power=keep", "'power' stands there twice"),
        ("p?power", "'power' are no options"),
    ],
)
def test_addresses_that_make_no_sense(rest, message):
    with pytest.raises(DeviceError, match=message):
        labgrid.address(rest, Settings())


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"address": "10.0.0.5", "username": "pi", "port": 2222}, "//pi@10.0.0.5:2222"),
        ({"address": "fe80::1", "username": "pi", "port": 22}, "//pi@[fe80::1]:22"),
        ({"address": "board"}, "//board"),
    ],
)
def test_where_the_exporter_says_that_it_is(parameters, said):
    assert labgrid._address("p", parameters) == said
    assert str(ssh.place(said)).startswith("ssh://")


def test_what_an_exporter_says_is_no_option_of_ssh():
    for wrong in ("-oProxyCommand=reboot", "a b", "a;reboot", "$(reboot)"):
        with pytest.raises(DeviceError, match="no address"):
            ssh.place(labgrid._address("p", {"address": wrong, "username": "pi"}))
        with pytest.raises(DeviceError, match="no address"):
            ssh.place(labgrid._address("p", {"address": "h", "username": wrong}))
    with pytest.raises(DeviceError, match="has no address"):
        labgrid._address("p", {"username": "pi"})


class FakeClaim:
    """The resources alone: what is chosen of them needs no coordinator."""

    place = "p"

    def __init__(self, *resources):
        self.resources = resources


def resource(name, kind="NetworkService", available=True):
    return Resource(name, f"lab/g/{kind}/{name}", kind, available, {}, True)


def test_which_service():
    one, other = resource("a"), resource("b")
    assert labgrid._service(FakeClaim(one, resource("x", "SerialPort")), None) == one
    assert labgrid._service(FakeClaim(one, other), "b") == other
    for claim, name, message in (
        (FakeClaim(one, other), None, r"has several NetworkServices\n.*service=NAME.*: a, b"),
        (FakeClaim(one), "c", "has no NetworkService 'c'"),
        (FakeClaim(resource("x", "SerialPort")), None, r"has no NetworkService.*\(it has SerialPort\)"),
        (FakeClaim(resource("a", available=False)), None, "is not available"),
    ):
        with pytest.raises(DeviceError, match=message):
            labgrid._service(claim, name)


@pytest.fixture
def powered(tmp_path, monkeypatch):
    """A board that is a real sshd, its power port, and the lab that has both."""
    board = Sshd(tmp_path / "board", name="127.0.0.1")
    board.start()
    switched = []

    class Port(BaseHTTPRequestHandler):
        def do_GET(self):
            value = self.path.rpartition("/")[2]
            switched.append(value)
            if value == "0":
                board.stop()
            elif value == "1" and board.process is None:
                board.start()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    port = HTTPServer(("127.0.0.1", 0), Port)
    threading.Thread(target=port.serve_forever, daemon=True).start()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv(ssh.CONFIGURATION, str(board.config))
    folder = tmp_path / "lab"
    folder.mkdir()
    lab = Lab(folder, (board.port,), f"http://127.0.0.1:{port.server_port}")
    monkeypatch.setenv("LG_COORDINATOR", lab.address)
    yield board, lab, switched
    for name in list(lab.processes):
        lab.end(name)
    port.shutdown()
    port.server_close()
    board.stop()


@pytest.mark.slow
def test_a_place_with_a_board(powered):
    board, lab, switched = powered
    told = []
    transport = open_transport("labgrid:board=orin?power=cycle&boot=60", Settings(tell=told.append))
    done = subprocess.run(transport.command(["printenv", "HOME"]), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(board.home), "the commands run on the board"
    assert switched == ["0", "1"]
    assert told == ["power cycle of board-1, which may take 60 s to start"]
    assert len(lab.held()) > 0 and transport.doubts() == []
    board.know(board.folder / "id.pub")  # another key than the board has
    transport._way.close()
    failed = subprocess.run(transport.command(["true"]), capture_output=True, text=True, check=False)
    assert "place board-1: " in (error := transport.explain(failed.returncode, failed.stderr)).what
    assert "host key" in error.what, "labgrid's own driver would not look at it"
    transport.close()
    transport.close()
    assert lab.held() == []


@pytest.mark.slow
def test_a_board_that_does_not_come_back(powered):
    """The place is free again, and nothing else is said than why."""
    board, lab, _ = powered
    board.start = lambda: None
    with pytest.raises(
        DeviceError, match=r"(?s)board-1 does not answer 3 s after its power cycle: .*refused"
    ):
        open_transport("labgrid:board-1?power=cycle&boot=3")
    assert lab.held() == []


@pytest.mark.slow
def test_a_place_that_was_lost_is_said(powered):
    _, lab, _ = powered
    transport = open_transport("labgrid:board-1")
    lab.run("-p", "board-1", "release", "--kick")
    assert "others may have used the board" in transport.doubts()[0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        transport.close()
    assert [w.category for w in caught] == [EdgeeffWarning]
