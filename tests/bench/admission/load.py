"""Load as API servers make it: HTTP/1.1 over TLS, connections kept, every answer read and checked."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from questions import uid_of


@dataclass
class Tally:
    """What came back, and after how many seconds each."""

    seconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    elapsed: float = 0.0


@dataclass(frozen=True)
class Question:
    """One request, ready to be sent, and what its answer must carry."""

    uid: str
    sent: bytes

    @classmethod
    def of(cls, review: bytes) -> Question:
        """The request that an API server makes of a review."""
        head = (
            "POST /v1/validate-pods?timeout=3s HTTP/1.1\r\n"
            "Host: doorward-admission.doorward-system.svc:443\r\n"
            f"User-Agent: kube-apiserver-admission\r\nContent-Length: {len(review)}\r\n"
            "Accept: application/json, */*\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n"
        )
        return cls(uid_of(review), head.encode() + review)


class Connection:
    """One connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, port: int, tls: ssl.SSLContext) -> Connection:
        """A new connection to this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))

    async def ask(self, question: Question) -> str:
        """`200 allowed`, `200 denied`, another status, or `200 astray` when it answers another question."""
        self._writer.write(question.sent)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = head.split(b" ", 2)[1].decode()
        size = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        body = await self._reader.readexactly(size)
        if status != "200":
            return status
        response = json.loads(body)["response"]
        if response["uid"] != question.uid:
            return "200 astray"
        return "200 allowed" if response["allowed"] is True else "200 denied"

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@dataclass(frozen=True)
class Target:
    """A server, and the connections to it."""

    connections: Sequence[Connection]

    @classmethod
    async def at(cls, port: int, tls: ssl.SSLContext, count: int) -> Target:
        """Open `count` connections."""
        return cls([await Connection.to(port, tls) for _ in range(count)])

    def close(self) -> None:
        """Hang up everywhere."""
        for connection in self.connections:
            connection.close()


async def closed(target: Target, questions: Sequence[Question], requests: int) -> Tally:
    """Each connection asks again as soon as it is answered, until `requests` have been asked in all."""
    tally, clock = Tally(), asyncio.get_running_loop().time
    waiting = iter(range(requests))

    async def ask(connection: Connection) -> None:
        for number in waiting:
            begun = clock()
            await _counted(connection, questions[number % len(questions)], tally, begun, clock)

    begun = clock()
    await asyncio.gather(*(ask(connection) for connection in target.connections))
    tally.elapsed = clock() - begun
    return tally


async def opened(
    target: Target, questions: Sequence[Question], requests: int, rate: float, *, seed: int
) -> Tally:
    """Questions come when they come: `rate` a second, at random (Poisson), whether or not others wait.

    Seconds count from the moment at which the question was due, so a server that is behind does not look
    fast because it is asked less.
    """
    loop = asyncio.get_running_loop()
    tally, idle = Tally(), asyncio.LifoQueue[Connection]()
    for connection in target.connections:
        idle.put_nowait(connection)
    begun = loop.time()
    running: list[asyncio.Task[None]] = []
    done = loop.create_future()

    async def ask(question: Question, due: float) -> None:
        connection = await idle.get()
        await _counted(connection, question, tally, due, loop.time)
        idle.put_nowait(connection)

    def arrive(number: int, due: float) -> None:
        running.append(loop.create_task(ask(questions[number % len(questions)], due)))
        if len(running) == requests:
            done.set_result(None)

    for number, due in enumerate(_arrivals(requests, rate, begun, seed)):
        loop.call_at(due, arrive, number, due)
    await done
    await asyncio.gather(*running)
    tally.elapsed = loop.time() - begun
    return tally


def _arrivals(requests: int, rate: float, begun: float, seed: int) -> list[float]:
    chance, due, found = random.Random(seed), begun, []  # noqa: S311 - the same arrivals in each pass
    for _ in range(requests):
        due += chance.expovariate(rate)
        found.append(due)
    return found


async def _counted(
    connection: Connection, question: Question, tally: Tally, begun: float, clock: Callable[[], float]
) -> None:
    answer = await connection.ask(question)
    tally.seconds.append(clock() - begun)
    tally.answers[answer] += 1
