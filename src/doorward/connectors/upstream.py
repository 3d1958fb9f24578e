"""The one place that speaks to an upstream: fixed origin, one attempt, nothing of the agent's copied.

Requests are built from typed values: a method, path segments that are encoded here, a query and a
JSON body. Answers come back already stripped: known headers only, every text scrubbed.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from yarl import URL

from doorward.connectors.credentials import Credential
from doorward.core import scrub, strictjson
from doorward.core.scrub import Scrubber
from doorward.core.strictjson import Json, JsonObject
from doorward.errors import Code, Refusal

KEPT_HEADERS: Final = frozenset(
    {
        "etag",
        "last-modified",
        "link",
        "retry-after",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-total-count",
    }
)
"""Response headers that mean something to a reader and carry no authority."""

_MAX_HEADER: Final = 2048
_LONG: Final = 64 * 1024
"""Bytes of an answer that is read and stripped aside: megabytes take seconds, in which nobody else's
capability could be spent in time."""
CONNECT_SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request, in typed parts."""

    method: str
    segments: tuple[str, ...]
    """Path below the API's base, decoded; encoded exactly once, here."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the upstream said, stripped."""

    status: int
    headers: Mapping[str, str]
    body: Json
    size: int
    """Bytes as received."""
    readable: bool
    """False when the body was too large, encoded, or not JSON; `body` is None then."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where an upstream's API is and how it wants to be spoken to."""

    base: str
    """URL of the API's root, without a trailing slash."""
    scheme: str
    """Of the Authorization header."""
    accept: str


class Upstream:
    """A client for one origin with one credential."""

    def __init__(
        self,
        dialect: Dialect,
        credential: Credential,
        *,
        tls: Callable[[], ssl.SSLContext],
        seconds: float,
        max_response: int,
        connections: int,
    ) -> None:
        self.dialect = dialect
        self._credential = credential
        self._tls = tls
        self._seconds = seconds
        self._max_response = max_response
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="strip")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=15),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("User-Agent",),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
        self._aside.shutdown(wait=False, cancel_futures=True)

    async def send(self, request: UpstreamRequest, send_before: float) -> Answer:
        """Send once, unless `send_before` (on `time.monotonic`) has passed.

        Raises `Refusal`: `unavailable` when certainly no byte was sent, `outcome_unknown` when one
        may have been and no answer came back.
        """
        secret = self._credential.current()
        headers = {
            "Authorization": f"{self.dialect.scheme} {secret.reveal()}",
            "Accept": self.dialect.accept,
            "Accept-Encoding": "identity",
            "User-Agent": "doorward",
            **({} if request.body is None else {"Content-Type": "application/json"}),
        }
        try:
            async with self._session.request(
                request.method,
                URL(self.dialect.base + target(request), encoded=True),
                headers=headers,
                data=None if request.body is None else _encoded(request.body),
                allow_redirects=False,
                ssl=self._tls(),
                timeout=self._timeout(send_before),
                middlewares=(_Once(send_before),),
            ) as response:
                return await self._read(response, scrub.scrubber([secret]))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _not_sent(f"the upstream cannot be reached ({type(error).__name__})") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _lost(type(error).__name__) from None

    def _timeout(self, send_before: float) -> aiohttp.ClientTimeout:
        connect = min(CONNECT_SECONDS, max(0.001, send_before - time.monotonic()))
        return aiohttp.ClientTimeout(total=self._seconds + connect, connect=connect, ceil_threshold=3600)

    async def _read(self, response: ClientResponse, scrubber: Scrubber) -> Answer:
        data = await self._bounded(response)
        if len(data) <= _LONG:
            body, readable = _stripped(data, response, self._max_response, scrubber)
        else:
            body, readable = await asyncio.get_running_loop().run_in_executor(
                self._aside, _stripped, data, response, self._max_response, scrubber
            )
        headers = {
            name.lower(): scrubber.text(value)
            for name, value in response.headers.items()
            if name.lower() in KEPT_HEADERS and len(value) <= _MAX_HEADER
        }
        return Answer(response.status, headers, body, len(data), readable)

    async def _bounded(self, response: ClientResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        while size <= self._max_response and (part := await response.content.readany()):
            parts.append(part)
            size += len(part)
        if size > self._max_response:
            response.close()
        return b"".join(parts)


def target(request: UpstreamRequest) -> str:
    """Path and query on the wire. Raises `Refusal(arguments_invalid)` for a segment with two readings."""
    for segment in request.segments:
        if segment in {"", ".", ".."} or any(char < " " or char == "\x7f" for char in segment):
            raise Refusal(
                Code.ARGUMENTS_INVALID,
                "a part of the path is empty, a dot segment, or holds a control character",
                allowed="plain names",
            )
    path = "".join("/" + quote(segment, safe="") for segment in request.segments)
    return f"{path}?{urlencode(request.query, quote_via=quote)}" if request.query else path


class _Once:
    """Runs right before each attempt of the client to connect, and lets only a timely first one pass."""

    def __init__(self, send_before: float) -> None:
        self._send_before = send_before
        self._tried = False

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        if self._tried:
            raise _lost("ServerDisconnectedError")
        if time.monotonic() >= self._send_before:
            raise _not_sent("the time to carry it out has passed")
        self._tried = True
        return await handler(request)


def _stripped(data: bytes, response: ClientResponse, limit: int, scrubber: Scrubber) -> tuple[Json, bool]:
    body, readable = _parsed(data, response, limit)
    return scrubber.json(body), readable


def _parsed(data: bytes, response: ClientResponse, limit: int) -> tuple[Json, bool]:
    if not data:
        return None, True
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity" or not (media_type == "application/json" or media_type.endswith("+json")):
        return None, False
    try:
        return strictjson.loads(data, max_bytes=limit), True
    except Refusal:
        return None, False


def _encoded(body: JsonObject) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def _not_sent(detail: str) -> Refusal:
    return Refusal(Code.UNAVAILABLE, f"{detail}; nothing was sent", ask="ask for the action again")


def _lost(cause: str) -> Refusal:
    return Refusal(
        Code.OUTCOME_UNKNOWN,
        f"the upstream gave no answer ({cause}); the action may have happened",
        ask="look whether it happened before asking again",
    )
