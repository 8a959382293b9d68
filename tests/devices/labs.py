"""A real labgrid coordinator and exporter on loopback ports of their own, and runs beside them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgeeff.devices.lab.client import Client, Identity

BIN = Path(sys.executable).parent

#: What a run does that holds a place until it is told to end: it prints what it got, or why not.
RUN = """
import json, sys
from edgeeff.devices.lab.claim import Claim, Wanted
from edgeeff.devices.lab.client import find
from edgeeff.errors import EdgeeffError
said = json.loads(sys.argv[1])
try:
    claim = Claim(find(said.pop("coordinator")), Wanted(**said), lambda text: print(text, flush=True))
except EdgeeffError as error:
    print(type(error).__name__, error, flush=True)
    sys.exit(2)
print("got", claim.place, flush=True)
try:
    sys.stdin.readline()
finally:
    print("released", claim.close(), flush=True)
"""


@dataclass
class Lab:
    """Places ``board-1`` … with the tag ``board=orin``, each with an address of this machine."""

    folder: Path
    ports: tuple[int, ...]
    power: str = ""
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    def __post_init__(self):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        places = exported = ""
        for number, port in enumerate(self.ports, 1):
            places += (
                f"board-{number}:\n  aliases: [b{number}]\n  comment: ''\n"
                f"  tags: {{board: orin, slot: s{number}}}\n  matches:\n"
                f"  - {{exporter: lab1, group: group-{number}, cls: '*', name: null, rename: null}}\n"
                "  created: 1.0\n  changed: 1.0\n"
            )
            exported += (
                f"group-{number}:\n  NetworkService:\n    address: 127.0.0.1\n    username: root\n"
                f"    port: {port}\n"
            )
            if self.power:
                exported += (
                    "  NetworkPowerPort:\n    model: simplerest\n    index: 1\n"
                    f"    host: '{self.power}/{{index}}/{{value}}'\n"
                )
        (self.folder / "places.yaml").write_text(places)
        (self.folder / "exported.yaml").write_text(exported)
        self.start_coordinator()
        self.start_exporter()

    def start_coordinator(self):
        self._start("coordinator", "labgrid-coordinator", "-l", self.address)
        until(lambda: answers(self.port), 30)

    def start_exporter(self):
        command = ("labgrid-exporter", "-c", self.address, "-n", "lab1", "--hostname", "127.0.0.1")
        self._start("exporter", *command, "exported.yaml")
        groups = [f"lab1/group-{number}/" for number, _ in enumerate(self.ports, 1)]
        until(lambda: all(group in self.run("resources") for group in groups), 30)

    def _start(self, name, program, *arguments):
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [str(BIN / program), *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def client(self, user="watcher"):
        return Client(str(BIN / "labgrid-client"), self.address, Identity("test", user))

    def run(self, *arguments):
        return self.client().run(*arguments)

    def held(self):
        """Who holds what, and who waits: nothing is left where this is empty."""
        who = self.run("who").splitlines()[1:]
        return who + [line for line in self.run("reservations").splitlines() if "owner:" in line]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def answers(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(holds, seconds, pause=0.2):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(pause)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("LG_COORDINATOR", raising=False)
    folder = tmp_path / "lab"
    folder.mkdir()
    made = Lab(folder, (2201, 2202))
    yield made
    for name in list(made.processes):
        made.end(name)


@pytest.fixture
def runs():
    """Starts runs that hold a place; none outlives the test."""
    started = []

    def start(lab, **wanted):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, json.dumps({"coordinator": lab.address, **wanted})],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
