"""A door from start to end: session, fence, agent, watch."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doorward.door import fence, probe
from doorward.door.broker import Broker
from doorward.door.fence import Sighting, Streaks, Target
from doorward.door.hands import Hands
from doorward.door.listener import Door, check_loopback, door_app
from doorward.door.session import Canary, Session
from doorward.door.settings import Settings
from doorward.errors import Code, ConfigError, Refusal
from doorward.serving import client_context, listening
from doorward.telemetry import log

T = TypeVar("T")

ENDED, REFUSED, BREACHED = 0, 3, 4
"""Exit codes: told to stop; the broker will not have this door; a probe got through. 1 is what Python ends
with when something broke, so it means nothing else."""

_TEMPORARY: Final = frozenset({Code.UNAVAILABLE, Code.RATE_LIMITED})
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_REPORT_SECONDS: Final = 10.0
_PATIENCE: Final = 4
"""How much longer a probe waits once the agent runs: nobody waits for the result then."""

_BLIND_ROUNDS: Final = 3
"""Looks in a row without a finding after which the door shuts: an agent that takes every socket or port of
its pod must not get rid of the watch."""

_REMEDIES: Final = {
    Code.SESSION_INVALID: "the pod is not the one made for a live task, or the token is not its own",
    Code.PROOF_INVALID: "clocks of node and broker differ, or something between changes requests",
    Code.TASK_FROZEN: "the task was frozen; see its events, then make a new task",
    Code.TASK_ENDED: "the task is over; make a new one",
    Code.REVOKED: "a revocation covers this task; see kubectl get revocations",
}


@dataclass(slots=True)
class Life:
    """One run of the sidecar. Waiting and what is probed are arguments, so that tests own them."""

    settings: Settings
    stop: asyncio.Event
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    targets: Callable[[Iterable[Canary], str, str], tuple[Target, ...]] = fence.targets
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    """Never leaves this process."""

    async def run(self) -> int:
        """Live until told to stop. The exit code; raises `ConfigError` for a setting that cannot work."""
        tls = self._tls()
        broker, hands = Broker(self.settings.broker_url, tls, self.key), Hands(tls, self.key)
        life = asyncio.ensure_future(self._live(broker, hands))
        stopping = asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait({life, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return life.result() if life.done() else ENDED
        finally:
            for task in (life, stopping):
                task.cancel()
            await asyncio.gather(life, stopping, return_exceptions=True)
            await hands.close()
            await broker.close()

    async def _live(self, broker: Broker, hands: Hands) -> int:
        self.settings.ready_file.unlink(missing_ok=True)
        try:
            session = await self._persist("open a session", lambda: self._open(broker))
            await self._prove(broker, session)
        except Refusal as refusal:
            _log_refused(refusal)
            return REFUSED
        door = Door(session, broker, hands)
        host, port = self.settings.listen
        async with listening(door_app(door), host, port) as bound:
            self.settings.ready_file.touch()
            log.get(__name__).info("open", port=bound.port, connectors=sorted(session.connectors))
            return await self._watch(door)

    async def _open(self, broker: Broker) -> Session:
        try:
            token = self.settings.token_file.read_text("ascii").strip()
        except (OSError, ValueError) as error:
            raise Refusal(Code.UNAVAILABLE, f"no token yet: {error}") from None
        return await broker.open(token)

    async def _prove(self, broker: Broker, session: Session) -> None:
        """Return once the fence is proven and the broker has heard of it."""
        canaries: Sequence[Canary] = session.canaries
        streaks, sightings = await self._rounds(canaries, {})
        pause = _FIRST_PAUSE
        while waiting := fence.missing(streaks, canaries) or await self._unheard(broker, sightings):
            log.get(__name__).warning("the agent has to wait for the fence", waiting=waiting)
            await self.pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            # News from before the wait is none: a canary that died meanwhile would look like a fence.
            canaries = await self._refreshed(broker, ())
            streaks, sightings = await self._rounds(canaries, streaks)

    async def _unheard(self, broker: Broker, sightings: Sequence[Sighting]) -> list[str]:
        """Report the fence. Why the broker does not take it for now; empty when it does."""
        try:
            await broker.report_fence(sightings)
        except Refusal as refusal:
            if refusal.code not in _TEMPORARY:
                raise
            return [f"the broker: {refusal.detail}"]
        return []

    async def _rounds(self, canaries: Sequence[Canary], streaks: Streaks) -> tuple[Streaks, list[Sighting]]:
        targets = self._targets(canaries)
        for _ in range(fence.IN_A_ROW):
            sightings = await probe.round_of(targets, self.settings.probe_seconds)
            streaks = fence.counted(streaks, sightings)
        return streaks, sightings

    async def _watch(self, door: Door) -> int:
        """Look at the fence for as long as the agent runs; returns only when it was breached."""
        canaries: Sequence[Canary] = door.session.canaries
        blind = 0
        while True:
            await self.pause(self.settings.watch_seconds)
            canaries = await self._refreshed(door.broker, canaries)
            patience = _PATIENCE * self.settings.probe_seconds
            sightings = await probe.round_of(self._targets(canaries), patience)
            if breaches := fence.breaches(sightings):
                await self._breached(door, breaches)
                return BREACHED
            blind = blind + 1 if fence.undecided(sightings) else 0
            if blind == _BLIND_ROUNDS:
                door.close(_blind(fence.undecided(sightings)))
            await self._report(door, sightings)

    async def _breached(self, door: Door, breaches: list[Sighting]) -> None:
        names = [breach.target.name for breach in breaches]
        detail = f"the pod reached {', '.join(names)}: the network policy does not hold"
        door.close(Refusal(Code.TASK_FROZEN, detail, ask="the platform team must look at the fence"))
        log.get(__name__).error("breach", reached=names)
        try:
            async with asyncio.timeout(_REPORT_SECONDS):
                await self._persist("report the breach", lambda: door.broker.report_fence(breaches))
        except (Refusal, TimeoutError) as error:
            log.get(__name__).error("breach not acknowledged", error=str(error))

    async def _report(self, door: Door, sightings: list[Sighting]) -> None:
        decided = fence.decided(sightings)
        if not decided:
            log.get(__name__).warning("no probe could be made")
            return
        try:
            await door.broker.report_fence(decided)
        except Refusal as refusal:
            log.get(__name__).warning(
                "fence not acknowledged", code=refusal.code.value, detail=refusal.detail
            )
            if refusal.code not in _TEMPORARY:
                door.close(refusal)

    async def _refreshed(self, broker: Broker, known: Sequence[Canary]) -> Sequence[Canary]:
        try:
            return await broker.canaries()
        except Refusal as refusal:
            if refusal.code not in _TEMPORARY:
                log.get(__name__).warning("canaries refused", code=refusal.code.value)
            return known

    async def _persist(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it works or is refused for good; pauses grow and are jittered."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return await attempt()
            except Refusal as refusal:
                if refusal.code not in _TEMPORARY:
                    raise
                log.get(__name__).warning(f"cannot {what} yet", detail=refusal.detail)
            await self.pause(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, hides nothing
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _targets(self, canaries: Sequence[Canary]) -> tuple[Target, ...]:
        try:
            return self.targets(canaries, self.settings.api_host, self.settings.node_ip)
        except ValueError as error:
            raise ConfigError(f"a target of the fence is not an address: {error}") from None

    def _tls(self) -> ssl.SSLContext:
        try:
            check_loopback(self.settings.listen[0])
            return client_context(self.settings.ca_pem)
        except (ValueError, OSError) as error:
            raise ConfigError(f"DOORWARD_LISTEN or DOORWARD_CA_PEM: {error}") from None


def _blind(sightings: Sequence[Sighting]) -> Refusal:
    names = ", ".join(sighting.target.name for sighting in sightings)
    log.get(__name__).error("blind", undecided=names)
    detail = f"the sidecar cannot try any more whether the pod reaches {names}"
    return Refusal(
        Code.UNAVAILABLE, detail, ask="the pod's processes leave no socket or port; make a new task"
    )


def _log_refused(refusal: Refusal) -> None:
    remedy = _REMEDIES.get(refusal.code, refusal.ask)
    log.get(__name__).error("refused", code=refusal.code.value, detail=refusal.detail, remedy=remedy)
