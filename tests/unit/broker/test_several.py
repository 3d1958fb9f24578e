"""Two brokers on one PostgreSQL: whichever a door or a connector reaches, the same is true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from databases import Databases
from town import World, both

from doorward.broker import epochs, keyshare
from doorward.broker.cluster import AUDIENCE
from doorward.core import ids
from doorward.core.clock import system
from doorward.core.grade import Cause, Grade
from doorward.door.broker import Broker as Door
from doorward.errors import Code, ConfigError, Refusal
from doorward.kube import resources
from doorward.ledger import Head, ThawRequest
from doorward.serving import client_context
from doorward.tokens import keys as signing
from doorward.tokens import proof
from doorward.tokens.proof import Call

ARGS = {"owner": "acme", "repo": "web", "number": 7, "body": "hello"}
KEY = Ed25519PrivateKey.generate()


@pytest.fixture
async def worlds(tmp_path: Path, databases: Databases) -> AsyncIterator[tuple[World, World]]:
    with databases.lend() as url:
        async with both(tmp_path, url) as made:
            yield made


async def opened(one: World, two: World, door: Door) -> str:
    """A session, opened and fenced at the first broker; the second has heard of the task."""
    await door.open(one.run_task())
    await one.prove(door)
    two.take_over(one)
    return str(door._session)


async def code_of(waiting: Any) -> Code:
    with pytest.raises(Refusal) as caught:
        await waiting
    return caught.value.code


async def raw(world: World, path: str, header: str) -> tuple[int, str]:
    tls = client_context(world.authority.bundle)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http,
        http.get(world.doors_url + path, headers={proof.HEADER: header}) as response,
    ):
        return response.status, (await response.json(content_type=None)).get("code", "")


async def test_a_session_is_good_at_every_broker(worlds: tuple[World, World]) -> None:
    """Opened and fenced at one, it decides at the other, and the first redeems what the second signed."""
    one, two = worlds
    async with one.door(KEY) as door, two.door(KEY) as other:
        other._session = await opened(one, two, door)
        decision = await other.decide("code", "issue.comment", ARGS)
    one.town.down = False
    first, _ = await one.redeem(decision.capability, one.hands_token())
    second, answer = await two.redeem(decision.capability, one.hands_token(), nonce="nonce-2")

    assert (first, second, answer["code"]) == (200, 403, "replayed")


async def test_a_draft_of_another_broker_is_known_as_one(worlds: tuple[World, World]) -> None:
    """Its effect is in the ledger: the API server is not asked about each of them."""
    one, two = worlds
    async with one.door(KEY) as door:
        await opened(one, two, door)
        decision = await door.decide("code", "issue.comment", ARGS)
    token = two.hands_token()
    await two.redeem("x", token)
    asked = two.town.looks
    status, _ = await two.redeem(decision.capability, token)

    assert (status, two.town.looks) == (200, asked)


async def test_a_proof_is_good_once_for_all_brokers(worlds: tuple[World, World]) -> None:
    """What one has seen the other refuses (I9)."""
    one, two = worlds
    async with one.door(KEY) as door:
        session = await opened(one, two, door)
    header = proof.sign(KEY, Call(AUDIENCE, "GET", "/v1/actions", b""), system(), session)

    assert await raw(one, "/v1/actions", header) == (200, "")
    assert await raw(two, "/v1/actions", header) == (401, "proof_invalid")


async def test_a_fence_that_nobody_has_reported_holds_at_no_broker(worlds: tuple[World, World]) -> None:
    """A session that another broker opened brings no grace with it."""
    one, two = worlds
    async with one.door(KEY) as door, two.door(KEY) as other:
        await door.open(one.run_task())
        two.take_over(one)
        other._session = door._session
        before = await code_of(other.decide("code", "issue.comment", ARGS))
        await one.prove(door)
        decision = await other.decide("code", "issue.comment", ARGS)

    assert (before, bool(decision.capability)) == (Code.UNAVAILABLE, True)


async def test_what_one_freezes_gets_nothing_from_the_other(worlds: tuple[World, World]) -> None:
    """A breach reported at one broker: the other knows at the next call, and redeems nothing (I7)."""
    one, two = worlds
    async with one.door(KEY) as door, two.door(KEY) as other:
        other._session = await opened(one, two, door)
        decision = await other.decide("code", "issue.comment", ARGS)
        through = [{**probe, "blocked": False} for probe in one.probes()]
        breach = await code_of(door._ask("POST", "/v1/fence", {"probes": through}))
        asked = await code_of(other.decide("code", "issue.comment", ARGS))
    status, answer = await two.redeem(decision.capability, two.hands_token())

    assert (breach, asked) == (Code.TASK_FROZEN, Code.TASK_FROZEN)
    assert (status, answer["code"]) == (403, "task_frozen")


@pytest.mark.parametrize("frozen_by", ["the other", "itself"])
async def test_what_one_thaws_lives_at_the_other(worlds: tuple[World, World], frozen_by: str) -> None:
    """Though its own watch told nothing of the Thaw, or only after it had counted."""
    one, two = worlds
    async with one.door(KEY) as door, two.door(KEY) as other:
        other._session = await opened(one, two, door)
        through = [{**probe, "blocked": False} for probe in one.probes()]
        reporting = door if frozen_by == "the other" else other
        await code_of(reporting._ask("POST", "/v1/fence", {"probes": through}))
        frozen = await code_of(other.actions())
        asked = ThawRequest(
            uid="thaw",
            namespace="agents",
            name="thaw",
            task="fix-1",
            user="carol",
            reason="looked at it",
            created_at=system() + 5,
            involved=("alice",),
        )
        thawed = await one.ledger.thaw(asked)

        assert (frozen, thawed.outcome) == (Code.TASK_FROZEN, "thawed")
        assert await other.actions()


async def test_what_one_grades_is_cautious_at_the_other(worlds: tuple[World, World]) -> None:
    """A task that one broker slows down, or wants people for, is treated so at the other too."""
    one, two = worlds
    async with one.door(KEY) as door, two.door(KEY) as other:
        other._session = await opened(one, two, door)
        found = []
        for grade in (Grade.CAUTIOUS, Grade.CALM):
            await one.ledger.grade("fix-1-uid", grade, Cause.BURSTS, "too fast", 2.0**33)
            await other.actions()
            conduct = two.broker.conduct
            found.append((conduct.standing("fix-1-uid").grade, conduct.cautious("fix-1-uid")))

    assert found == [(Grade.CAUTIOUS, True), (Grade.CALM, False)]


async def test_an_end_and_a_replacement_are_known_to_the_other(worlds: tuple[World, World]) -> None:
    """A session that one broker closed is none at the other, which says why where the task is over."""
    one, two = worlds
    async with one.door(KEY) as door, two.door(KEY) as other:
        other._session = session = await opened(one, two, door)
        await other.decide("code", "issue.comment", ARGS)
        await one.ledger.close_session(session, "replaced")
        closed = await code_of(other.decide("code", "issue.comment", ARGS))
        await one.ledger.end("fix-1-uid", "done")
        ended = await code_of(other.decide("code", "issue.comment", ARGS))

    assert (closed, ended) == (Code.SESSION_INVALID, Code.TASK_ENDED)


async def test_the_pinned_role_is_the_same_at_every_broker(worlds: tuple[World, World]) -> None:
    """A door that comes back to another broker is judged by the role that the first one pinned (I13)."""
    one, two = worlds
    async with one.door(KEY) as door, two.door(KEY) as other:
        await opened(one, two, door)
        changed = {"metadata": {"name": "helper", "namespace": "agents", "uid": "other"}, "spec": {}}
        two.tell(resources.AGENT_ROLES, {**changed, "apiVersion": "doorward.dev/v1alpha1"}, gone=True)
        await other.open(one.token(one.pod()))

        assert other._session == door._session


async def test_a_key_in_the_database_alone_verifies_nothing(worlds: tuple[World, World]) -> None:
    """Without the key that all brokers hold, who can write the database cannot add a signing key."""
    one, two = worlds
    forger = signing.load([signing.generate()])
    ((kid, key),) = forger.public.items()
    issuer = one.broker.settings.issuer
    await one.ledger.publish_key(kid, keyshare.stated(key, issuer, 2**40, forger), 2.0**40)
    late = keyshare.stated(key, issuer, 1, one.broker.keyring.checkpoint)
    await one.ledger.publish_key("late", late, 2.0**40)
    alien = keyshare.stated(key, "https://else.test", 2**40, one.broker.keyring.checkpoint)
    await one.ledger.publish_key("alien", alien, 2.0**40)
    await two.broker.keyshare.learn()
    mine, others = (set(world.broker.keyring.own.public) for world in (two, one))

    assert set(two.broker.keyring.keys.public) == mine | others


async def test_a_new_epoch_ends_the_other_broker(worlds: tuple[World, World]) -> None:
    """It gives nothing any more in the old one, says so, and ends, to start in the new one (I10)."""
    one, two = worlds
    async with one.door(KEY) as door:
        await opened(one, two, door)
        lost = ("another epoch", Head(7, "sha256:7"))
        key, issuer = two.broker.keyring.checkpoint, two.broker.settings.issuer
        epoch = await epochs.establish(two.ledger, key, issuer, lost, system())
        code = await code_of(door.decide("code", "issue.comment", ARGS))
    with pytest.raises(ConfigError, match="another broker began a new epoch"):
        await one.broker.guard()

    assert (epoch.number, code, one.ledger.healthy) == (2, Code.UNAVAILABLE, False)


async def test_two_brokers_begin_one_epoch(worlds: tuple[World, World]) -> None:
    """Of two that judged the same, one begins it; the other is told to look again."""
    one, two = worlds
    old, fresh = one.broker.epoch, [ids.uuid7() for _ in range(2)]
    made = [type(old)(2, name, "s", 1.0, 0.0) for name in fresh]
    await one.ledger.begin_epoch(made[0], old.id)
    two.ledger._writer.epoch = None

    assert await code_of(two.ledger.begin_epoch(made[1], old.id)) == Code.UNAVAILABLE
