"""A door's life: session, fence, agent, watch. Nothing opens before the fence is proven."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from authority import Authority
from standin import TOKEN, Broker
from waiting import until

from doorward.broker.sessions import FENCE_SECONDS
from doorward.core import settings as env
from doorward.door import canary
from doorward.door.fence import Target
from doorward.door.process import BREACHED, ENDED, REFUSED, Life
from doorward.door.session import Canary
from doorward.door.settings import MAX_WATCH_SECONDS, Settings
from doorward.errors import Code, ConfigError, Refusal


@dataclass
class Pauses:
    """Waiting that a test steps through: each pause lasts until the test allows one more."""

    allowed: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    taken: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        """Pause."""
        self.taken.append(seconds)
        await self.allowed.acquire()


@dataclass
class Running:
    """A door that lives in this process."""

    life: Life
    broker: Broker
    task: asyncio.Future[int]
    pauses: Pauses
    ready: Path
    port: int

    @property
    def listens(self) -> bool:
        """Whether anything answers on the door's port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _canaries_only(canaries: Iterable[Canary], _: str, __: str) -> tuple[Target, ...]:
    """What is probed here: this machine's API server and node are nobody's business."""
    return tuple(
        Target(each.name, each.host, each.port, each.protocol, canary=True) for each in canaries if each.alive
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _canary(port: int, *, alive: bool = True, protocol: str = "tcp") -> dict[str, Any]:
    return {"name": f"c{port}", "host": "127.0.0.1", "port": port, "protocol": protocol, "alive": alive}


async def _get_task(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /v1/task HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


@pytest.fixture
def settings(authority: Authority, tmp_path: Path) -> Settings:
    (tmp_path / "token").write_text(TOKEN)
    return Settings(
        ca_pem=authority.bundle,
        token_file=tmp_path / "token",
        ready_file=tmp_path / "ready",
        listen=("127.0.0.1", _free_port()),
        node_ip="127.0.0.1",
        api_host="127.0.0.1",
        probe_seconds=2.0,
    )


@pytest.fixture
def running(settings: Settings, authority: Authority) -> Callable[..., Any]:
    """Start a door; `canaries` and `refuse` are the broker's, the rest are settings."""

    @asynccontextmanager
    async def start(
        canaries: list[dict[str, Any]], refuse: dict[str, Refusal] | None = None, **changes: Any
    ) -> AsyncIterator[Running]:
        broker = Broker(canaries=canaries, refuse=refuse or {})
        async with broker.listening(authority) as url:
            chosen = replace(settings, **{"broker_url": url, **changes})
            pauses, stop = Pauses(), asyncio.Event()
            life = Life(chosen, stop, pauses, _canaries_only)
            task = asyncio.ensure_future(life.run())
            try:
                yield Running(life, broker, task, pauses, chosen.ready_file, chosen.listen[1])
            finally:
                stop.set()
                await asyncio.gather(task, return_exceptions=True)

    return start


async def test_a_proven_fence_opens_the_door(running: Any) -> None:
    """Session, two blocked rounds, the broker told, then the listener and the ready file, in this order."""
    async with running([_canary(_free_port()), _canary(_free_port(), protocol="udp")]) as door:
        await until(lambda: door.ready.exists() or door.task.done())

        assert door.broker.paths() == ["/v1/sessions", "/v1/fence"]
        assert [probe["blocked"] for probe in door.broker.fences[0]] == [True, True]
        assert door.listens
        door.life.stop.set()
        assert await door.task == ENDED


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_while_a_canary_answers_the_agent_waits(running: Any, protocol: str) -> None:
    """A policy that is not in force yet keeps the agent from starting; when it is, the door opens."""
    async with canary.serving("127.0.0.1", 0) as port, running([_canary(port, protocol=protocol)]) as door:
        await until(lambda: door.pauses.taken)
        assert (door.ready.exists(), door.listens, door.broker.fences) == (False, False, [])

        door.broker.canaries[:] = [_canary(_free_port(), protocol=protocol)]
        door.pauses.allowed.release()
        await until(door.ready.exists)

        assert door.broker.fences[0][0]["blocked"] is True


async def test_a_report_that_is_not_taken_is_not_repeated(running: Any) -> None:
    """What the broker does not take as a proof is old news by the next attempt: the door probes anew."""
    port = _free_port()
    refuse = {"/v1/fence": Refusal(Code.UNAVAILABLE, "no canary that answers was among the blocked probes")}
    async with running([_canary(port)], refuse) as door:
        await until(lambda: door.pauses.taken)
        async with canary.serving("127.0.0.1", port):
            del door.broker.refuse["/v1/fence"]
            door.pauses.allowed.release()
            await until(lambda: len(door.pauses.taken) > 1 or door.ready.exists())

            assert (door.ready.exists(), door.broker.fences) == (False, [])
        door.pauses.allowed.release()
        await until(door.ready.exists)

        assert door.broker.paths()[-1] == "/v1/fence"


async def test_a_dead_canary_proves_nothing(running: Any) -> None:
    """What the broker does not know to be alive is not evidence, however dead it is."""
    async with running([_canary(_free_port(), alive=False)]) as door:
        await until(lambda: door.pauses.taken)
        door.pauses.allowed.release()
        await until(lambda: len(door.pauses.taken) > 1)

        assert (door.ready.exists(), door.broker.fences) == (False, [])


async def test_a_canary_of_old_news_proves_nothing(running: Any) -> None:
    """A canary that may have died since the last news does not count while the broker is silent."""
    async with canary.serving("127.0.0.1", 0) as port, AsyncExitStack() as lived:
        door = await lived.enter_async_context(running([_canary(port)]))
        await until(lambda: door.pauses.taken)
        door.broker.refuse["/v1/canaries"] = Refusal(Code.UNAVAILABLE, "restarting")
        door.broker.canaries[:] = [_canary(_free_port())]
        door.life.targets = lambda canaries, *_: tuple(
            replace(each, port=door.broker.canaries[0]["port"]) for each in _canaries_only(canaries, "", "")
        )
        door.pauses.allowed.release()
        await until(lambda: len(door.pauses.taken) == 2)

        assert not door.ready.exists()

        del door.broker.refuse["/v1/canaries"]
        door.pauses.allowed.release()
        await until(door.ready.exists)


async def test_an_old_ready_file_is_taken_away(running: Any, settings: Settings) -> None:
    """A door that restarts must prove the fence again before its start counts."""
    settings.ready_file.touch()
    async with running([_canary(_free_port(), alive=False)]) as door:
        await until(lambda: door.pauses.taken)

        assert not door.ready.exists()


async def test_a_breach_freezes_at_once_and_ends_the_door(running: Any) -> None:
    """One success later: reported as not blocked, everything refused, exit code not zero."""
    async with running([_canary(_free_port())]) as door:
        await until(door.ready.exists)
        async with canary.serving("127.0.0.1", 0) as port:
            door.broker.canaries[:] = [_canary(port)]
            door.pauses.allowed.release()

            assert await asyncio.wait_for(door.task, 10) == BREACHED

        assert [probe["blocked"] for probe in door.broker.fences[-1]] == [False]
        assert not door.listens


async def test_a_breach_refuses_everything_before_the_broker_has_heard(running: Any) -> None:
    """The door does not wait for the broker to shut itself."""
    async with running([_canary(_free_port())]) as door:
        await until(door.ready.exists)
        async with canary.serving("127.0.0.1", 0) as port:
            door.broker.canaries[:] = [_canary(port)]
            door.broker.refuse["/v1/fence"] = Refusal(Code.UNAVAILABLE, "restarting")
            door.pauses.allowed.release()
            await until(lambda: len(door.pauses.taken) > 1)

            assert b'"code":"task_frozen"' in await _get_task(door.port)

            del door.broker.refuse["/v1/fence"]
            door.pauses.allowed.release()
            assert await asyncio.wait_for(door.task, 10) == BREACHED


async def test_the_fence_is_reported_for_as_long_as_the_agent_runs(running: Any) -> None:
    """Every thirty seconds another round, and the broker hears of it."""
    async with running([_canary(_free_port())]) as door:
        await until(door.ready.exists)
        for rounds in (2, 3):
            door.pauses.allowed.release()
            await until(lambda expected=rounds: len(door.broker.fences) == expected)

        assert set(door.pauses.taken) == {30.0}


async def test_a_watch_that_sees_nothing_shuts_the_door(running: Any) -> None:
    """Three looks without a finding: an agent cannot end the watch by taking what it needs."""
    async with running([_canary(_free_port())]) as door:
        await until(door.ready.exists)
        door.broker.canaries[:] = [{**_canary(1), "host": "fe80::1"}]  # no link given: no probe is possible
        for looks in (1, 2, 3):
            assert b"200 OK" in await _get_task(door.port)
            door.pauses.allowed.release()
            await until(lambda expected=looks: len(door.pauses.taken) > expected)

        assert b'"code":"unavailable"' in await _get_task(door.port)


async def test_a_no_while_it_runs_closes_the_door(running: Any) -> None:
    """When the broker says that the task is over, so does the door, to every request."""
    async with running([_canary(_free_port())]) as door:
        await until(door.ready.exists)
        door.broker.refuse["/v1/fence"] = Refusal(Code.TASK_ENDED, "the deadline has passed")
        door.pauses.allowed.release()
        await until(lambda: len(door.pauses.taken) > 1)

        assert b'"code":"task_ended"' in await _get_task(door.port)


async def test_a_broker_that_starts_later_is_waited_for(running: Any) -> None:
    """Doors and broker may come up in any order; pauses grow and are spread."""
    unavailable = {"/v1/sessions": Refusal(Code.UNAVAILABLE, "starting")}
    async with running([_canary(_free_port())], unavailable) as door:
        for tries in range(1, 4):
            await until(lambda expected=tries: len(door.pauses.taken) == expected)
            door.pauses.allowed.release()
        await until(lambda: len(door.pauses.taken) == 4)
        del door.broker.refuse["/v1/sessions"]
        door.pauses.allowed.release()
        await until(door.ready.exists)

        assert door.broker.paths().count("/v1/sessions") == 5
        assert all(
            0.1 * 2**turn <= pause <= 0.3 * 2**turn for turn, pause in enumerate(door.pauses.taken[:4])
        )


@pytest.mark.parametrize("code", [Code.SESSION_INVALID, Code.TASK_FROZEN, Code.TASK_ENDED])
async def test_a_broker_that_refuses_for_good_ends_the_door(running: Any, code: Code) -> None:
    """What trying again cannot change is logged with its remedy, and the exit code says so."""
    async with running([], {"/v1/sessions": Refusal(code, "no")}) as door:
        assert await asyncio.wait_for(door.task, 10) == REFUSED
        assert (door.pauses.taken, door.ready.exists()) == ([], False)


@pytest.mark.parametrize(
    "wrong",
    [{"listen": ("0.0.0.0", 8470)}, {"ca_pem": "not a certificate"}],  # noqa: S104 - must be refused
)
async def test_a_setting_that_cannot_work_stops_the_start(running: Any, wrong: dict[str, Any]) -> None:
    """The door does not listen for other pods, and trusts nobody by default."""
    async with running([], **wrong) as door:
        with pytest.raises(ConfigError):
            await asyncio.wait_for(door.task, 10)


@pytest.fixture
def process(settings: Settings) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start the program as the pod does."""
    started: list[subprocess.Popen[str]] = []

    def start(url: str) -> subprocess.Popen[str]:
        environ = {
            "DOORWARD_BROKER_URL": url,
            "DOORWARD_CA_PEM": settings.ca_pem,
            "DOORWARD_TOKEN_FILE": str(settings.token_file),
            "DOORWARD_READY_FILE": str(settings.ready_file),
            "DOORWARD_LISTEN": f"127.0.0.1:{settings.listen[1]}",
            "DOORWARD_NODE_IP": "192.0.2.1",
            "KUBERNETES_SERVICE_HOST": "192.0.2.2",
            "DOORWARD_PROBE_SECONDS": "0.1",
        }
        command = [sys.executable, "-m", "doorward.door"]
        started.append(
            subprocess.Popen(command, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True)
        )
        return started[-1]

    yield start
    for each in started:
        if each.returncode is None:
            each.kill()
            each.communicate()


async def test_the_program_waits_without_a_canary_and_ends_on_sigterm(
    process: Any, authority: Authority, settings: Settings
) -> None:
    """As the image runs it: a session, no proof without a live canary, and an orderly end."""
    broker = Broker()
    async with broker.listening(authority) as url:
        program = process(url)
        await until(lambda: "/v1/canaries" in broker.paths() or program.poll() is not None, 30)
        program.send_signal(signal.SIGTERM)
        output, _ = await asyncio.to_thread(program.communicate)

    assert (program.returncode, settings.ready_file.exists()) == (ENDED, False)
    assert "a canary that the broker knows to be alive" in output


async def test_the_program_says_what_is_missing(process: Any, authority: Authority) -> None:
    """Without its settings the program ends with code 2 and names each of them."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
    environ.pop("KUBERNETES_SERVICE_HOST", None)
    found = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "doorward.door"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.returncode == 2
    for variable in ("DOORWARD_CA_PEM", "DOORWARD_NODE_IP", "KUBERNETES_SERVICE_HOST"):
        assert variable in found.stdout


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "45.1", "90", "inf"])
def test_a_door_looks_at_its_fence_often_enough(seconds: str) -> None:
    """The broker decides nothing without a fresh report: a slower watch would starve the agent unseen."""
    with pytest.raises(ConfigError, match="DOORWARD_WATCH_SECONDS"):
        env.read(Settings, {"DOORWARD_WATCH_SECONDS": seconds})

    assert 2 * MAX_WATCH_SECONDS <= FENCE_SECONDS
