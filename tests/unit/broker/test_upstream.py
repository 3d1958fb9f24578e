"""Facts that live upstream: a real broker asks a real connector, which asks a forge, before it decides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from town import World, connector, role, settled
from upstream import Forge
from waiting import until

from doorward import serving
from doorward.broker.places import Places
from doorward.connectors.app import connector_app
from doorward.connectors.process import running_gate
from doorward.connectors.settings import Settings
from doorward.core.grade import Cause
from doorward.door.broker import Broker as Door
from doorward.errors import Code, Refusal
from doorward.kube import resources
from doorward.serving import Buckets

SERVER = "doorward-connector-code.doorward-code.svc"
ARGS = {"owner": "acme", "repo": "web", "number": 7, "body": "hello"}
GREEN = "facts.checks('abc1').all(c, c.green)"


@dataclass
class Street:
    """A broker, a connector and a forge, and a door with an open session."""

    world: World
    forge: Forge
    door: Door

    async def asks(self, **changes: Any) -> Code | None:
        """What the comment comes to."""
        try:
            await self.door.decide("code", "issue.comment", {**ARGS, **changes})
        except Refusal as refusal:
            return refusal.code
        return None

    @property
    def looked(self) -> list[str]:
        """What the forge was asked, without its query."""
        return [
            seen.target.partition("?")[0].removeprefix("/api/v1/repos/acme/web/") for seen in self.forge.seen
        ]

    def story(self, subject: str) -> list[dict[str, Any]]:
        """The events of a task, or of the broker itself."""
        return [json.loads(link.body) for link in self.world.ledger.reader.events(subject)]


@asynccontextmanager
async def street(folder: Path, when: str, *, serves: bool = True) -> AsyncIterator[Street]:
    """A street in which comments need the condition; without `serves` no connector listens."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        world, forge = await enter(settled(folder, rule={"when": when})), Forge()
        authority = world.authority
        forge_url = await enter(forge.listening(authority.server("forge.test").context))
        (folder / "credential").write_text("secret-credential-of-the-forge\n")
        (folder / "token").write_text(world.hands_token())
        settings = Settings(
            connector="code",
            audience="connector:code",
            issuer="https://broker.test",
            upstream=forge_url,
            upstream_ca=authority.bundle_file,
            broker_url=world.hands_url,
            ca_file=authority.bundle_file,
            token_file=folder / "token",
            credential_file=folder / "credential",
        )
        gate = await enter(running_gate(settings, CollectorRegistry()))
        await until(lambda: gate.keyring.keys)
        tls = authority.server(SERVER).context
        bound = await enter(
            serving.listening(connector_app(gate, Buckets(50, 200)), "127.0.0.1", 0, tls, 0.1)
        )
        service = {"namespace": "doorward-code", "name": "doorward-connector-code"}
        port = bound.port if serves else 1
        world.tell(resources.CONNECTORS, connector(service={**service, "port": port}))

        async def here(_: str, __: int) -> str:
            return "127.0.0.1"

        world.broker.upstream.places = Places(here)
        stack.push_async_callback(world.broker.upstream.close)
        door = await enter(world.door())
        await door.open(world.run_task())
        await world.prove(door)
        yield Street(world, forge, door)


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ({"ci/test": "success", "ci/lint": "success"}, None),
        ({"ci/test": "success", "ci/lint": "failure"}, Code.CONDITION_FALSE),
        ({"ci/test": "pending"}, Code.CONDITION_FALSE),
        ({}, Code.CONDITION_FALSE),
    ],
)
async def test_checks_are_read_before_the_decision(
    tmp_path: Path, checks: dict[str, str], expected: Code | None
) -> None:
    """All green permits; one that is not, and a commit without any check, do not."""
    async with street(tmp_path, GREEN) as found:
        found.forge.checks = checks

        assert (await found.asks(), found.looked) == (expected, ["commits/abc1/status"])


async def test_the_reading_is_in_the_ledger(tmp_path: Path) -> None:
    """The broker asks under a capability of its own, for one task, and an auditor sees each step of it."""
    async with street(tmp_path, GREEN) as found:
        found.forge.checks = {"ci": "success"}
        await found.asks()
        await found.asks(body="again")
        events = found.story("broker")

    assert [event["event"] for event in events] == [
        "session.opened",
        *["action.permitted", "capability.redeemed", "outcome.reported"] * 2,
    ]
    permitted = events[1]
    assert (permitted["action"], permitted["effect"], permitted["behalf"]) == (
        "check.read",
        "read",
        "fix-1-uid",
    )
    assert permitted["resource"] == {"repository": "acme/web", "commit": "abc1"}


