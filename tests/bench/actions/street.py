"""Every part of the path in a process of its own, around a broker that is there already.

Beside them stands the bare path: as many processes, which lead to the same upstream with nothing in them.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from caller import Order, Result
from stage import World, world

from devcluster import ports

HERE: Final = Path(__file__).parent
SERVICE: Final = "doorward-connector-code.doorward-code.svc"
LIMITS: Final = {"perTask": 1_000_000, "perMinute": 100_000}
"""Two counters for each action, with room for more than can be done."""
WIDE: Final = 10**6
"""Of buckets, a second: they are not what is measured."""
_READY_SECONDS: Final = 60.0
_END_SECONDS: Final = 30.0

Part = subprocess.Popen[str]
Under = Callable[[str], Sequence[str]]
"""The words of a script that a part is run by."""


@dataclass
class Street:
    """The parts, and what they are asked by."""

    made: World
    caller: Part
    forge: int
    """Port of the upstream."""
    ports: dict[str, list[int]]
    """Way -> where its requests go to."""
    pids: dict[str, dict[str, list[int]]]
    """Way -> part -> its processes."""

    async def order(self, order: Order) -> Result:
        """Have the load made. Raises `SystemExit` when an answer was not the expected one."""
        return Result(**json.loads(await asyncio.to_thread(_told, self.caller, json.dumps(asdict(order)))))

    async def comments(self) -> int:
        """How many comments the upstream was given."""
        async with self.made.http.get(f"https://127.0.0.1:{self.forge}/") as answer:
            return int((await answer.json())["comments"])

    def cpu_seconds(self, way: str) -> dict[str, float]:
        """Processor time that each part of this way has used."""
        return {part: sum(map(_cpu_seconds, pids)) for part, pids in self.pids[way].items()}


@asynccontextmanager
async def street(folder: Path, doors: int, under: Under) -> AsyncIterator[Street]:
    """Everything running."""
    listen, ops = ports.free(2)
    code = {"service": {"namespace": "doorward-code", "name": "doorward-connector-code", "port": listen}}
    with ExitStack() as stack:
        async with world(folder, under("broker"), code) as made:
            start = _Starting(stack, made, folder, under)
            forge = start.forge()
            connector = start.connector(forge, listen, ops)
            keepers = [await start.door(number) for number in range(doors)]
            await _ready(made.http, ops)
            # Not in this thread: the canaries live in it, and a door's first report is about them.
            entrances = [int(await asyncio.to_thread(_port, keeper)) for keeper in keepers]
            bare = await asyncio.to_thread(start.bare, forge[1], doors)
            caller = start.part("caller", "caller.py", str(made.authority.bundle_file))
            pids = {
                **made.pids,
                "connector": [connector.pid],
                "doors": [keeper.pid for keeper in keepers],
                "upstream": [forge[0].pid],
                "load": [caller.pid],
            }
            yield Street(
                made,
                caller,
                forge[1],
                {"straight": [forge[1]], "bare": bare.ports, "through": entrances},
                {"straight": pids, "bare": pids | bare.pids, "through": pids},
            )
            await asyncio.to_thread(stack.close)


@dataclass(frozen=True)
class _Bare:
    """The bare path: ports of its doors, and part -> its processes."""

    ports: list[int]
    pids: dict[str, list[int]]


@dataclass(frozen=True)
class _Starting:
    """Starts parts, which end when the stack does."""

    stack: ExitStack
    made: World
    folder: Path
    under: Under

    def part(self, name: str, *words: str, **more: Any) -> Part:
        script = [str(HERE / words[0]), *words[1:]] if words[0] != "-m" else list(words)
        command = [sys.executable, *self.under(name), *script]
        output = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **more}
        process = subprocess.Popen(command, text=True, **output)
        self.stack.callback(_end, process, hears=words[0] != "-m")
        return process

    def forge(self) -> tuple[Part, int]:
        process = self.part("upstream", "forge.py", *self._issued("forge.test"))
        return process, int(_port(process))

    def bare(self, forge: int, doors: int) -> _Bare:
        bundle = str(self.made.authority.bundle_file)
        broker = self.part("bare-broker", "bare.py", bundle, "broker", *self._issued("bare-broker"))
        asked = _port(broker)
        hands = ("connector", *self._issued("bare-connector"), asked, str(forge))
        connector = self.part("bare-connector", "bare.py", bundle, *hands)
        words = ("door", asked, _port(connector))
        keepers = [self.part(f"bare-door-{number}", "bare.py", bundle, *words) for number in range(doors)]
        pids = {"broker": [broker.pid], "connector": [connector.pid], "doors": [one.pid for one in keepers]}
        return _Bare([int(_port(keeper)) for keeper in keepers], pids)

    def _issued(self, name: str) -> list[str]:
        return [str(path) for path in self.made.authority.issue(name)]

    async def door(self, number: int) -> Part:
        address = f"127.0.1.{number + 1}"
        token = await self.made.pod(f"agents-{number}", address, limits=LIMITS)
        url = f"https://127.0.0.1:{self.made.settings.listen[1]}"
        process = self.part(
            f"door-{number}", "doorkeeper.py", str(self.made.authority.bundle_file), url, address
        )
        assert process.stdin is not None
        process.stdin.write(token + "\n")
        process.stdin.flush()
        return process

    def connector(self, forge: tuple[Part, int], listen: int, ops: int) -> Part:
        made, folder = self.made, self.folder
        certificate, key = made.authority.issue(SERVICE)
        (folder / "credential").write_text("9f8e7d6c5b4a39281706f5e4d3c2b1a098765432\n")
        (folder / "hands").write_text(made.hands)
        settings = {
            "CONNECTOR": "code",
            "AUDIENCE": "connector:code",
            "UPSTREAM": f"https://127.0.0.1:{forge[1]}",
            "UPSTREAM_CA": made.authority.bundle_file,
            "REQUESTS_PER_SECOND": WIDE,
            "REQUEST_BURST": WIDE,
            "CREDENTIAL_FILE": folder / "credential",
            "ISSUER": made.settings.issuer,
            "BROKER_URL": f"https://127.0.0.1:{made.settings.connectors_listen[1]}",
            "CA_FILE": made.authority.bundle_file,
            "TOKEN_FILE": folder / "hands",
            "TLS_CERTIFICATE": certificate,
            "TLS_KEY": key,
            "LISTEN": f"127.0.0.1:{listen}",
            "OPS_LISTEN": f"127.0.0.1:{ops}",
        }
        env = {**os.environ, **{f"DOORWARD_{name}": str(value) for name, value in settings.items()}}
        log = self.stack.enter_context((folder / "connector.log").open("w"))
        return self.part("connector", "-m", "doorward.connectors", env=env, stdout=log)


async def _ready(http: aiohttp.ClientSession, ops: int) -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while True:
            try:
                async with http.get(f"http://127.0.0.1:{ops}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectorError:
                pass
            await asyncio.sleep(0)


def _port(process: Part) -> str:
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    if not port:
        raise SystemExit(f"{process.args} did not start")
    return port


def _told(caller: Part, order: str) -> str:
    assert caller.stdin is not None
    assert caller.stdout is not None
    caller.stdin.write(order + "\n")
    caller.stdin.flush()
    line = caller.stdout.readline()
    if not line:
        raise SystemExit("the load broke off; what it met is told above")
    return line


def _end(process: Part, *, hears: bool) -> None:
    """Our own scripts end with their standard input, the product's parts when they are told to."""
    assert process.stdin is not None
    process.stdin.close()
    if not hears:
        process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
