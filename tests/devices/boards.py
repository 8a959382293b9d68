"""Boards for tests: real sshd's with keys of their own, on loopback or in network namespaces.

On loopback (``sshd``) nothing but OpenSSH is needed, and no privilege. A ``Board`` is a network namespace
with an address of its own, whose link can be cut or made slow and whose disk can be full: root alone.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/libexec")
CONF = """\
HostKey {folder}/hostkey
AuthorizedKeysFile {folder}/id.pub
PidFile {folder}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowTcpForwarding yes
MaxStartups 100
"""
CLIENT = """\
Host {name}
  HostName {address}
  Port {port}
  User {user}
  IdentityFile {folder}/id
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
  GlobalKnownHostsFile /dev/null
"""


def needs_sshd():
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("OpenSSH's client and server are not installed")


def namespaces() -> str | None:
    """Why boards cannot have networks of their own here; None: they can."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        return "network namespaces need root, ip and unshare"
    name = f"eff-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network namespaces here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return None


def needs_namespaces():
    """Skip, with the reason, where boards cannot have networks of their own."""
    needs_sshd()
    if reason := namespaces():
        pytest.skip(reason)


def key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@dataclass
class Sshd:
    """An sshd and what a client needs for it.

    Args:
        folder: Keys, configuration, and the board's home (``home``); of this one alone.
        address: That it listens on.
        port: Of it.
        inside: What the server is started with: another namespace.
        more: Lines of its configuration.
        environment: Of the commands there.
        house: What its home is called.
    """

    folder: Path
    address: str = "127.0.0.1"
    port: int = 0
    name: str = "board"
    inside: tuple[str, ...] = ()
    more: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    house: str = "home"
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(exist_ok=True)
        self.port = self.port or free_port()
        for name in ("hostkey", "id"):
            if not (self.folder / name).exists():
                key(self.folder / name)
        self.know(self.folder / "hostkey.pub")

    @property
    def home(self) -> Path:
        return self.folder / self.house

    @property
    def seen(self) -> Path:
        """Its home as it is seen from outside."""
        return self.home

    @property
    def config(self) -> Path:
        """The client's configuration; written anew, so that changes of the fields count."""
        path = self.folder / "config"
        path.write_text(
            CLIENT.format(
                name=self.name,
                address=self.address,
                port=self.port,
                user=getpass.getuser(),
                folder=self.folder,
            )
        )
        return path

    def know(self, public: Path) -> None:
        """Have the client know this host key."""
        kind, code, *_ = public.read_text().split()
        where = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        (self.folder / "known").write_text(f"{where} {kind} {code}\n")

    def start(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        environment = {
            "HOME": str(self.home),
            "EDGEEFF_HOME": str(self.home / "edgeeff"),
            "EDGEEFF_LOCK": str(self.folder / "measuring.lock"),
            "PATH": os.environ["PATH"],
            **self.environment,
        }
        said = " ".join(f'"{name}={value}"' for name, value in environment.items())
        (self.folder / "sshd.conf").write_text(
            CONF.format(folder=self.folder)
            + f"Port {self.port}\nListenAddress {self.address}\nSetEnv {said}\n{self.more}"
        )
        assert SSHD is not None
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.inside, SSHD, "-D", "-e", "-f", str(self.folder / "sshd.conf")],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        self.await_answer()

    def await_answer(self) -> None:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        for _ in range(300):
            with socket.socket(family) as probe, suppress(OSError):
                probe.settimeout(1)
                probe.connect((self.address, self.port))
                return
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)
        raise AssertionError("sshd did not start")

    def sessions(self) -> list[int]:
        """The processes of connections: children of the server."""
        assert self.process is not None
        return children(self.process.pid)

    def is_free(self, within: float = 15.0) -> bool:
        """Whether nothing that was started over it runs any more, once it has had its time."""
        deadline = time.monotonic() + within
        while (found := running(f"EDGEEFF_HOME={self.home}")) and time.monotonic() < deadline:
            time.sleep(0.1)
        return not found

    def left(self) -> list[str]:
        """The files below its home that are no part of a whole bundle or of an agent."""
        store = self.seen / "edgeeff"
        kept = re.compile(r"agents/[0-9a-f]{64}\.zip|bundles/[0-9a-f]{64}(\.lock|/.*)")
        found = [path for path in self.seen.rglob("*") if path.is_file()]
        return [
            str(p) for p in found if store not in p.parents or not kept.fullmatch(str(p.relative_to(store)))
        ]

    def stop(self) -> None:
        """End the server and every connection of it, with what runs there."""
        if self.process is None:
            return
        for pid in [*descendants(self.process.pid), self.process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.process.wait()
        self.process = None


def children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def descendants(pid: int) -> list[int]:
    return [pid_ for child in children(pid) for pid_ in (child, *descendants(child))]


def running(mark: str) -> list[int]:
    """The processes whose environment holds this text: those that a board started, whoever adopted them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


@contextmanager
def serving(sshd: Sshd):
    try:
        sshd.start()
        yield sshd
    finally:
        sshd.stop()


@dataclass
class Board(Sshd):
    """A board in a network namespace: ``number`` gives it its addresses.

    Its disk is the machine's, but for its home: ``disk`` bytes of memory.
    """

    number: int = 1
    disk: str = "300m"

    def __post_init__(self):
        self.name = f"b{self.number}"
        # Of this process alone: others may run these tests beside it.
        self.subnet = f"10.{100 + os.getpid() % 100}.{(os.getpid() // 100 + self.number) % 256}"
        self.address, self.port = f"{self.subnet}.2", 22
        self.namespace, self.link = (
            f"eff-{os.getpid()}-{self.number}",
            f"eff{os.getpid() % 100000}h{self.number}",
        )
        mount = 'mount -t tmpfs -o size="$1" tmpfs "$2"; shift 2; exec "$@"'
        self.inside = ("ip", "netns", "exec", self.namespace, "unshare", "-m", "sh", "-c", mount, "sh")
        self.inside += (self.disk, str(self.home))
        super().__post_init__()

    def start(self) -> None:
        there = f"{self.link}b"
        ip("netns", "add", self.namespace)
        ip("link", "add", self.link, "type", "veth", "peer", "name", there, "netns", self.namespace)
        ip("address", "add", f"{self.subnet}.1/24", "dev", self.link)
        ip("link", "set", self.link, "up")
        for words in (f"address add {self.address}/24 dev {there}", f"link set {there} up", "link set lo up"):
            ip("-n", self.namespace, *words.split())
        super().start()

    def stop(self) -> None:
        super().stop()
        for words in (("link", "del", self.link), ("netns", "del", self.namespace)):
            subprocess.run(["ip", *words], check=False)

    @property
    def seen(self) -> Path:
        """Its home, which is mounted for it alone."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root{self.home}")

    def cut(self) -> None:
        """Take its cable out."""
        ip("link", "set", self.link, "down")

    def mend(self) -> None:
        """Put it back in."""
        ip("link", "set", self.link, "up")

    def slow(self, rate: str = "1mbit", latency: str = "400ms") -> None:
        """Make both directions slow."""
        limit = ("root", "tbf", "rate", rate, "burst", "16kb", "latency", latency)
        subprocess.run(["tc", "qdisc", "replace", "dev", self.link, *limit], check=True)
        inside = ["ip", "netns", "exec", self.namespace]
        subprocess.run([*inside, "tc", "qdisc", "replace", "dev", f"{self.link}b", *limit], check=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def without_packages(folder: Path) -> Path:
    """A Python without numpy."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


def path_without_python(folder: Path) -> str:
    """A PATH with a shell and no Python."""
    folder.mkdir()
    for name in ("sh", "cat", "env"):
        program = shutil.which(name)
        assert program is not None
        (folder / name).symlink_to(program)
    return str(folder)
