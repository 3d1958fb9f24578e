"""The agent decides how much it asks for at once; the door decides how much of it it holds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from waiting import until

from doorward import serving
from doorward.door.seats import SEATS, Seats
from doorward.serving import Request, Route

COMMENT = {"owner": "acme", "repo": "web", "number": 7, "body": "Found it: the hinge."}
ISSUE = "/via/code/repos/acme/web/issues/7"
LARGE = b"x" * (8 * 1024 * 1024)


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [("GET", ISSUE, None), ("POST", "/v1/actions/code/issue.comment", COMMENT)],
    ids=["native", "typed"],
)
async def test_more_actions_at_once_than_there_is_memory_for_are_refused(
    door: Any, method: str, target: str, body: Any
) -> None:
    """Of a burst as many are carried out as there are seats; the broker never hears of the others."""
    door.behind.forge.hold = asyncio.Event()
    burst = [asyncio.ensure_future(door.ask(method, target, body)) for _ in range(SEATS + 4)]
    await until(lambda: sum(each.done() for each in burst) == 4)
    assert (await door.ask("GET", "/v1/task")).status == 200
    door.behind.forge.hold.set()
    replies = await asyncio.gather(*burst)

    refused = [reply.document for reply in replies if reply.status == 429]
    assert [document["code"] for document in refused] == ["rate_limited"] * 4
    assert door.behind.broker.paths().count("/v1/decisions") == SEATS
    assert (await door.ask(method, target, body)).status < 300


async def _large(_: Request) -> web.StreamResponse:
    return web.Response(body=LARGE)


def _ask(port: int) -> Any:
    return asyncio.open_connection("127.0.0.1", port, limit=1024)


async def test_an_answer_that_is_not_read_keeps_its_seat() -> None:
    """Who asks and does not read holds memory all the same, so it counts until it has read."""
    served = serving.app([Route("GET", "/", Seats(1).of(_large))])
    async with serving.listening(served, "127.0.0.1", 0, None, 0.1) as found:
        slow, asking = await _ask(found.port)
        asking.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await slow.readline() == b"HTTP/1.1 200 OK\r\n"

        reader, writer = await _ask(found.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 429 Too Many Requests\r\n"
        writer.close()

        await slow.readuntil(b"\r\n\r\n")
        assert await slow.readexactly(len(LARGE)) == LARGE
        asking.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await slow.readline() == b"HTTP/1.1 200 OK\r\n"
        asking.close()


async def test_who_never_reads_is_hung_up_on() -> None:
    """A seat cannot be kept for ever: the connection is cut, and the seat is free for the next."""
    served = serving.app([Route("GET", "/", Seats(1, send_seconds=0.05).of(_large))])
    async with serving.listening(served, "127.0.0.1", 0, None, 0.1) as found:
        slow, asking = await _ask(found.port)
        asking.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await slow.readline()
        await until(lambda: not found.places.held)

        reader, writer = await _ask(found.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        asking.close()
        writer.close()
