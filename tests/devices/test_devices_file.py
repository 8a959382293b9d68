"""``devices.toml``: what it says, where it is looked for, and one clear error for what is wrong in it."""

from __future__ import annotations

import re

import pytest

from edgeeff.devices import file
from edgeeff.errors import DeviceError, EdgeeffError
from edgeeff.harness.cooling import Cooling

GOOD = """
schema = 1
coordinator = "lab:20408"

[device.orin1]
address = "ssh://nvidia@10.0.0.5:2222"
tags = ["orin", "jp6"]
python = "/usr/bin/python3.10"
cool = "50C"
cool_limit = 60

[device.rack]
address = "labgrid:board=orin"
power_cycle = true

[device.phone]
address = "adb:R58M"
benchmark_model = "tools/benchmark_model"
"""


def write(tmp_path, content):
    path = tmp_path / "devices.toml"
    path.write_text(content, encoding="utf-8")
    return path


def test_what_it_says(tmp_path):
    path = write(tmp_path, GOOD)
    orin, rack, phone = file.read(path).values()
    assert (orin.name, orin.address, orin.tags) == ("orin1", "ssh://nvidia@10.0.0.5:2222", ("orin", "jp6"))
    assert (orin.python, orin.cool) == ("/usr/bin/python3.10", Cooling(50.0, 60.0))
    assert (rack.coordinator, rack.power_cycle, rack.cool) == ("lab:20408", True, None)
    assert phone.benchmark_model == tmp_path / "tools/benchmark_model", "relative to the file"


def device(more="", name="a", address='"ssh://b"'):
    return f"schema = 1\n[device.{name}]\naddress = {address}\n{more}\n"


BAD = {
    "no schema": ('[device.a]\naddress = "ssh://b"\n', "which schema"),
    "newer": ("schema = 2\n", "line 1: schema 2.*\n.*update"),
    "syntax": ("schema = 1\n[device.a\n", r"not TOML.*line 2"),
    "twice": (device() + device()[len("schema = 1") :], r"not TOML.*Cannot declare"),
    "no devices": ("schema = 1\n[device]\n", "line 2: device.*at least 1"),
    "none at all": ("schema = 1\n", "device is missing"),
    "no address": ("schema = 1\n[device.a]\ntags = []\n", "line 2: device.a.address is missing"),
    "typo": (
        device("pyton = 'python3'"),
        "line 4: there is no key 'pyton' in device.a\n.*did you mean python",
    ),
    "a name like an address": (device(name='"ssh://pi@b"'), "line 2: .*'ssh://pi@b' is no name of a device"),
    "a name with spaces": (device(name='"my board"'), "line 2: .*is no name of a device"),
    "an empty name": (device(name='""'), "line 2: .*is no name"),
    "a name that is taken": (device(name="local"), "line 2: .*'local' means something else"),
    "names alike": (device() + device(name="A")[len("schema = 1") :], "a and A differ in capital letters"),
    "no address in it": (device(address='"orin1"'), "line 3: device.a.address: .*is no address"),
    "a line feed": (device(address='"ssh://b\\nc"'), "line 3: .*is no address"),
    "a number": (device(address="3"), "line 3: device.a.address: .*string"),
    "a command": (device('python = "sh -c reboot"'), "line 4: device.a.python: write the path"),
    "an option": (device('python = "-c"'), "line 4: device.a.python"),
    "an option of ssh": (device('ssh_config = "x"'), "line 4: there is no key 'ssh_config'"),
    "a tag": (device('tags = ["a b"]'), "line 4: device.a.tags 1: "),
    "a temperature": (device('cool = "50F"'), "line 4: device.a.cool: '50F' is no temperature"),
    "a limit": (device('cool = "50C"\ncool_limit = 0'), "line 5: device.a.cool_limit: .*greater than 0"),
    "a limit alone": (device("cool_limit = 9"), "device.a.cool_limit without cool"),
    "no switch": (device('power_cycle = "yes"', address='"labgrid:p"'), "line 4: device.a.power_cycle"),
    "idle": (device("power_cycle = true"), "device.a.power_cycle is for addresses labgrid:"),
    "idle, of adb": (device('benchmark_model = "b"'), "device.a.benchmark_model is for addresses adb:"),
    "a coordinator": (
        'schema = 1\ncoordinator = "-x"\n' + device()[11:],
        "line 2: coordinator: write HOST:PORT",
    ),
    "a list": ("schema = 1\n[[device]]\naddress = 'ssh://b'\n", "line 2: device: .*dictionary"),
    "nul": (device(address='"ssh://b\\u0000"'), "line 3: .*is no address"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_in_it(tmp_path, case):
    content, message = BAD[case]
    with pytest.raises(DeviceError) as error:
        file.read(write(tmp_path, content))
    assert re.search(message, str(error.value)), str(error.value)
    assert "devices.toml" in error.value.what


def test_no_text(tmp_path):
    path = tmp_path / "devices.toml"
    path.write_bytes(b"\xff\x00schema")
    with pytest.raises(DeviceError, match=r"devices\.toml"):
        file.read(path)
    with pytest.raises(EdgeeffError):
        file.read(tmp_path)


def test_the_first_that_is_there(tmp_path, monkeypatch):
    """The one that is named, the folder's, the user's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with pytest.raises(DeviceError, match=r"no device is called 'b'(.|\n)*write devices.toml"):
        file.look_up("b")
    own = tmp_path / "config" / "edgeeff"
    own.mkdir(parents=True)
    write(own, device(address='"ssh://own"'))
    assert file.look_up("a").address == "ssh://own"
    write(tmp_path, device(address='"ssh://here"'))
    assert file.look_up("a").address == "ssh://here"
    named = tmp_path / "named.toml"
    named.write_text(device(address='"ssh://named"', name="abc"))
    assert file.place(named, {}) == named
    assert file.place(None, {file.VARIABLE: str(named)}) == named
    with pytest.raises(DeviceError, match=r"names no device 'abd'\n.*did you mean abc"):
        file.look_up("abd", named)
    with pytest.raises(EdgeeffError, match="there is no devices file"):
        file.place(tmp_path / "none.toml")
