"""`slowdisk.py SHIM MILLISECONDS SCRIPT WORD...`: run a script of Python over a disk that takes its time.

Each fsync and fdatasync of the process, and of those that it starts, is done and takes so much longer. That
is the work of a small library (`slowdisk.c`), which the loader puts before the C library's own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SHIM: Final = "LD_PRELOAD"
_WAIT: Final = "SLOWDISK_MILLISECONDS"


@dataclass(frozen=True)
class SlowDisk:
    """A disk whose syncs take longer."""

    shim: Path
    milliseconds: float

    @property
    def words(self) -> Sequence[str]:
        """What a script of Python is run by to be over this disk."""
        return [__file__, str(self.shim), str(self.milliseconds)]

    def check(self, pid: int) -> None:
        """Raise `SystemExit` when a process is not over it: the loader leaves out what it cannot read."""
        if str(self.shim) not in Path(f"/proc/{pid}/maps").read_text():
            raise SystemExit(f"process {pid} does not run over the slow disk")


@contextmanager
def made(milliseconds: float) -> Iterator[SlowDisk]:
    """A slow disk, as long as the context lasts. Needs gcc."""
    with tempfile.TemporaryDirectory(prefix="slowdisk-") as folder:
        Path(folder).chmod(0o755)  # the database server is another user
        shim = Path(folder) / "slowdisk.so"
        source = Path(__file__).with_suffix(".c")
        flags = ("-shared", "-fPIC", "-O2", "-Wall", "-Werror")
        subprocess.run(["gcc", *flags, "-o", str(shim), str(source), "-ldl"], check=True)
        yield SlowDisk(shim, milliseconds)


def current() -> SlowDisk | None:
    """The slow disk that this process is over."""
    return SlowDisk(Path(os.environ[_SHIM]), float(os.environ[_WAIT])) if _WAIT in os.environ else None


def main(shim: str, milliseconds: str, *words: str) -> None:
    """Become the script."""
    env = {**os.environ, _SHIM: shim, _WAIT: milliseconds}
    os.execve(sys.executable, [sys.executable, *words], env)  # noqa: S606 - without a shell on purpose


if __name__ == "__main__":
    main(*sys.argv[1:])
