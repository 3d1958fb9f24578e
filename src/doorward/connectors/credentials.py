"""The credential of a connector: a mounted file, read when it changes, never copied anywhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from doorward.core.redact import Secret
from doorward.errors import Code, ConfigError, Refusal

_Stamp = tuple[int, int, int]


@dataclass(slots=True)
class Credential:
    """Follows the file, so that rotating the Secret needs no restart."""

    path: Path
    _stamp: _Stamp | None = field(default=None, repr=False)
    _value: Secret | None = field(default=None, repr=False)

    def current(self) -> Secret:
        """The credential as it is now. Raises `Refusal(unavailable)` when the file gives none."""
        try:
            stamp = _stamp(self.path)
            if self._value is None or stamp != self._stamp:
                self._value, self._stamp = Secret(_read(self.path)), stamp
        except (OSError, ValueError):
            raise Refusal(
                Code.UNAVAILABLE,
                "the connector has no usable credential",
                ask="the connector's owner must fill the mounted Secret",
            ) from None
        return self._value


def load(path: Path) -> Credential:
    """The credential at `path`. Raises `ConfigError` when there is none to start with."""
    credential = Credential(path)
    try:
        credential.current()
    except Refusal:
        msg = f"{path}: no readable credential; mount the upstream's token there as one line"
        raise ConfigError(msg) from None
    return credential


def _stamp(path: Path) -> _Stamp:
    found = path.stat()
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _read(path: Path) -> str:
    text = path.read_text("ascii").strip()
    if not text or any(not "!" <= char <= "~" for char in text):
        msg = "a credential is one printable word"
        raise ValueError(msg)
    return text
