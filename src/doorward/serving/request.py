"""What a handler is given, and what a server promises about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from aiohttp import web
from multidict import CIMultiDictProxy

from doorward.core import strictjson
from doorward.core.strictjson import Json

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one server. The defaults are for parts of ours that talk to each other."""

    body_bytes: int = 1024 * 1024
    """Largest body; a larger one is refused whole (413), never read in part."""
    body_seconds: float = 10.0
    """Time for the whole body to arrive."""
    idle_seconds: float = 30.0
    """Time for a request's head to arrive, and for a kept connection to stay idle."""
    handle_seconds: float = 60.0
    """Time for a handler to answer."""
    connections: int = 2000
    connections_per_peer: int = 64
    """Connections from one address, so that one pod cannot take everybody's place."""
    held_bytes: int = 64 * 1024 * 1024
    """Bytes of all bodies that are being read or worked on; what comes beyond is refused (429)."""
    held_bytes_per_peer: int = 8 * 1024 * 1024
    """The same for one address, so that one pod cannot take everybody's memory. Not below `body_bytes`."""
    chunked: bool = False
    """Whether bodies without Content-Length are read. They carry extensions and trailers that get lost."""
    encodings: frozenset[str] = frozenset()
    """Content encodings that may arrive; the handler gets the bytes as they came."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request that passed the gate, its body read completely."""

    method: str
    target: str
    """Path with query exactly as on the request line; what a proof signs."""
    params: Mapping[str, str]
    """Values of the route's `{places}`, raw: percent-encoding is not undone."""
    headers: CIMultiDictProxy[str]
    body: bytes
    peer: str
    """Address of the other end of the connection, IPv4-mapped ones as IPv4. Headers have no say."""
    transport: web.BaseRequest
    """The framework's request, for answers that stream."""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The raw query, empty when there is none."""
        return self.target.partition("?")[2]

    def json(self) -> dict[str, Json]:
        """The body as a strict JSON object. Raises `Refusal(malformed)`."""
        return strictjson.load_object(self.body, max_bytes=len(self.body))


Handler: TypeAlias = Callable[[Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """Method and path of a handler.

    A path segment `{name}` takes one segment, a last `{name+}` the rest of the path (at least one
    character). The method `*` takes every method that the gate lets through.
    """

    method: str
    path: str
    handler: Handler
    media_type: str | None = JSON
    """What a body must be; None for anything."""
    segments: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(self.path.split("/")[1:]))
