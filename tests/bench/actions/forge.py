"""`forge.py CERTIFICATE KEY`: a forge that answers at once, over TLS, with what Gitea says to a new comment.

Prints its port. GET anything tells how many comments it was given.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from lines import Message, split
from untilended import until_ended

from doorward.serving import tls_context

_ROOT: Final = "https://forge.example"
_USER: Final = {
    "id": 7,
    "login": "bot",
    "login_name": "",
    "source_id": 0,
    "full_name": "",
    "email": "bot@noreply.forge.example",
    "avatar_url": f"{_ROOT}/avatars/7",
    "html_url": f"{_ROOT}/bot",
    "language": "",
    "is_admin": False,
    "last_login": "0001-01-01T00:00:00Z",
    "created": "2026-11-01T10:00:00Z",
    "restricted": False,
    "active": False,
    "visibility": "public",
    "username": "bot",
}
_TIME: Final = "2026-11-21T10:00:00Z"


class Forge(asyncio.Protocol):
    """One connection."""

    comments = 0

    def __init__(self) -> None:
        self._data = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._data += data
        while (found := split(self._data)) is not None:
            message, self._data = found
            assert self._transport is not None
            self._transport.write(_answer(message))


def _answer(message: Message) -> bytes:
    if message.head.startswith(b"GET "):
        return _said(200, {"comments": Forge.comments})
    Forge.comments += 1
    number, page = Forge.comments, f"{_ROOT}/acme/web/issues/7"
    comment = {
        "id": number,
        "html_url": f"{page}#issuecomment-{number}",
        "pull_request_url": "",
        "issue_url": page,
        "user": _USER,
        "original_author": "",
        "original_author_id": 0,
        "body": json.loads(message.body)["body"],
        "assets": [],
        "created_at": _TIME,
        "updated_at": _TIME,
    }
    return _said(201, comment)


def _said(status: int, document: object) -> bytes:
    body = json.dumps(document, separators=(",", ":")).encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json;charset=utf-8\r\n"
    return f"{head}X-Total-Count: 1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def main(certificate: str, key: str) -> None:
    """Serve until standard input ends."""
    tls = tls_context(Path(certificate), Path(key)).context
    server = await asyncio.get_running_loop().create_server(Forge, "127.0.0.1", 0, ssl=tls)
    await until_ended(server.sockets[0].getsockname()[1])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
