"""The signing keys on the broker's own volume, made at the first start, never shipped.

Each file is named for the second it was made in. A new key is published first and signs ten minutes
later, when every connector has fetched it; an old one is published until the last token it signed has
long expired. One more key signs epochs only and is never replaced.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from doorward.core.clock import Clock
from doorward.errors import ConfigError
from doorward.telemetry import log
from doorward.tokens import keys as signing
from doorward.tokens.keys import SigningKeys

PUBLISHED_SECONDS: Final = 600
"""How long a key is published before it signs."""
RETIRED_SECONDS: Final = 86_400
"""How long a key is published after a newer one began to sign."""
_DAY: Final = 86_400
_LOG: Final = log.get(__name__)


class KeyRing:
    """Keys in one directory."""

    def __init__(self, directory: Path, days: int, clock: Clock, checkpoint: Path | None = None) -> None:
        """Make what is missing. Raises `ConfigError` when the directory cannot be used.

        `checkpoint` is the file of the key that signs epochs, where several brokers share it.
        """
        self._directory = directory
        self._shared = checkpoint
        self._others: Mapping[str, Ed25519PublicKey] = {}
        self._days = days
        self._clock = clock
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.checkpoint = self._checkpoint()
            self.own = self.refresh()
        except (OSError, ValueError) as error:
            raise ConfigError(f"DOORWARD_KEYS: {directory}: {error}") from error

    @property
    def keys(self) -> SigningKeys:
        """Those that sign here, and the public ones of the other brokers."""
        return self._all

    def learn(self, others: Mapping[str, Ed25519PublicKey]) -> None:
        """Take over what the other brokers sign with; what they do not say any more is forgotten."""
        self._others = others
        self._all = replace(self.own, others=others)

    def refresh(self) -> SigningKeys:
        """Make a new key when the newest is too old, drop those that are over, and give the rest."""
        now = int(self._clock())
        made = self._made()
        if not made or now - made[-1] >= self._days * _DAY:
            _write(self._path(now), signing.generate())
            made.append(now)
        order = _order(made, now)
        for over in set(made) - set(order):
            self._path(over).unlink()
        self.own = signing.load([self._path(at).read_bytes() for at in order])
        self.learn(self._others)
        return self.own

    def _made(self) -> list[int]:
        return sorted(int(path.stem) for path in self._directory.glob("[0-9]*.pem"))

    def _path(self, made: int) -> Path:
        return self._directory / f"{made}.pem"

    def _checkpoint(self) -> SigningKeys:
        path = self._shared or self._directory / "checkpoint.pem"
        if self._shared is None and not path.exists():
            _write(path, signing.generate())
        return signing.load([path.read_bytes()])


def _order(made: list[int], now: int) -> list[int]:
    """The key that signs, then those that are only published. Pure."""
    ready = [at for at in made if at <= now - PUBLISHED_SECONDS]
    current = ready[-1] if ready else made[0]
    waiting = [at for at in made if at > current]
    successor = dict(itertools.pairwise(made))
    retired = [
        at for at in made if at < current and now < successor[at] + PUBLISHED_SECONDS + RETIRED_SECONDS
    ]
    return [current, *waiting, *retired]


def _write(path: Path, pem: bytes) -> None:
    """Write durably and whole, readable by us alone."""
    half = path.with_suffix(".new")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    half.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    _LOG.info("a key was made", file=path.name)
