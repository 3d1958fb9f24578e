"""Revocations that are late, and Revocations that came before the broker: neither gives anybody anything."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from attempts import ARGS, hands_token, once_ready, prove, redeem, redeemed, until_code
from authority import Authority
from wire import wire

from devcluster.kubectl import Kubectl
from doorward.broker.settings import Settings
from doorward.door.broker import Broker as Door
from doorward.errors import Code
from doorward.kube import Client, access

pytestmark = pytest.mark.api


def is_revocation_watch(line: str) -> bool:
    return "watch=true" in line and "/revocations?" in line


async def test_a_watch_of_revocations_that_went_dead_without_an_error_gives_nothing(
    running: Any, place: Any, settings: Settings, authority: Authority, broker_kubeconfig: Path
) -> None:
    """Everything else works, the connection stays open: only the mark that does not come back tells."""
    token, hands = place.run_task(), hands_token(place.kubectl)
    behind = access.load(str(broker_kubeconfig))
    async with wire(behind) as line, Client(line.access) as client, running(through=client) as make:
        door: Door = make()
        await once_ready(lambda: door.open(token))
        await prove(door)
        decision = await once_ready(lambda: door.decide("code", "issue.comment", ARGS))
        line.cut(is_revocation_watch)
        await line.stalled.wait()
        place.revoke(tasks=["fix"])
        await until_code(lambda: door.decide("code", "issue.comment", ARGS), Code.UNAVAILABLE)
        blind = await redeem(authority, settings, hands, decision.capability)
        line.whole.set()
        await until_code(lambda: door.decide("code", "issue.comment", ARGS), Code.REVOKED)
        seeing = await redeemed(authority, settings, hands, decision.capability)

    assert (blind[1]["code"], seeing[1]["code"]) == ("unavailable", "revoked")


async def test_a_revocation_from_while_the_broker_was_down_holds_from_the_first_answer(
    running: Any, place: Any, settings: Settings, authority: Authority, kubectl: Kubectl
) -> None:
    """The listeners open only after every Revocation there is was read; no decision slips through before."""
    token, hands = place.run_task(), hands_token(kubectl)
    async with running() as make:
        door: Door = make()
        session = await once_ready(lambda: door.open(token))
        await prove(door)
        decision = await once_ready(lambda: door.decide("code", "issue.comment", ARGS))
        key = door._key
    place.revoke(tasks=["fix"])
    async with running() as make:
        door = make(key)
        door._session = session.id
        answers = set[str]()
        while answers <= {"unavailable"}:
            try:
                answers.add((await redeem(authority, settings, hands, decision.capability))[1]["code"])
            except aiohttp.ClientConnectorError:  # nobody listens yet, which gives nothing either
                await asyncio.sleep(0)
        await until_code(lambda: door.decide("code", "issue.comment", ARGS), Code.REVOKED)

    assert answers <= {"unavailable", "revoked"}