async def test_the_brokers_session_ends_with_it(tmp_path: Path) -> None:
    """Once; a broker that never asked anything has none to close."""
    async with street(tmp_path, GREEN) as found:
        await found.world.broker.upstream.close()
        found.forge.checks = {"ci": "success"}
        await found.asks()
        await found.world.broker.upstream.close()
        await found.world.broker.upstream.close()
        events = found.story("broker")

    assert [event["event"] for event in events].count("session.closed") == 1
    assert (events[-1]["event"], events[-1]["session"]) == ("session.closed", events[0]["session"])


async def test_one_fact_may_lead_to_the_next(tmp_path: Path) -> None:
    """The head of the pull request is read, then its checks, then its reviews: three, and in this order."""
    when = "facts.checks(facts.head(7)).all(c, c.green) && facts.reviews(7).exists(r, r.approved)"
    async with street(tmp_path, when) as found:
        found.forge.checks = {"ci": "success"}
        before = await found.asks()
        found.forge.reviews = [
            {"id": 1, "user": {"login": "carol"}, "state": "APPROVED", "commit_id": "abc1"}
        ]
        found.forge.seen.clear()

        assert [before, await found.asks()] == [Code.CONDITION_FALSE, None]
        assert sorted(found.looked) == ["commits/abc1/status", "pulls/7", "pulls/7/reviews"]


async def test_a_fourth_fact_is_not_read(tmp_path: Path) -> None:
    """Three facts for one decision; a condition that needs more is not true."""
    heads = " && ".join(f"facts.head({number}) != 'x'" for number in (7, 7 + 1, 7 + 2))
    async with street(tmp_path, f"facts.checks('abc1').all(c, c.green) && {heads}") as found:
        found.forge.checks = {"ci": "success"}

        assert await found.asks() == Code.CONDITION_FALSE
        assert len(found.looked) == 3


async def test_nobody_is_asked_in_vain(tmp_path: Path) -> None:
    """What is denied anyway, and a condition that is false anyway, cost the forge nothing."""
    async with street(tmp_path, f"args.body == 'hello' && {GREEN}") as found:
        codes = [await found.asks(body="other"), await found.asks(owner="else")]

        assert (codes, found.looked) == ([Code.CONDITION_FALSE, Code.NO_RULE], [])


async def test_a_silent_connector_permits_nothing(tmp_path: Path) -> None:
    """Where the connector cannot be reached the answer says so, and not that the condition is false."""
    async with street(tmp_path, GREEN, serves=False) as found:
        assert await found.asks() == Code.UNAVAILABLE


async def test_a_slow_forge_permits_nothing(tmp_path: Path) -> None:
    """Two seconds for all that one decision reads; then it is unavailable."""
    async with street(tmp_path, GREEN) as found:
        found.forge.hold = asyncio.Event()
        try:
            assert await found.asks() == Code.UNAVAILABLE
        finally:
            found.forge.hold.set()


async def test_what_the_upstream_does_not_know_is_no_fact(tmp_path: Path) -> None:
    """A pull request that is not there leaves the condition without a value."""
    async with street(tmp_path, "facts.head(9) != 'x'") as found:
        assert await found.asks() == Code.CONDITION_FALSE


async def test_the_broker_is_no_task(tmp_path: Path) -> None:
    """After a restart its sessions are not taken for those of a task, and nothing freezes or ends it."""
    async with street(tmp_path, GREEN) as found:
        found.forge.checks = {"ci": "success"}
        await found.asks()
        reader, ledger = found.world.ledger.reader, found.world.ledger
        stopped = [
            await ledger.freeze("broker", "a test", Cause.REPLAYS),
            await ledger.end("broker", "a test"),
        ]

        assert (stopped, await found.asks(body="again")) == ([False, False], None)
        assert [row.uid for row in reader.tasks()] == ["fix-1-uid"]
        assert [session.task_uid for session in reader.open_sessions()] == ["fix-1-uid"]


async def test_the_facts_of_a_parent_are_read_too(tmp_path: Path) -> None:
    """A child whose own rule asks nothing waits for what its parent's condition finds."""
    async with street(tmp_path, GREEN) as found:
        found.forge.checks = {"ci/test": "success"}
        free = role()
        free["metadata"] |= {"name": "free", "uid": "free-uid"}
        found.world.tell(resources.AGENT_ROLES, free)
        async with found.world.door() as child:
            parent = {"name": "fix-1", "uid": "fix-1-uid"}
            await child.open(found.world.run_task("fix-2", role="free", parent=parent))
            await found.world.prove(child)
            found.door = child
            answers = [await found.asks()]
            found.forge.checks = {"ci/test": "failure"}
            answers.append(await found.asks())

    assert answers == [None, Code.CONDITION_FALSE]
