"""ssh:// addresses, and boards behind a real sshd: what reaches them, and each way in which it fails."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeeff.devices import open_transport, split
from edgeeff.devices.kinds import ssh
from edgeeff.errors import DeviceError
from tests.devices.boards import Sshd, free_port, key, path_without_python, serving


@pytest.fixture
def configured(loopback, monkeypatch):
    monkeypatch.setenv(ssh.CONFIGURATION, str(loopback.config))
    return loopback


@contextmanager
def opened(address):
    transport = open_transport(address)
    try:
        yield transport
    finally:
        transport.close()


def run(transport, *argv, send=b""):
    return subprocess.run(transport.command(argv), input=send, capture_output=True, timeout=30, check=False)


def failure(address, *argv):
    """The error of a command there."""
    with opened(address) as transport:
        done = run(transport, *(argv or ("true",)))
        assert done.returncode
        return transport.explain(done.returncode, done.stderr.decode())


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ssh://pi@10.0.0.7:2222", ("10.0.0.7", "pi", 2222)),
        ("ssh://board", ("board", None, None)),
        ("ssh://[fe80::1%eth0]:22/", ("fe80::1%eth0", None, 22)),
        ("ssh://root@[2001:db8::7]", ("2001:db8::7", "root", None)),
        ("ssh://someone@corp.example@b_1.lab.example", ("b_1.lab.example", "someone@corp.example", None)),
    ],
)
def test_addresses_are_read(address, said):
    place = ssh.place(split(address)[1])
    assert (place.host, place.user, place.port) == said
    assert ssh.place(split(str(place))[1]) == place


@pytest.mark.parametrize(
    "address",
    [
        "ssh://-oProxyCommand=id", "ssh://-l@host", "ssh://host:22;id", "ssh://host/;rm", "ssh://host/etc",
        "ssh://host\nProxyCommand id", "ssh://$(id)@host", "ssh://`id`", "ssh://h|id", "ssh://a b", "ssh://",
        "ssh://host:0", "ssh://host:65536", "ssh://host:", "ssh:host", "ssh://user:secret@host", "ssh://[::1",
        "ssh://::1", "ssh://" + "a" * 400, "ssh://" + "a" * 10_000, "ssh://bücher", "ssh://host\u202e",
        "-oProxyCommand=id", "", ":", "nosuch:x", "ssh", "host", "../x:y",
    ],
)  # fmt: skip
def test_hostile_addresses_never_come_to_ssh(address, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")  # an ssh that was started would be missing
    with pytest.raises(DeviceError) as refused:
        open_transport(address)
    assert "there is no ssh" not in str(refused.value) and len(str(refused.value)) < 400


def test_this_machine_is_no_device():
    assert open_transport("local") is None


def test_what_arrives_is_what_was_said(configured):
    """Arguments, bytes and exit status; and the second command goes over the first one's connection."""
    odd = ["it's", 'a "b"', "\\ $HOME `id` !x", "ü\n", "", "*"]
    script = (
        "import os, sys; sys.stdout.buffer.write(os.fsencode(repr(sys.argv[1:])) + sys.stdin.buffer.read())"
    )
    with opened("ssh://board") as transport:
        done = run(transport, sys.executable, "-c", script, *odd, send=bytes(range(256)))
        assert done.stdout == os.fsencode(repr(odd)) + bytes(range(256)), done.stderr
        assert run(transport, "sh", "-c", "exit 7").returncode == 7
        assert len(configured.sessions()) == 1
        (socket_,) = {part for part in transport.command(["true"]) if part.startswith("ControlPath=")}
        folder = Path(socket_.partition("=")[2]).parent
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    transport.close()
    folder.mkdir()
    os.utime(folder, (0, 0))
    open_transport("ssh://board").close()
    assert not folder.exists(), "left by the dead, it is removed by the next"


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "fish", "tcsh"])
def test_any_login_shell_reads_a_command_alike(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    odd = ["it's", '"', "\\", "\\n", "$HOME `id` $(id)", "!x", "a\nb", "ü", "", "~", "%d", "{a,b}"]
    line = ssh.portable([sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", *odd])
    done = subprocess.run([shell, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == ascii(odd) + "\n"


def test_the_users_configuration_is_used_and_what_a_pipe_cannot_bear_is_not(loopback, monkeypatch, tmp_path):
    """A jump host, a terminal and a command that somebody wanted for himself."""
    config = (
        loopback.config.read_text()
        + f"  RequestTTY force\n  RemoteCommand htop\n  LocalForward {free_port()} x:1\n"
    )
    config += config.replace("Host board", "Host behind\n  ProxyJump board")
    (tmp_path / "config").write_text(config)
    monkeypatch.setenv(ssh.CONFIGURATION, str(tmp_path / "config"))
    with opened("ssh://behind") as transport:
        done = run(transport, "cat", send=b"\x04\r\n\x00")
        assert (done.stdout, done.returncode) == (b"\x04\r\n\x00", 0), done.stderr


def test_an_open_connection_of_the_user_is_shared_and_left_open(loopback, monkeypatch, tmp_path):
    socket_ = f"/tmp/eff-test-{os.getpid()}"
    (tmp_path / "config").write_text(loopback.config.read_text() + f"  ControlPath {socket_}\n")
    monkeypatch.setenv(ssh.CONFIGURATION, str(tmp_path / "config"))
    by_hand = ["ssh", "-F", str(tmp_path / "config")]
    subprocess.run([*by_hand, "-fNM", "board"], check=True, stderr=subprocess.DEVNULL)
    try:
        connections = loopback.sessions()
        with opened("ssh://board") as transport:
            assert run(transport, "true").returncode == 0
            assert loopback.sessions() == connections
        subprocess.run([*by_hand, "-O", "check", "board"], check=True, capture_output=True)
    finally:
        subprocess.run([*by_hand, "-O", "exit", "board"], check=False, capture_output=True)


def test_a_host_key_that_is_unknown_or_changed(configured, tmp_path):
    known = configured.folder / "known"
    saved = known.read_text()
    try:
        known.write_text("")
        assert "not known here" in failure("ssh://board").what
        assert known.read_text() == "", "nothing is learned without being asked for"
        key(tmp_path / "other")
        configured.know(tmp_path / "other.pub")
        error = failure("ssh://board")
        assert "not the one that you know" in error.what
        assert f"ssh-keygen -R '[127.0.0.1]:{configured.port}'" in error.mend
    finally:
        known.write_text(saved)


def test_whoever_has_no_key_is_not_let_in(configured, monkeypatch, tmp_path):
    key(tmp_path / "other")
    text = configured.config.read_text().replace(f"{configured.folder}/id\n", f"{tmp_path}/other\n")
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv(ssh.CONFIGURATION, str(tmp_path / "config"))
    assert "lets nobody in" in failure("ssh://board").what


def test_a_board_that_is_not_there(configured, monkeypatch):
    assert "cannot be resolved" in failure("ssh://nosuch.invalid").what
    port = free_port()
    assert "nothing listens there" in failure(f"ssh://127.0.0.1:{port}").what
    with socket.socket() as silent:  # it takes connections and says nothing, like a port of another program
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        text = configured.config.read_text().replace(str(configured.port), str(silent.getsockname()[1]))
        (configured.folder / "silent").write_text(text + "  ConnectTimeout 1\n")
        monkeypatch.setenv(ssh.CONFIGURATION, str(configured.folder / "silent"))
        assert "timed out" in failure("ssh://board").what


def test_a_port_of_something_else(configured, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def answer():
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        error = failure(f"ssh://127.0.0.1:{other.getsockname()[1]}")
    assert "closed or lost" in error.what


def test_a_jump_host_that_cannot_reach_it(configured, monkeypatch, tmp_path):
    (tmp_path / "config").write_text(
        configured.config.read_text()
        + f"Host behind\n  HostName 127.0.0.1\n  Port {free_port()}\n  ProxyJump board\n"
    )
    monkeypatch.setenv(ssh.CONFIGURATION, str(tmp_path / "config"))
    assert "nothing listens there" in failure("ssh://behind").what


def test_a_configuration_that_ssh_does_not_take(monkeypatch, tmp_path):
    (tmp_path / "config").write_text("Bogus yes\n")
    monkeypatch.setenv(ssh.CONFIGURATION, str(tmp_path / "config"))
    with pytest.raises(DeviceError, match="does not take its configuration") as refused:
        open_transport("ssh://board")
    assert "config: line 1" in str(refused.value)
    monkeypatch.setenv(ssh.CONFIGURATION, str(tmp_path / "nosuch"))
    with pytest.raises(DeviceError, match="is no file"):
        open_transport("ssh://board")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(ssh.CONFIGURATION)
    with pytest.raises(DeviceError, match="there is no ssh on this machine"):
        open_transport("ssh://board")


def test_a_board_without_python(tmp_path, monkeypatch):
    path = path_without_python(tmp_path / "bin")
    with serving(Sshd(tmp_path / "bare", environment={"PATH": path})) as bare:
        monkeypatch.setenv(ssh.CONFIGURATION, str(bare.config))
        error = failure("ssh://board", "python3", "-c", "pass")
    assert "the command to start Python is not there" in error.what and "python3" in error.what


def test_what_a_board_prints_cannot_drive_the_terminal():
    error = ssh.Ssh.explain(
        _place(), 255, "\x1b[2Jx\x07\nssh: connect to host h port 22: Connection refused\r\n"
    )
    assert "nothing listens" in str(error) and "\x1b" not in str(error) and "\x07" not in str(error)


def _place():
    found = object.__new__(ssh.Ssh)
    found.place, found.resolved = ssh.Place("h"), {}
    return found


def test_the_command_can_be_read_by_a_person(configured):
    with opened("ssh://board") as transport:
        shown = shlex.join(transport.command(["python3", "-V"]))
    assert shown.endswith("-- board 'exec sh -c '\"'\"'eval \"$(printf %b \"exec python3 -V\")\"'\"'\"''")
