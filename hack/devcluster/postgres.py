"""A PostgreSQL server for tests and benchmarks: a folder of its own, a unix socket, no port, never root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from devcluster.commands import CommandError, run
from devcluster.wait import until

_DEBIAN = Path("/usr/lib/postgresql")
_SETTINGS = (
    "listen_addresses=",
    "shared_buffers=32MB",
    "max_connections=60",
    "autovacuum=off",
    "log_min_messages=warning",
)
"""Durability is left as it comes: the ledger refuses a server that does not wait for its disk."""


class ServerEndedError(Exception):
    """The server ended by itself: waiting longer would not help."""


@dataclass
class Server:
    """A server that was made here."""

    folder: Path
    """Its data, its log and its socket."""
    settings: dict[str, str] = field(default_factory=dict)
    """Settings of its own, from the next start on."""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def url(self, database: str = "postgres") -> str:
        """Where a database of it is."""
        return f"postgresql://doorward@/{database}?host={self.folder}"

    def start(self, seconds: float = 30) -> None:
        """Start, and wait until it answers."""
        own = [f"{name}={value}" for name, value in self.settings.items()]
        flags = [item for setting in (*_SETTINGS, *own) for item in ("-c", setting)]
        argv = [program("postgres"), "-D", f"{self.folder}/data", "-k", str(self.folder), *flags]
        # A killed test run must not leave servers behind. The server takes the signal as "end at once".
        bound = ["setpriv", "--pdeathsig", "QUIT", "--"] if shutil.which("setpriv") else []
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_become(), *bound, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self._ready, f"PostgreSQL to answer; its log is {self.folder}/log", seconds)

    def keep(self, name: str, content: bytes) -> Path:
        """A file that the server alone can read, as it demands of keys."""
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        number = _account()
        if number is not None:
            os.chown(path, number, number)
        return path

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it, by default as an administrator would; what it holds stays. May be called again."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None

    def remove(self) -> None:
        """End it and remove what it holds."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ready(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise ServerEndedError(f"PostgreSQL ended at once:\n{(self.folder / 'log').read_text()[-2000:]}")
        asked = [program("pg_isready"), "-q", "-h", str(self.folder), "-U", "doorward", "-d", "postgres"]
        return subprocess.run(asked, check=False).returncode == 0


def make() -> Server:
    """A new server, running. Raises `CommandError` where PostgreSQL is not installed."""
    folder = Path(tempfile.mkdtemp(prefix="doorward-postgres-"))
    number = _account()
    if number is not None:
        os.chown(folder, number, number)
    flags = ("--username=doorward", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
    server = Server(folder)
    try:
        run(*_become(), program("initdb"), "-D", folder / "data", *flags)
        server.start()
    except BaseException:
        server.remove()
        raise
    return server


def program(name: str) -> str:
    """A program of the newest PostgreSQL there is; Debian keeps them off PATH."""
    found = [path for path in _DEBIAN.glob(f"*/bin/{name}") if path.parts[-3].isdecimal()]
    if found:
        return str(max(found, key=lambda path: int(path.parts[-3])))
    if elsewhere := shutil.which(name):
        return elsewhere
    raise CommandError(f"{name} is missing; on Debian it is in the package postgresql")


def _account() -> int | None:
    """The user to become: the server refuses to run as root."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def _become() -> list[str]:
    number = _account()
    return ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", "--"] if number else []
