"""The gate below every server, spoken to in raw bytes over a real connection."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from doorward import serving
from doorward.errors import Code, Refusal
from doorward.serving import Limits, Listener, Request, Route

VECTORS = json.loads(Path(__file__, "../../../vectors/http/refused.json").resolve().read_text("utf-8"))


async def echo(request: Request) -> web.StreamResponse:
    return serving.json(
        {"target": request.target, "body": request.body.decode(), "params": dict(request.params)}
    )


async def broken(_: Request) -> web.StreamResponse:
    raise ZeroDivisionError


async def hanging(_: Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


ROUTES = [
    Route("GET", "/v1/thing", echo),
    Route("POST", "/v1/thing", echo),
    Route("GET", "/v1/broken", broken),
    Route("GET", "/v1/hanging", hanging),
    Route("*", "/via/{name}/{rest+}", echo, media_type=None),
]
LIMITS = Limits(body_bytes=64, body_seconds=0.1, handle_seconds=0.1, idle_seconds=0.3, connections_per_peer=4)


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with serving.listening(serving.app(ROUTES, LIMITS), "127.0.0.1", 0, drain_seconds=1) as found:
        yield found


async def talk(listener: Listener, data: bytes) -> bytes:
    """Everything that comes back until the server hangs up or the answer is complete."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 100 " in head:
        head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
    body = await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()
    return head + body


def parts(answer: bytes) -> tuple[int, dict[str, str], Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split(" ")[1]), headers, json.loads(body)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
async def test_what_has_two_readings_is_refused_as_a_problem(
    vector: dict[str, Any], listener: Listener
) -> None:
    """Each vector gets its status and a problem document with a code of the closed list."""
    status, headers, body = parts(await talk(listener, vector["request"].encode("utf-8")))

    assert (status, body["status"]) == (vector["status"], vector["status"])
    assert headers["Content-Type"] == "application/problem+json"
    assert body["code"] == ("unavailable" if status == 503 else "malformed")


async def test_a_plain_request_passes(listener: Listener) -> None:
    """The gate is not simply closed."""
    status, headers, body = parts(
        await talk(
            listener,
            b"POST /v1/thing?a=%2F HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
            b"Content-Type: application/json; charset=UTF-8\r\nAccept: a\r\nAccept: b\r\n\r\n{}",
        )
    )

    assert (status, body) == (200, {"target": "/v1/thing?a=%2F", "body": "{}", "params": {}})
    assert (headers["Server"], headers["Cache-Control"]) == ("doorward", "no-store")


async def test_expect_continue_is_answered_once_the_head_is_accepted(listener: Listener) -> None:
    """Clients that wait for 100 Continue (git, curl) get it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(
        b"POST /v1/thing HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    )
    interim = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"{}")
    final = await reader.readline()
    writer.close()

    assert (interim, final) == (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n")


async def test_places_are_raw_and_the_last_takes_the_rest(listener: Listener) -> None:
    """Nothing is decoded on the way to a handler, so that nothing is decoded twice."""
    _, _, body = parts(await talk(listener, b"GET /via/code/repos/a%20b/c?x HTTP/1.1\r\nHost: a\r\n\r\n"))

    assert body["params"] == {"name": "code", "rest": "repos/a%20b/c"}


async def test_chunked_bodies_are_bounded_where_they_are_read() -> None:
    """A server that takes chunks counts what arrives, since nothing is announced."""
    async with serving.listening(
        serving.app(ROUTES, Limits(body_bytes=8, chunked=True)), "127.0.0.1", 0, drain_seconds=1
    ) as found:
        head = b"POST /via/a/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        small, _, body = parts(await talk(found, head + b"2\r\n{}\r\n0\r\n\r\n"))
        large, _, _ = parts(await talk(found, head + b"9\r\n123456789\r\n0\r\n\r\n"))

    assert (small, body["body"], large) == (200, "{}", 413)


async def test_a_head_that_dribbles_is_hung_up_on(listener: Listener) -> None:
    """Slowloris: the whole head must arrive within the idle time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET /v1/thing HTTP/1.1\r\nHost")

    assert await reader.read() == b""
    writer.close()


async def test_one_peer_cannot_take_every_place(listener: Listener) -> None:
    """The connection beyond the peer's share is closed without an answer; the others go on."""
    held = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(4)]
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    beyond = await reader.read()
    held[0][1].write(b"GET /v1/thing HTTP/1.1\r\nHost: a\r\n\r\n")
    status = await held[0][0].readline()
    for _, other in [*held, (reader, writer)]:
        other.close()

    assert (beyond, status) == (b"", b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "limits",
    [Limits(body_bytes=64, held_bytes_per_peer=100), Limits(body_bytes=64, held_bytes=100)],
    ids=["one address", "everybody"],
)
async def test_bodies_together_are_bounded_by_what_they_announce(limits: Limits) -> None:
    """Who announces bodies and sends nothing holds no more memory than is his, and gives it back."""
    announced = (
        b"POST /v1/thing HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 64\r\n"
    )
    async with serving.listening(serving.app(ROUTES, limits), "127.0.0.1", 0, drain_seconds=1) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(announced + b"Expect: 100-continue\r\n\r\n")
        await reader.readuntil(b"100 Continue\r\n\r\n")

        status, _, problem = parts(await talk(listener, announced + b"\r\n" + b"x" * 64))
        assert (status, problem["code"]) == (429, "rate_limited")

        writer.write(b"x" * 64)
        assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"
        writer.close()
        status, _, _ = parts(await talk(listener, announced + b"\r\n" + b"x" * 64))
        assert status == 200


async def test_who_comes_too_often_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A refusal is a line, except the one that a bucket gives: it would be free to whoever overflows it."""
    caplog.set_level(logging.INFO, "doorward.serving")

    async def refuse(request: Request) -> web.StreamResponse:
        raise Refusal(Code(request.params["code"]), "no")

    routes = [Route("GET", "/{code}", refuse)]
    async with serving.listening(serving.app(routes), "127.0.0.1", 0, None, 0.1) as found:
        for code in (Code.RATE_LIMITED, Code.TASK_ENDED):
            await talk(found, f"GET /{code.value} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    assert [record.message.split(" ")[2] for record in caplog.records] == ["/task_ended"]


async def test_what_is_running_is_finished_before_the_server_ends() -> None:
    """Leaving `listening` drains: the answer under way arrives, new connections are refused."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> web.StreamResponse:
        entered.set()
        await release.wait()
        return serving.empty()

    async with serving.listening(serving.app([Route("GET", "/slow", slow)]), "127.0.0.1", 0) as found:
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await entered.wait()
        asyncio.get_running_loop().call_soon(release.set)
    status = await reader.readline()
    writer.close()

    assert status == b"HTTP/1.1 204 No Content\r\n"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", found.port)


def test_the_compiled_parser_is_in_use() -> None:
    """The parser in Python has had holes of its own (CVE-2024-52304, CVE-2025-53643)."""
    from aiohttp.http import HttpRequestParser  # noqa: PLC0415 - what the server really uses

    assert HttpRequestParser.__module__ == "aiohttp._http_parser"
