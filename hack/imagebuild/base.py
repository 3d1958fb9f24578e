"""A base image from the distribution's own packages, where no registry can be asked for one.

The packages are installed by debootstrap and only the files of those that Python needs are kept: no shell, no
package manager, no perl. Where Docker answers, the Containerfile's default base is used instead.
"""

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from devcluster.commands import run, say, succeeds
from devcluster.settings import cache
from imagebuild.parts import REPOSITORY

SUITE = "bookworm"
KEPT = (
    "base-files", "media-types", "ca-certificates", "tzdata", "libc6", "libgcc-s1", "gcc-12-base",
    "libstdc++6", "libcrypt1", "libssl3", "zlib1g", "libbz2-1.0", "libexpat1", "libffi8", "liblzma5",
    "libsqlite3-0", "libuuid1", "libtinfo6", "libncursesw6", "libreadline8", "libpython3.11-minimal",
    "libpython3.11-stdlib", "libpython3-stdlib", "python3-minimal", "python3.11-minimal",
    "python3.11", "python3",
)  # fmt: skip
"""Debian packages whose files make the image."""
_MADE = ("etc/ssl/certs", "etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d", "etc/nsswitch.conf")
"""What installation scripts made and no package owns."""
_DROPPED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/pixmaps")
_RECIPE = 2
"""Raised when what is done with the packages changes."""
_PASSWD = "root:x:0:0:root:/:/none\nnonroot:x:65532:65532:nonroot:/nonexistent:/none\n"
_GROUP = "root:x:0:\nnonroot:x:65532:\n"


def reference() -> str:
    """The base image's name; its tag says how it was made."""
    recipe = repr((_RECIPE, SUITE, KEPT, _MADE, _DROPPED, _PASSWD, _GROUP))
    return f"{REPOSITORY}/base:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure() -> str:
    """Make the base image unless it is there; returns its name. Takes about a minute."""
    name = reference()
    if succeeds("buildah", "inspect", "--type", "image", name):
        return name
    say("making the base image")
    work = cache() / "images" / f".base.{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        _bootstrap(work / "root")
        _archive(work / "root", work / "root.tar")
        _commit(work / "root.tar", name)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return name


def _bootstrap(root: Path) -> None:
    run("debootstrap", "--variant=minbase", "--include=python3,ca-certificates", SUITE, root)


def _archive(root: Path, target: Path) -> None:
    """Pack the kept files with times and owners that say nothing, so that two builds are the same."""
    with tarfile.open(target, "w") as archive:
        for path in _wanted(root):
            archive.add(root / path, arcname=path, recursive=False, filter=_anonymous)
        for folder, mode in (
            ("tmp", 0o1777),
            ("proc", 0o555),
            ("sys", 0o555),
            ("dev", 0o755),
            ("run", 0o755),
        ):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        # Where the usual Python images have it: probes name the interpreter by its path.
        link = tarfile.TarInfo("usr/local/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, "/usr/bin/python3"
        archive.addfile(link)


def _wanted(root: Path) -> list[str]:
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(_GROUP)
    names = {"bin", "lib", "lib64", "sbin", "etc/passwd", "etc/group", *_owned(root), *_made(root)}
    kept = (name for name in names if not name.startswith(_DROPPED))
    return sorted(name for name in kept if (root / name).exists() or (root / name).is_symlink())


def _owned(root: Path) -> Iterator[str]:
    listed = run("dpkg-query", f"--admindir={root}/var/lib/dpkg", "--listfiles", *KEPT)
    for line in listed.splitlines():
        name = line.strip("/.")
        # Through /bin and /lib, which are links into /usr: the file is packed under its real name.
        real = f"usr/{name}" if name.startswith(("bin/", "lib/", "lib64/", "sbin/")) else name
        if line.startswith("/") and real and not real.startswith("tmp"):
            yield real


def _made(root: Path) -> Iterator[str]:
    for name in _MADE:
        yield name
        yield from (str(path.relative_to(root)) for path in (root / name).rglob("*"))


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _commit(archive: Path, name: str) -> None:
    container = run("buildah", "from", "scratch").strip()
    try:
        run("buildah", "add", "--quiet", container, archive, "/")
        run("buildah", "config", "--env", "PATH=/usr/bin:/bin", container)
        run("buildah", "commit", "--quiet", "--timestamp", "0", container, name)
    finally:
        run("buildah", "rm", container)
