"""One HTTP client for every call of the door: nothing from the environment, nothing followed."""

from __future__ import annotations

import ssl
from asyncio import sslproto
from typing import Final

import aiohttp

from doorward.core import strictjson
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal

MAX_ANSWER: Final = 8 * 1024 * 1024
"""Bytes of an answer; connectors bound theirs lower."""

NOT_SENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""Certainly nothing reached the other side."""

LOST: Final = (aiohttp.ClientError, TimeoutError, OSError)
"""No answer came; something may have reached the other side."""

_TLS_BUFFER: Final = 32 * 1024
"""Bytes of the buffer that each TLS connection keeps; two records."""


def spare_memory() -> None:
    """Let TLS connections of this process keep small buffers.

    The event loop gives each of them 256 KiB for its whole life. A door runs in every task pod, its
    answers are small, and its thirty-two connections would cost more than all of its code.
    """
    sslproto.SSLProtocol.max_size = _TLS_BUFFER


def open_session(tls: ssl.SSLContext) -> aiohttp.ClientSession:
    """A pooled client that trusts `tls` alone."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit=32, limit_per_host=16, keepalive_timeout=15),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept-Encoding"),
    )


async def read(response: aiohttp.ClientResponse) -> Json:
    """The whole answer as strict JSON, None when empty. Raises `Refusal(unavailable)` if it is not that."""
    parts: list[bytes] = []
    size = 0
    while size <= MAX_ANSWER and (part := await response.content.readany()):
        parts.append(part)
        size += len(part)
    if size > MAX_ANSWER:
        response.close()
    try:
        return strictjson.loads(b"".join(parts), max_bytes=MAX_ANSWER, max_depth=40) if size else None
    except Refusal as refusal:
        raise Refusal(Code.UNAVAILABLE, f"an answer that cannot be read: {refusal.detail}") from None
