"""Why ssh failed, from what it printed: one cause, and what to do about it.

OpenSSH ends with 255 for all that is its own, and tells the cause in English on standard error.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from edgeeff.errors import DeviceError

#: The exit status of ssh for all that is its own.
OWN = 255
_LINES = 3
_LINE = 200


@dataclass(frozen=True)
class Cause:
    """Something that goes wrong.

    Args:
        sign: A regular expression of what is printed then.
        what: What it means, behind the board's name.
        mend: What to do; ``{login}`` is the command that a person would try by hand, ``{target}`` host and
            port as known_hosts has them.
    """

    sign: str
    what: str
    mend: str


#: The first that fits is the cause: what is printed last is often only its consequence.
CAUSES = (
    Cause(
        r"Bad configuration option|bad configuration options|Bad owner or permissions|"
        r"Can't open user config|keyword .* extra arguments|[Mm]issing argument",
        "ssh does not take its configuration",
        "correct the file that it names, usually ~/.ssh/config",
    ),
    Cause(
        r"invalid characters|Bad port|Bad number",
        "ssh does not take the host's name",
        "check HostName and Port in your ~/.ssh/config",
    ),
    Cause(
        r"IDENTIFICATION HAS CHANGED|has changed and you have requested strict checking",
        "its host key is not the one that you know: it was installed anew, or another machine answers",
        "find out which, and only then forget the old key: ssh-keygen -R {target}; then {login}",
    ),
    Cause(
        r"REVOKED HOST KEY|is revoked",
        "its host key is revoked",
        "ask who keeps your known hosts which key it should have",
    ),
    Cause(
        r"Host key verification failed|No \S+ host key is known",
        "its host key is not known here",
        "log in once by hand and compare the fingerprint that is shown with the board's own: {login}",
    ),
    Cause(
        r"Could not resolve hostname|Name or service not known|Temporary failure in name resolution",
        "its name cannot be resolved",
        "check the name, or give its address: ssh://user@10.0.0.7, or a Host of your ~/.ssh/config",
    ),
    Cause(
        r"Too many authentication failures",
        "it refused after too many keys were tried",
        "name the one key for it in your ~/.ssh/config: IdentityFile and IdentitiesOnly yes",
    ),
    Cause(
        r"UNPROTECTED PRIVATE KEY|bad permissions",
        "the private key's file can be read by others, so that ssh does not use it",
        "chmod 600 it",
    ),
    Cause(
        r"Permission denied|No more authentication methods",
        "it lets nobody in with the keys that ssh has for it (no password is asked for)",
        "put your public key there (ssh-copy-id), or load the key (ssh-add); then {login} must ask nothing",
    ),
    Cause(
        r"no matching (host key type|key exchange method|cipher|mac)|Unable to negotiate",
        "it and this ssh have no cryptography in common: one of them is old",
        "update the board's sshd, or allow what it offers in your ~/.ssh/config for this host alone",
    ),
    Cause(
        r"administratively prohibited",
        "the jump host does not let connections through",
        "allow TCP forwarding (AllowTcpForwarding) in the jump host's sshd_config",
    ),
    Cause(
        r"Connection refused",
        "nothing listens there (connection refused)",
        "start sshd on the board, or correct the port",
    ),
    Cause(
        r"No route to host|Network is unreachable|Host is down|Network is down",
        "there is no way to it (no route)",
        "is it switched on, and in the same network? {login}",
    ),
    Cause(
        r"timed out|Operation timed out",
        "it does not answer (timed out)",
        "is it switched on, and is the address right? {login}",
    ),
    Cause(
        r"Timeout, server|not responding|Connection reset|Broken pipe|closed by remote host|"
        r"Connection to \S+ closed|mux_client|Control socket|client_loop|Connection closed by|"
        r"kex_exchange_identification|banner line|banner exchange|Disconnected from",
        "the connection was closed or lost",
        "is it still on, and sshd well? Run the same again: {login}",
    ),
)


def explain(name: str, resolved: Mapping[str, str], returncode: int, stderr: str) -> DeviceError:
    """The cause of an ``ssh`` that ended with this.

    Args:
        name: The board, as the user wrote it.
        resolved: What ``ssh -G`` says of it.
        returncode: Exit status of ssh, or of the command there.
        stderr: The end of what was printed.
    """
    said = _last(stderr)
    login = f"ssh {name}"
    if returncode < 0:
        return DeviceError(
            f"{name}: ssh was ended by signal {-returncode} ({signal.strsignal(-returncode)}){said}",
            mend="run the same again",
        )
    if returncode == OWN:
        for cause in CAUSES:
            # Of a shared connection that is lost nothing is said.
            if re.search(cause.sign, stderr) or (cause is CAUSES[-1] and not stderr.strip()):
                target = _target(name, resolved)
                return DeviceError(
                    f"{name}: {cause.what}{said}", mend=cause.mend.format(login=login, target=target)
                )
        return DeviceError(f"{name}: ssh failed{said}", mend=f"try it by hand: {login}")
    if returncode in (126, 127):
        return DeviceError(
            f"{name}: the command to start Python is not there{said}",
            mend="install Python 3.8 or later there, or say in the devices file where it is (python = …)",
        )
    return DeviceError(
        f"{name}: what ran there ended with exit status {returncode}{said}",
        mend=f"its login must run commands and nothing else: {login} python3 -V",
    )


def _target(name: str, resolved: Mapping[str, str]) -> str:
    """Host and port as known_hosts names them, quoted for a shell where that is needed."""
    host = resolved.get("hostkeyalias") or resolved.get("hostname") or name
    port = resolved.get("port", "22")
    return host if port == "22" or resolved.get("hostkeyalias") else f"'[{host}]:{port}'"


def _last(stderr: str) -> str:
    """The last lines that were printed, without what a terminal would obey."""
    clean = "".join(c if c.isprintable() or c == "\n" else "?" for c in stderr.replace("\r", ""))
    lines = [line for line in clean.strip().splitlines() if line.strip() and not line.startswith("@@@")]
    return "".join(f"\n    {line.strip()[:_LINE]}" for line in lines[-_LINES:])
