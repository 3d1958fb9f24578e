"""`caller.py BUNDLE`: the load, in a process of its own.

Reads one order a line from standard input and prints one result a line, both JSON (`Order`, `Result`).
The same request goes to doors in turn or straight to the upstream: a comment, numbered, whose answer must
be 201 with the very text, and from a door with its receipt. Anything else ends the process.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from lines import Line, Message

from doorward.serving import client_context

PROSE: Final = (
    "The hinge squeaks since the last release; see `src/hinge.py`, line 42, and the log of CI. " * 700
)
SEATS: Final = 8
"""What one door answers at the same time."""


@dataclass(frozen=True)
class Order:
    """What to do."""

    direct: bool
    """Whether to leave doors out."""
    ports: Sequence[int]
    """Of the upstream, or of the doors, which connections go to in turn."""
    clients: int
    """Connections; in a closed loop each asks again once it is answered."""
    seconds: float
    rate: float = 0.0
    """Arrivals a second of an open loop (Poisson), whether or not others wait; 0 for a closed one."""
    warm: float = 0.5
    """Seconds of the same before it counts."""
    size: int = 1024
    """Characters of a comment."""


@dataclass
class Result:
    """What came of it."""

    seconds: list[float] = field(default_factory=list)
    """Of each answer that counts; in an open loop since it was due."""
    elapsed: float = 0.0
    asked: int = 0
    """All requests, those before it counted too."""


class AstrayError(Exception):
    """An answer that is not the expected one."""


@dataclass
class Caller:
    """Whoever asks at one kind of place."""

    order: Order
    lines: Sequence[Line]
    ports: Sequence[int]
    result: Result = field(default_factory=Result)
    began: float = field(default_factory=time.perf_counter)

    @classmethod
    async def at(cls, order: Order, bundle: str) -> Caller:
        """With its connections."""
        tls = client_context(bundle) if order.direct else None
        where = [order.ports[number % len(order.ports)] for number in range(order.clients)]
        return cls(order, [await Line.to(port, tls) for port in where], where)

    async def run(self) -> Result:
        """The result. Raises `AstrayError`."""
        await (self._open() if self.order.rate else self._closed())
        for line in self.lines:
            line.close()
        return self.result

    @property
    def _counts_from(self) -> float:
        return self.began + self.order.warm

    @property
    def _ends(self) -> float:
        return self._counts_from + self.order.seconds

    async def _closed(self) -> None:
        async def client(number: int) -> None:
            while (now := time.perf_counter()) < self._ends:
                await self._asked(number, now)

        async with asyncio.TaskGroup() as group:
            for number in range(len(self.lines)):
                group.create_task(client(number))
        self.result.elapsed = time.perf_counter() - self._counts_from

    async def _open(self) -> None:
        idle = self._idle()

        async def arrival(number: int, due: float) -> None:
            queue = idle[number % len(idle)]
            line = await queue.get()
            await self._asked(line, due)
            queue.put_nowait(line)

        async with asyncio.TaskGroup() as group:
            for number, due in enumerate(self._arrivals()):
                await _until(due)
                group.create_task(arrival(number, due))
        self.result.elapsed = time.perf_counter() - self._counts_from

    def _idle(self) -> list[asyncio.LifoQueue[int]]:
        """The connections to each port."""
        queues: dict[int, asyncio.LifoQueue[int]] = {}
        for number, port in enumerate(self.ports):
            queues.setdefault(port, asyncio.LifoQueue()).put_nowait(number)
        return list(queues.values())

    def _arrivals(self) -> Iterator[float]:
        chance, due = random.Random(len(self.lines)), self.began  # noqa: S311 - the same in each pass
        while (due := due + chance.expovariate(self.order.rate)) < self._ends:
            yield due

    async def _asked(self, number: int, due: float) -> None:
        self.result.asked += 1
        text = f"{self.result.asked} {PROSE}"[: self.order.size]
        body = json.dumps({"body": text}, separators=(",", ":")).encode()
        self._check(await self.lines[number].ask(self._head(number, len(body)) + body), text)
        if due >= self._counts_from:
            self.result.seconds.append(time.perf_counter() - due)

    def _head(self, number: int, size: int) -> bytes:
        before = "" if self.order.direct else "/via/code"
        return (
            f"POST {before}/api/v1/repos/acme/web/issues/7/comments HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{self.ports[number]}\r\nAuthorization: token doorward-placeholder\r\n"
            "User-Agent: agent\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
            f"Content-Length: {size}\r\n\r\n"
        ).encode()

    def _check(self, answer: Message, text: str) -> None:
        fine = answer.status == 201 and json.loads(answer.body).get("body") == text
        if not fine or (not self.order.direct and b"\r\ndoorward-receipt:" not in answer.head.lower()):
            raise AstrayError((answer.head + b"\r\n\r\n" + answer.body)[:2000].decode(errors="replace"))


async def _until(due: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(due - time.perf_counter()):
            await asyncio.Event().wait()


async def main(bundle: str) -> None:
    """Carry out orders until standard input ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        caller = await Caller.at(Order(**json.loads(line)), bundle)
        sys.stdout.write(json.dumps(asdict(await caller.run())) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text()))
