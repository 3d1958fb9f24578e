"""Servers that hang, break off or talk nonsense: noticed in bounded time, and tried again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.kube import ApiError, Backoff, Change, ChangeType, Client, Informer, Unreachable
from doorward.kube.access import Access, Credentials
from doorward.kube.resources import CONFIG_MAPS, PODS, Resource

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIST = b'{"metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"a","namespace":"n","uid":"1"}}]}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def whole(body: bytes) -> bytes:
    """An answer with its length."""
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[Client]:
    """A client of a server that does as it likes."""
    tasks: set[asyncio.Task[None]] = set()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    plain = Access(f"http://127.0.0.1:{port}", ssl.create_default_context(), Credentials(None))
    async with Client(plain) as client:
        yield client
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    listening.close()


async def request_line(reader: asyncio.StreamReader) -> str:
    """The first line of the next request; empty when there is none."""
    first = (await reader.readline()).decode()
    while (await reader.readline()).strip():
        pass
    return first


async def test_a_watch_that_fell_silent_is_opened_again() -> None:
    """A half-open connection says nothing: after the silence the watch goes on from where it was."""
    watches: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await request_line(reader):
            if "watch=true" not in line:
                writer.write(whole(LIST))
            else:
                watches.append(line)
                writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
                await asyncio.Event().wait()

    changes: list[Change] = []
    async with server(serve) as client:
        backoff = Backoff(base=0.001, limit=0.001)
        informer = Informer(client, CONFIG_MAPS, "n", changes.append, backoff=backoff, silence=0.05)
        running = asyncio.create_task(informer.run())
        async with asyncio.timeout(10):
            while len(watches) < 3:  # noqa: ASYNC110 - the server has no event to wait for
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert all("resourceVersion=5" in line for line in watches)
    assert [change.type for change in changes] == [ChangeType.PRESENT, ChangeType.SYNCED]


NEWS = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}\n'


async def test_a_watch_knows_when_it_is_behind() -> None:
    """From its first failure until the reopened watch says something; a list alone does not count."""
    refused, again = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await request_line(reader):
            if "watch=true" not in line:
                writer.write(whole(LIST))
            elif not again.is_set():
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                refused.set()
            else:
                writer.write(HEAD + b"Content-Length: 900\r\n\r\n" + NEWS)
                await asyncio.Event().wait()

    async with server(serve) as client:
        informer = Informer(client, CONFIG_MAPS, "n", lambda _: None, backoff=Backoff(0.001, 0.001))
        running, before = asyncio.create_task(informer.run()), informer.behind
        async with asyncio.timeout(10):
            await refused.wait()
            while not (broken := informer.behind):  # noqa: ASYNC110 - the answer is on its way
                await asyncio.sleep(0)
            again.set()
            while after := informer.behind:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert (before, broken > 0, after) == (0.0, True, 0.0)


async def test_a_watch_that_is_not_answered_stays_behind() -> None:
    """Asked for again, while the server has not begun to answer: what was missed has not been told."""
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await request_line(reader):
            if "watch=true" not in line:
                writer.write(whole(LIST))
            elif not asked:
                asked.append(line)
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            else:
                await asyncio.Event().wait()

    async with server(serve) as client:
        informer = Informer(client, CONFIG_MAPS, "n", lambda _: None, backoff=Backoff(0.001, 0.001))
        running = asyncio.create_task(informer.run())
        async with asyncio.timeout(20):
            while informer.behind < 1.5:  # noqa: ASYNC110 - time has to pass
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def listed(version: int, *names: str) -> bytes:
    """A list with objects of these names; the UID is the name and the version."""
    items = ",".join(
        f'{{"metadata":{{"name":"{name}","namespace":"n","uid":"{name}{version}"}}}}' for name in names
    )
    return whole(f'{{"metadata":{{"resourceVersion":"{version}"}},"items":[{items}]}}'.encode())


GONE = b'{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}\n'


async def test_what_was_compacted_away_is_listed_anew() -> None:
    """A 410 in the stream: what is not in the new list has gone, what has another UID was made anew."""
    lists = [listed(5, "stays", "vanishes"), listed(9, "stays", "new")]
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await request_line(reader):
            if "watch=true" not in line:
                writer.write(lists.pop(0))
            elif "resourceVersion=5" in line:
                writer.write(whole(GONE))
            else:
                done.set()
                await asyncio.Event().wait()

    changes: list[Change] = []
    async with server(serve) as client:
        informer = Informer(
            client, CONFIG_MAPS, "n", changes.append, backoff=Backoff(base=0.001, limit=0.001)
        )
        running = asyncio.create_task(informer.run())
        async with asyncio.timeout(10):
            await done.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    told = [(item.type.value, item.object.get("metadata", {}).get("uid", "")) for item in changes]

    assert told == [
        ("present", "stays5"),
        ("present", "vanishes5"),
        ("synced", ""),
        ("gone", "stays5"),
        ("present", "stays9"),
        ("present", "new9"),
        ("gone", "vanishes5"),
        ("synced", ""),
    ]


BROKEN = [
    b"",
    b"nonsense\r\n\r\n",
    whole(b"<html>"),
    HEAD + b"Content-Length: 900\r\n\r\n{",
]


@pytest.mark.parametrize("answer", BROKEN)
async def test_a_broken_answer_is_no_answer(answer: bytes) -> None:
    """Whether the request was carried out is not known, and nothing pretends that it is."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_line(reader)
        writer.write(answer)

    async with server(serve) as client:
        with pytest.raises(Unreachable):
            await client.get(PODS, "p", "n")


async def test_the_server_may_say_how_long_to_wait() -> None:
    """429 with Retry-After is kept."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_line(reader)
        writer.write(b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")

    async with server(serve) as client:
        with pytest.raises(ApiError) as refused:
            await client.get(PODS, "p", "n")

    assert refused.value.transient
    assert refused.value.retry_after == 7.0


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_waits_are_bounded(failures: int, chance: float) -> None:
    """However many failures there were, and whatever the dice say."""
    delay = Backoff(base=0.5, limit=30.0, random=lambda: chance).delay(failures)

    assert 0.0 <= delay <= min(30.0, 0.5 * 2.0 ** min(max(failures - 1, 0), 60))


@given(st.text(), st.text())
def test_a_name_cannot_leave_its_place(namespace: str, name: str) -> None:
    """Whatever is in a name, the path has as many segments as it should."""
    resource = Resource("doorward.dev", "v1alpha1", "agenttasks", "AgentTask")
    try:
        path = resource.path(namespace, name)
    except UnicodeEncodeError:
        return

    assert path.count("/") == 7
    assert not set(path) & set("?#")
