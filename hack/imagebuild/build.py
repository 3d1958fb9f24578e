"""Building: gather what goes in, name the image after it, build only what has no image yet."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcluster.commands import run, say, succeeds
from devcluster.settings import cache
from imagebuild import base, containerfile, wheels
from imagebuild.parts import REPOSITORY, ROOT, Part

_FILE_MODE = 0o644
_KEPT = 4
"""Builds of a part that stay in the cache."""


@dataclass(frozen=True)
class Image:
    """One image as the cluster will know it."""

    part: str
    tag: str
    """First twelve hexadecimal digits of the hash over everything that went in."""

    @property
    def repository(self) -> str:
        """The name without its tag."""
        return f"{REPOSITORY}/{self.part}"

    @property
    def reference(self) -> str:
        """The name with its tag."""
        return f"{self.repository}:{self.tag}"

    @property
    def archive(self) -> Path:
        """The image as a docker-archive in the cache."""
        return cache() / "images" / f"{self.part}-{self.tag}.tar"


def docker() -> bool:
    """Whether a Docker engine answers; without one, buildah builds."""
    return shutil.which("docker") is not None and succeeds("docker", "info")


@contextmanager
def planned(part: Part) -> Iterator[tuple[Image, Path]]:
    """The build context of one part, there for as long as this lasts, and the name of its image."""
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"context-{part.name}-", dir=cache()) as folder:
        context = Path(folder)
        _fill(context, part, containerfile.needed(containerfile.PATH.read_text(), part.name))
        yield Image(part.name, _digest(context)), context


def plan(part: Part) -> Image:
    """The image that building this part now would make."""
    with planned(part) as (image, _):
        return image


def _fill(context: Path, part: Part, text: str) -> None:
    (context / "Containerfile").write_text(text)
    for source in containerfile.sources(text):
        if source.parts[0] == "wheels":
            _gather(wheels.house(part.lock), context / "wheels")
        elif source.parts[0] == "tools":
            _gather(wheels.pip(), context / "tools" / "pip.whl")
        else:
            _gather(ROOT / source, context / source)


def _gather(source: Path, target: Path) -> None:
    if source.is_dir():
        for entry in sorted(source.iterdir()):
            if entry.name != "__pycache__":
                _gather(entry, target / entry.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_relative_to(cache()):
        target.hardlink_to(source)
        return
    shutil.copyfile(source, target)
    target.chmod(_FILE_MODE)


def _digest(context: Path) -> str:
    digest = hashlib.sha256(b"" if docker() else base.reference().encode())
    for path in sorted(context.rglob("*")):
        if path.is_file():
            inside = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(context)} {inside}\n".encode())
    return digest.hexdigest()[:12]


def build(part: Part) -> Image:
    """Build one image unless its archive is there. Raises `CommandError` with the builder's last words."""
    with planned(part) as (image, context):
        if not image.archive.exists():
            say(f"building {image.reference}")
            image.archive.parent.mkdir(parents=True, exist_ok=True)
            draft = image.archive.with_suffix(f".{os.getpid()}")
            (_with_docker if docker() else _with_buildah)(image, context, draft)
            draft.replace(image.archive)
            _forget(image)
    return image


def _forget(image: Image) -> None:
    """Remove all but the newest builds of a part; each is as large as an image."""
    builds = sorted(image.archive.parent.glob(f"{image.part}-*.tar"), key=lambda path: path.stat().st_mtime)
    for old in builds[:-_KEPT]:
        reference = Image(image.part, old.stem.removeprefix(f"{image.part}-")).reference
        old.unlink()
        run(*(["docker"] if docker() else ["buildah"]), "rmi", reference, check=False)


def _with_docker(image: Image, context: Path, archive: Path) -> None:
    file = context / "Containerfile"
    run("docker", "build", "--quiet", f"--target={image.part}", "-t", image.reference, "-f", file, context)
    run("docker", "save", "-o", archive, image.reference)


def _with_buildah(image: Image, context: Path, archive: Path) -> None:
    run(
        "buildah", "bud", "--quiet", "--layers", "--isolation=chroot", "--timestamp=0", "--pull-never",
        f"--target={image.part}", f"--build-arg=BASE={base.ensure()}", "-t", image.reference,
        "-f", context / "Containerfile", context,
    )  # fmt: skip
    run("buildah", "push", "--quiet", image.reference, f"docker-archive:{archive}:{image.reference}")
