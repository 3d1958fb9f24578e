"""The order of things: admit, redeem, execute once, report, answer. One gate for all connectors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from doorward.connectors import caveats
from doorward.connectors.admission import Identity, Order, Presented, admit
from doorward.connectors.broker import Outcome, Redemption
from doorward.connectors.keyring import Keyring
from doorward.connectors.metrics import Metrics
from doorward.connectors.outcomes import Outcomes
from doorward.connectors.upstream import Answer, Upstream, UpstreamRequest
from doorward.connectors.wire import Reference, reportable
from doorward.core import digest, schemacheck
from doorward.core.clock import Clock, system
from doorward.core.effect import Effect
from doorward.core.strictjson import Json, JsonObject
from doorward.errors import Code, Refusal
from doorward.telemetry import log
from doorward.tokens.claims import BROKER
from doorward.tokens.proof import Nonces

RECHECK_SECONDS: Final = 3.0
"""Within these a fact that is compared again must have been asked for."""
SUCCEEDED, FAILED, UNKNOWN = "succeeded", "failed", "unknown"


@dataclass(frozen=True, slots=True)
class Verb:
    """How one action is carried out."""

    request: Callable[[JsonObject], UpstreamRequest]
    """Builds the upstream request from checked arguments. Raises `Refusal(arguments_invalid)`."""
    references: Callable[[JsonObject, Json], tuple[Reference, ...]]
    """Finds what was made or seen, in arguments and answer."""
    facts: Callable[[JsonObject, Json], Json] | None = None
    """What the broker may take from the answer; None where it does not say it all."""


Redeem = Callable[[str], Awaitable[Redemption]]
"""Spends a capability. Raises `Refusal`."""


@dataclass(slots=True)
class Gate:
    """Everything between a request of a door and its stripped answer."""

    identity: Identity
    verbs: Mapping[str, Verb]
    keyring: Keyring
    redeem: Redeem
    upstream: Upstream
    outcomes: Outcomes
    metrics: Metrics
    concurrency: int
    clock: Clock = system
    nonces: Nonces = field(default_factory=Nonces)
    _running: int = 0

    async def handle(self, presented: Presented) -> dict[str, Json]:
        """The answer to one request. Raises `Refusal`; counts and logs either way.

        Once a capability is spent its story is finished even if the caller is gone: the work runs
        shielded, so that an outcome is never lost to a closed connection.
        """
        try:
            order = await self._admit(presented)
            request = self.verbs[order.action.name].request(order.action.args)
            self._take_room()
        except Refusal as refusal:
            self.metrics.refused(refusal.code.value)
            raise
        return await asyncio.shield(asyncio.ensure_future(self._carry_out(order, request)))

    async def _admit(self, presented: Presented) -> Order:
        try:
            return admit(presented, self.identity, self.keyring.keys, self.nonces, self.clock())
        except Refusal as refusal:
            if refusal.code is not Code.CAPABILITY_INVALID or not await self.keyring.refresh_eagerly():
                raise
        return admit(presented, self.identity, self.keyring.keys, self.nonces, self.clock())

    def _take_room(self) -> None:
        """Taken here, not when the work starts: a burst in one turn of the loop counts in full."""
        self.outcomes.check_room()
        if self._running >= self.concurrency:
            raise Refusal(
                Code.RATE_LIMITED,
                "the connector is busy",
                allowed=f"{self.concurrency} actions at the same time",
                ask="try again in a moment",
            )
        self._running += 1

    async def _carry_out(self, order: Order, request: UpstreamRequest) -> dict[str, Json]:
        started = time.perf_counter()
        try:
            await self._recheck(order)
            redemption = await self._redeem(order)
            return await self._finish(order, request, redemption, started)
        finally:
            self._running -= 1

    async def _finish(
        self, order: Order, request: UpstreamRequest, redemption: Redemption, started: float
    ) -> dict[str, Json]:
        """Execute; whatever breaks after the capability is spent leaves an outcome and a code."""
        try:
            return await self._execute(order, request, redemption, started)
        except Refusal:
            raise
        except Exception:  # noqa: BLE001 - whatever broke, the outcome is unknown and says so
            log.get(__name__).exception("an action broke", capability=order.capability.id)
            await self._tell(order, Outcome(redemption.id, UNKNOWN, 0, (), 0, sent=True), started)
        refusal = Refusal(Code.OUTCOME_UNKNOWN, "the connector failed; the action may have happened")
        raise _decided(refusal, order)

    async def _recheck(self, order: Order) -> None:
        """What was read for the decision still reads the same, right before the capability is spent."""
        try:
            for fact in caveats.facts_of(order.capability.caveats):
                await self._compare(fact)
        except Refusal as refusal:
            self.metrics.refused(refusal.code.value)
            raise _decided(refusal, order) from None

    async def _compare(self, fact: caveats.Fact) -> None:
        verb, declared = self.verbs.get(fact.action), self.identity.actions.get(fact.action)
        if verb is None or verb.facts is None or declared is None or declared.effect is not Effect.READ:
            raise caveats.changed(fact, "this connector cannot read it")
        if fault := schemacheck.fault(declared.arguments, fact.args):
            raise caveats.changed(fact, fault)
        answer = await self.upstream.send(verb.request(fact.args), time.monotonic() + RECHECK_SECONDS)
        found = verb.facts(fact.args, answer.body) if judge(Effect.READ, answer) == SUCCEEDED else None
        if found is None or digest.of_json(found) != fact.digest:
            raise caveats.changed(fact, "it reads otherwise now")

    async def _redeem(self, order: Order) -> Redemption:
        try:
            return await self.redeem(order.token)
        except Refusal as refusal:
            self.metrics.refused(refusal.code.value)
            raise _decided(refusal, order) from None

    async def _execute(
        self, order: Order, request: UpstreamRequest, redemption: Redemption, started: float
    ) -> dict[str, Json]:
        try:
            answer = await self.upstream.send(request, redemption.send_before)
        except Refusal as refusal:
            sent = refusal.code is Code.OUTCOME_UNKNOWN
            outcome = Outcome(redemption.id, UNKNOWN if sent else FAILED, 0, (), 0, sent)
            await self._tell(order, outcome, started)
            raise _decided(refusal, order) from None
        references = reportable(self.verbs[order.action.name].references(order.action.args, answer.body))
        verdict = judge(order.type.effect, answer)
        outcome = Outcome(redemption.id, verdict, answer.status, references, answer.size, sent=True)
        await self._tell(order, outcome, started)
        if verdict == UNKNOWN or (verdict == FAILED and answer.status < 300):
            raise _decided(_unreadable(verdict, answer), order)
        return self._answer(order, answer, outcome)

    async def _tell(self, order: Order, outcome: Outcome, started: float) -> None:
        await self.outcomes.tell(outcome)
        self.metrics.done(order.action.name, outcome.outcome, time.perf_counter() - started)
        log.get(__name__).info(
            "action",
            action=order.action.name,
            capability=order.capability.id,
            decision=order.capability.decision,
            outcome=outcome.outcome,
            status=outcome.status,
        )

    def _answer(self, order: Order, answer: Answer, outcome: Outcome) -> dict[str, Json]:
        facts = self.verbs[order.action.name].facts
        for_broker = facts is not None and order.capability.subject == BROKER
        said = facts(order.action.args, answer.body) if facts and outcome.outcome == SUCCEEDED else None
        return {
            **({"facts": said} if for_broker else {}),
            "result": answer.body,
            "upstream": {
                "status": answer.status,
                "headers": dict(answer.headers),
                "base": self.upstream.dialect.base,
            },
            "references": [reference.document() for reference in outcome.references],
            "receipt": {
                "decision": order.capability.decision,
                "capability": order.capability.id,
                "event": order.capability.event,
                "outcome": outcome.outcome,
            },
        }


def judge(effect: Effect, answer: Answer) -> str:
    """What became of an action that got this answer.

    A write that the upstream answered with 5xx or 1xx, or unreadably, may have happened: saying
    `failed` would invite a second one. A refusal (3xx, 4xx) is one, whatever its body looks like.
    """
    if 300 <= answer.status < 500:
        return FAILED
    if 200 <= answer.status < 300 and answer.readable:
        return SUCCEEDED
    return FAILED if effect is Effect.READ else UNKNOWN


def _unreadable(verdict: str, answer: Answer) -> Refusal:
    if verdict == UNKNOWN:
        return Refusal(
            Code.OUTCOME_UNKNOWN,
            f"the upstream answered {answer.status} and does not say what became of the action",
            ask="look whether it happened before asking again",
        )
    return Refusal(
        Code.UPSTREAM_REFUSED,
        f"the upstream's answer ({answer.status}, {answer.size} bytes read) is too large or not plain JSON",
        allowed="ask for less at a time",
    )


def _decided(refusal: Refusal, order: Order) -> Refusal:
    refusal.decision = order.capability.decision
    return refusal
