"""A stand-in for an Android device: adb's protocol on a port, a shell of this machine behind it.

No phone and no emulator runs where these tests do. adb itself and its server are the real ones; this is the
other end of the wire: enough of adbd for ``adb connect`` and ``adb shell -T`` (shell_v2), no more.
"""

from __future__ import annotations

import os
import queue
import socket
import struct
import subprocess
import threading
from contextlib import suppress

CNXN, OPEN, OKAY, CLSE, WRTE, AUTH = (
    int.from_bytes(name, "little") for name in (b"CNXN", b"OPEN", b"OKAY", b"CLSE", b"WRTE", b"AUTH")
)
VERSION, LARGEST = 0x01000001, 1 << 18
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)


class Phone:
    """An adbd.

    Args:
        environment: Of the shell's commands.
        authorized: Whether this machine may use it.
    """

    def __init__(self, environment=None, authorized=True):
        self.environment, self.authorized = environment or {}, authorized
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._sockets, self._processes = [], []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listening.close()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for process in self._processes:
            process.kill()
            process.wait()

    def _accept(self):
        with suppress(OSError):
            while True:
                one, _ = self._listening.accept()
                self._sockets.append(one)
                threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, wire):
        sending, streams = threading.Lock(), {}

        def send(command, first, second, data=b""):
            head = struct.pack("<6I", command, first, second, len(data), 0, command ^ 0xFFFFFFFF)
            with sending, suppress(OSError):
                wire.sendall(head + data)

        with suppress(OSError, struct.error):
            while True:
                command, first, second, length, _, _ = struct.unpack("<6I", exactly(wire, 24))
                data = exactly(wire, length)
                if command == CNXN:
                    if self.authorized:
                        banner = b"device::ro.product.name=stand-in;features=shell_v2,cmd"
                        send(CNXN, VERSION, LARGEST, banner)
                    else:
                        send(AUTH, 1, 0, os.urandom(20))
                elif command == OPEN:
                    asked = data.rstrip(b"\0").decode()
                    if asked.startswith("shell,v2"):
                        streams[first] = Shell(self, first, asked.partition(":")[2], send)
                    else:
                        send(CLSE, 0, first)
                elif command == WRTE and second in streams:
                    streams[second].incoming.put(data)
                elif command == OKAY and second in streams:
                    streams[second].ready.release()
                elif command == CLSE and second in streams:
                    streams.pop(second).process.kill()


class Shell:
    """One ``shell_v2`` stream; ids are the same on both sides."""

    def __init__(self, phone, number, line, send):
        self.number, self.send, self.ready, self._fed = number, send, threading.Semaphore(1), bytearray()
        self.process = subprocess.Popen(
            ["sh", "-c", line],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], **phone.environment},
        )
        self.incoming = queue.Queue()
        phone._processes.append(self.process)
        send(OKAY, number, number)
        pipes = ((STDOUT, self.process.stdout), (STDERR, self.process.stderr))
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in pipes]
        for reader in self._readers:
            reader.start()
        threading.Thread(target=self._end, daemon=True).start()
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        """Answers each message when its bytes are handed on: the sender waits for that."""
        while True:
            self._feed(self.incoming.get())
            self.send(OKAY, self.number, self.number)

    def _feed(self, data):
        self._fed += data
        while len(self._fed) >= 5:
            kind, length = struct.unpack("<BI", self._fed[:5])
            if len(self._fed) < 5 + length:
                return
            body = bytes(self._fed[5 : 5 + length])
            del self._fed[: 5 + length]
            with suppress(OSError, ValueError):
                if kind == STDIN:
                    self.process.stdin.write(body)
                    self.process.stdin.flush()
                elif kind == CLOSE_STDIN:
                    self.process.stdin.close()

    def _write(self, kind, body):
        self.ready.acquire()  # one message on its way at a time
        self.send(WRTE, self.number, self.number, struct.pack("<BI", kind, len(body)) + body)

    def _read(self, kind, pipe):
        with suppress(OSError, ValueError):
            while part := os.read(pipe.fileno(), 1 << 15):
                self._write(kind, part)

    def _end(self):
        status = self.process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(OSError):
                pipe.close()
        self._write(EXIT, bytes([status & 255]))
        self.send(CLSE, self.number, self.number)


def exactly(wire, length):
    data = bytearray()
    while len(data) < length:
        part = wire.recv(length - len(data))
        if not part:
            raise OSError("it ended")
        data += part
    return bytes(data)
