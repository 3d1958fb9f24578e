"""Probes tell an open way from a closed one, with real sockets."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Iterator

import pytest

from doorward.door import canary, probe
from doorward.door.fence import Reach, Target


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A UDP port that takes datagrams and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    """A port nobody listens on, in either protocol."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_a_live_canary_is_open(protocol: str) -> None:
    """What answers can be reached."""
    async with canary.serving("127.0.0.1", 0) as port:
        assert await probe.reach(Target("canary", "127.0.0.1", port, protocol), 5.0) is Reach.OPEN


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_a_refusal_is_blocked(closed_port: int, protocol: str) -> None:
    """What refuses is out of reach."""
    assert await probe.reach(Target("none", "127.0.0.1", closed_port, protocol), 5.0) is Reach.BLOCKED


async def test_silence_is_blocked(silent_port: int) -> None:
    """A dropped packet looks like this: nothing comes back in time."""
    assert await probe.reach(Target("silent", "127.0.0.1", silent_port, "udp"), 0.05) is Reach.BLOCKED


async def test_a_full_backlog_is_blocked() -> None:
    """A connection that is never completed counts like a dropped packet."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(("127.0.0.1", port))

        found = await probe.reach(Target("full", "127.0.0.1", port, "tcp"), 0.1)

        for filler in fillers:
            filler.close()
    assert found is Reach.BLOCKED


async def test_without_a_socket_nothing_is_decided(closed_port: int) -> None:
    """A process that has no descriptor left has proven nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        found = await probe.reach(Target("none", "127.0.0.1", closed_port, "tcp"), 1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert found is Reach.UNDECIDED


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_without_a_local_port_nothing_is_decided(protocol: str) -> None:
    """An agent that takes every port of the pod it shares with us does not turn an open way into a fence."""

    # An address that no interface has cannot be bound; the kernel says the same when it has no port to give.
    class Portless(asyncio.SelectorEventLoop):
        async def sock_connect(self, sock: socket.socket, address: object) -> None:
            del address
            sock.bind(("203.0.113.7", 0))

    loop = Portless()
    try:
        target = Target("canary", "127.0.0.1", 9, protocol)
        found = await asyncio.to_thread(loop.run_until_complete, probe.reach(target, 1.0))
    finally:
        loop.close()

    assert found is Reach.UNDECIDED


async def test_a_pod_without_an_ipv6_address_is_blocked() -> None:
    """Where there is no source address of the family, nothing gets there."""
    target = Target("metadata-v6", "fd00:ec2::254", 80, "tcp")

    assert await probe.reach(target, 1.0) is Reach.BLOCKED


async def test_a_round_takes_as_long_as_its_slowest() -> None:
    """All targets are probed at once, in the order they were given."""
    async with canary.serving("127.0.0.1", 0) as port:
        targets = [Target(str(number), "127.0.0.1", port, "tcp") for number in range(5)]

        found = await probe.round_of(targets, 5.0)

    assert [(sighting.target, sighting.reach) for sighting in found] == [
        (target, Reach.OPEN) for target in targets
    ]


async def test_the_canary_answers_http_and_hangs_up() -> None:
    """Whoever looks at it with an HTTP client sees that it lives; it amplifies nothing."""
    async with canary.serving("127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")

        answer = await reader.read()
        writer.close()

    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
