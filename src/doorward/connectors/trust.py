"""Who is trusted: a mounted PEM bundle, followed while it rotates."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from doorward.telemetry import log

Make = Callable[[str], ssl.SSLContext]
"""Builds a client context from PEM text. Raises `ssl.SSLError` or `ValueError` for a bad bundle."""


@dataclass(slots=True)
class Trust:
    """A client context over the file as it is now.

    A new bundle makes a new context, so that an authority that was taken out is not trusted any
    more. A bundle that cannot be read (seen halfway through a rotation) leaves the last good one.
    """

    path: Path
    make: Make
    _stamp: tuple[int, int, int] | None = None
    _context: ssl.SSLContext | None = field(default=None, repr=False)

    def current(self) -> ssl.SSLContext:
        """The context for the next connection. Raises `OSError` or `ValueError` if there never was one."""
        try:
            found = self.path.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                self._context, self._stamp = self.make(self.path.read_text()), stamp
        except (OSError, ValueError) as error:
            if self._context is None:
                raise
            log.get(__name__).warning("bundle not usable yet", path=str(self.path), error=str(error))
        if self._context is None:
            msg = f"{self.path} was never read"
            raise ValueError(msg)
        return self._context


def upstream_context(bundle: str | None) -> ssl.SSLContext:
    """For upstreams: the system's authorities, or those in `bundle` alone.

    Raises `ValueError` for an empty bundle, which the library would read as the system's.
    """
    if bundle is not None and not bundle.strip():
        msg = "the bundle is empty"
        raise ValueError(msg)
    context = ssl.create_default_context(cadata=bundle)
    context.set_alpn_protocols(["http/1.1"])
    return context
