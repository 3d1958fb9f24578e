"""The wheelhouse: third-party wheels by hash, fetched once on the host, so that builds need no network."""

import hashlib
import os
import platform
import shutil
import sys
from pathlib import Path

from devcluster.commands import run, say
from devcluster.settings import cache
from imagebuild.parts import ROOT

PYTHON = "3.11"
"""Python of the base image."""
_BUILD_LOCK = Path("requirements/build.lock")
"""pip itself, which runs from its own wheel: no base image needs one."""
_GLIBC = ("2_17", "2_28", "2_34")
"""Wheels for these and older glibc run on the base (bookworm has 2.36)."""


def house(lock: Path) -> Path:
    """The folder with exactly the wheels of one lock; filled on first use."""
    text = (ROOT / lock).read_bytes()
    folder = cache() / "wheels" / f"{lock.stem}-{hashlib.sha256(text).hexdigest()[:12]}-{platform.machine()}"
    if not folder.exists():
        say(f"getting the wheels of {lock}")
        draft = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        _download(lock, draft)
        draft.rename(folder)
    return folder


def pip() -> Path:
    """The wheel of pip."""
    (found,) = house(_BUILD_LOCK).glob("pip-*.whl")
    return found


def _download(lock: Path, target: Path) -> None:
    tags = [f"--platform=manylinux_{tag}_{platform.machine()}" for tag in _GLIBC]
    run(
        _pip_python(), "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
        "--only-binary=:all:", f"--python-version={PYTHON}", f"--platform=manylinux2014_{platform.machine()}",
        *tags, f"--dest={target}", f"--requirement={ROOT / lock}",
    )  # fmt: skip


def _pip_python() -> Path:
    """A Python that has pip: the one uv was installed with, else ours."""
    beside = cache() / "uv" / "bin" / "python"
    return beside if beside.exists() else Path(sys.executable)
