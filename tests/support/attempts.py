"""What doors and connectors try at a real broker, until the answer is the one that is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
from authority import Authority

from devcluster.kubectl import Kubectl
from doorward.broker.settings import Settings
from doorward.door import fence
from doorward.door.broker import Broker as Door
from doorward.door.fence import Reach, Sighting
from doorward.errors import Code, Refusal
from doorward.serving import client_context

ARGS = {"owner": "acme", "repo": "web", "number": 7, "body": "hello"}


async def once_ready(attempt: Callable[[], Any], seconds: float = 120.0) -> Any:
    """The answer once it is more than `unavailable`: the broker has just started or the news are coming."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await attempt()
            except Refusal as refusal:
                if refusal.code not in {Code.UNAVAILABLE, Code.SESSION_INVALID, Code.RATE_LIMITED}:
                    raise
            await asyncio.sleep(0)


async def code_of(attempt: Callable[[], Any], seconds: float = 120.0) -> Code:
    """What an attempt is refused with, once it is more than what a busy machine may say for a while."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await attempt()
            except Refusal as refusal:
                if refusal.code not in {Code.UNAVAILABLE, Code.RATE_LIMITED}:
                    return refusal.code
            else:
                raise AssertionError("it was not refused")
            await asyncio.sleep(0)


async def prove(door: Door) -> None:
    """Report a fence that holds, as soon as the broker knows its canaries."""

    async def attempt() -> None:
        found = fence.targets(await door.canaries(), "127.0.0.1", "127.0.0.1")
        await door.report_fence([Sighting(target, Reach.BLOCKED) for target in found])

    await once_ready(attempt)


async def until_refused(
    attempt: Callable[[], Any], fits: Callable[[Refusal], bool], seconds: float = 120.0
) -> Refusal:
    """Wait until an attempt is refused in the way that fits."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await attempt()
            except Refusal as refusal:
                if fits(refusal):
                    return refusal
            await asyncio.sleep(0)


async def until_code(attempt: Callable[[], Any], code: Code, seconds: float = 120.0) -> None:
    """Wait until an attempt is refused with this code."""
    await until_refused(attempt, lambda refusal: refusal.code is code, seconds)


async def redeem(
    authority: Authority, settings: Settings, token: str, capability: str
) -> tuple[int, dict[str, Any]]:
    """A connector's redemption: status and document."""
    tls = client_context(authority.bundle)
    url = f"https://127.0.0.1:{settings.connectors_listen[1]}/v1/redemptions"
    body = {"capability": capability, "instance": "i", "nonce": "n"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http,
        http.post(url, json=body, headers={"Authorization": f"Bearer {token}"}) as response,
    ):
        return response.status, await response.json(content_type=None)


async def redeemed(
    authority: Authority, settings: Settings, token: str, capability: str, seconds: float = 120.0
) -> tuple[int, dict[str, Any]]:
    """The same, once it is more than `unavailable`: of one connector's tries the broker counts one."""
    async with asyncio.timeout(seconds):
        while True:
            status, answer = await redeem(authority, settings, token, capability)
            if status not in {429, 503}:
                return status, answer
            await asyncio.sleep(0)


def hands_token(kubectl: Kubectl, account: str = "doorward-connector-code") -> str:
    """A connector's token for the broker."""
    return kubectl(
        "create", "token", account, "-n", "doorward-code", "--audience=doorward-redemptions"
    ).strip()
