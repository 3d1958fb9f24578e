"""Upstreams: one that behaves like a forge, and raw ones that do as they are told."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

ROOT = "https://forge.example/api/v1"
"""How the forge calls itself: not by the address it is reached at."""


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Forge:
    """A few routes of a forge over one issue, one file, one pull request and its head."""

    seen: list[Seen] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    checks: dict[str, str] = field(default_factory=dict)
    """Name -> state, of each commit."""
    reviews: list[dict[str, object]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    """Answers wait for it, if there is one."""

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext) -> AsyncIterator[str]:
        """Serve on a free port; gives the URL."""
        server = web.Server(self._answer, access_log=None)
        listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=tls)
        try:
            yield f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        finally:
            listener.close()
            await server.shutdown(0.1)
            await listener.wait_closed()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        self.seen.append(Seen(request.method, request.raw_path, dict(request.headers), body))
        if self.hold is not None:
            await self.hold.wait()
        match request.method, request.raw_path.partition("?")[0].split("/"):
            case "GET", ["", "api", "v1", "repos", "acme", "web", "issues"]:
                more = f'<{ROOT}/repos/acme/web/issues?page=2>; rel="next"'
                return _json([self._issue()], headers={"Link": more, "X-Total-Count": "1"})
            case "GET", ["", "api", "v1", "repos", "acme", "web", "issues", "7"]:
                return _json(self._issue(), headers={"Set-Cookie": "session=secret", "X-Forge": "1"})
            case "POST", ["", "api", "v1", "repos", "acme", "web", "issues", "7", "comments"]:
                self.comments.append(json.loads(body)["body"])
                made = {"id": 40 + len(self.comments), "body": self.comments[-1], "user": {"login": "bot"}}
                return _json({**made, "url": f"{ROOT}/repos/acme/web/issues/comments/41"}, 201)
            case "GET", ["", "api", "v1", "repos", "acme", "web", "contents", "docs", "a%20b.md"]:
                return _json({"type": "file", "encoding": "base64", "content": "aGVsbG8=", "sha": "abc1"})
        return self._review(request.raw_path.partition("?")[0])

    def _review(self, path: str) -> web.Response:
        match path.removeprefix("/api/v1/repos/acme/web/"):
            case "pulls/7":
                return _json({"number": 7, "state": "open", "head": {"sha": "abc1", "ref": "agent/fix"}})
            case "pulls/7/reviews":
                return _json(self.reviews)
            case "commits/abc1/status":
                found = [{"context": name, "status": state} for name, state in self.checks.items()]
                return _json({"sha": "abc1", "statuses": found or None, "total_count": len(found)})
        return _json({"message": "there is no such thing"}, 404)

    def _issue(self) -> dict[str, object]:
        url = f"{ROOT}/repos/acme/web/issues/7"
        return {
            "number": 7,
            "title": "The door squeaks",
            "body": f"see {url}",
            "url": url,
            "comments_url": f"{url}/comments",
            "html_url": "https://forge.example/acme/web/issues/7",
        }


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(value, status=status, headers=headers)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]
"""Gets a connection after the first request's head was read, which is the third argument."""


@asynccontextmanager
async def raw(talk: Talk, tls: ssl.SSLContext) -> AsyncIterator[tuple[str, list[str]]]:
    """An upstream that speaks bytes; gives its URL and the heads of the requests it saw."""
    heads: list[str] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            heads.append(head)
            await talk(reader, writer, head)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()
        await server.wait_closed()


def saying(answer: bytes) -> Talk:
    """An upstream that answers every request with these bytes and hangs up."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
        writer.write(answer)
        await writer.drain()

    return talk


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A well-formed JSON answer."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
